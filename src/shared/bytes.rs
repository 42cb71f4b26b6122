//! Bytes in shared memory that anybody may write to at any time: copied in and out as atomic words.
//!
//! All access is by 64-bit atomics, or by instructions of the machine that copy many, so whoever reads while another writes gets
//! some mixture of old and new bytes, and nothing worse. Words that a range covers in part are changed by CAS, and keep their other
//! bytes.

use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::racing;

/// The words that `offset..offset + len` touches, if they are there, and where in the first word the range starts.
fn covering(words: &[AtomicU64], offset: usize, len: usize) -> Option<(&[AtomicU64], usize)> {
    let end = offset.checked_add(len)?.div_ceil(8);
    Some((words.get(offset / 8..end.max(offset / 8))?, offset % 8))
}

/// Copies bytes out; false if they are not all there.
pub(super) fn read(words: &[AtomicU64], offset: usize, to: &mut [u8]) -> bool {
    let Some((words, skip)) = covering(words, offset, to.len()) else { return false };
    let (first, rest) = to.split_at_mut(((8 - skip) % 8).min(to.len()));
    let words = match words {
        [word, rest @ ..] if !first.is_empty() => {
            let bytes = word.load(Ordering::Relaxed).to_le_bytes();
            first.copy_from_slice(&bytes[skip..skip + first.len()]);
            rest
        }
        words => words,
    };
    let (whole, last) = rest.as_chunks_mut::<8>();
    racing::copy_out(words, whole);
    if !last.is_empty()
        && let Some(word) = words.get(whole.len())
    {
        last.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes()[..last.len()]);
    }
    true
}

/// Copies bytes in; false if there is no room for all, and then nothing is written.
pub(super) fn write(words: &[AtomicU64], offset: usize, from: &[u8]) -> bool {
    let Some((words, skip)) = covering(words, offset, from.len()) else { return false };
    let (first, rest) = from.split_at(((8 - skip) % 8).min(from.len()));
    let words = match words {
        [word, rest @ ..] if !first.is_empty() => {
            merge(word, skip, first);
            rest
        }
        words => words,
    };
    let (whole, last) = rest.as_chunks::<8>();
    racing::copy_in(whole, words);
    if !last.is_empty()
        && let Some(word) = words.get(whole.len())
    {
        merge(word, 0, last);
    }
    true
}

/// Writes some bytes of a word.
fn merge(word: &AtomicU64, skip: usize, from: &[u8]) {
    let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
        let mut bytes = old.to_le_bytes();
        bytes[skip..skip + from.len()].copy_from_slice(from);
        Some(u64::from_le_bytes(bytes))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_copied_and_nothing_beside_it() {
        let old: Vec<u8> = (100..132).collect();
        for offset in 0..=32 {
            for len in 0..=32 - offset {
                let words: Vec<AtomicU64> = old
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|bytes| AtomicU64::new(u64::from_le_bytes(*bytes)))
                    .collect();
                let new: Vec<u8> = (0..len as u8).collect();
                assert!(write(&words, offset, &new));
                let mut all = [0; 32];
                assert!(read(&words, 0, &mut all));
                let mut expected = old.clone();
                expected[offset..offset + len].copy_from_slice(&new);
                assert_eq!(all, expected[..]);
                let mut back = vec![0; len];
                assert!(read(&words, offset, &mut back));
                assert_eq!(back, new);
            }
        }
    }

    #[test]
    fn long_ranges_are_copied_and_nothing_beside_them() {
        let words = [const { AtomicU64::new(u64::MAX) }; 200];
        let new: Vec<u8> = (0..1500).map(|at| at as u8 ^ 0x55).collect();
        assert!(write(&words, 13, &new));
        let mut all = [0; 1600];
        assert!(read(&words, 0, &mut all));
        let mut expected = [u8::MAX; 1600];
        expected[13..1513].copy_from_slice(&new);
        assert_eq!(all, expected);
        let mut back = [0; 1500];
        assert!(read(&words, 13, &mut back));
        assert_eq!(back, new[..]);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let words = [const { AtomicU64::new(0) }; 2];
        assert!(!write(&words, 10, &[1; 7]));
        assert!(!write(&words, usize::MAX, &[1; 7]));
        assert!(!read(&words, 17, &mut []));
        assert!(read(&words, 16, &mut []));
        assert_eq!(words.map(AtomicU64::into_inner), [0, 0]);
    }
}
