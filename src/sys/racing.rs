//! Copies between private memory and words that anybody may read and write meanwhile. What is written meanwhile comes as some mixture
//! of old and new bytes.
//!
//! Few words are copied as atomics, many by instructions of the machine: their accesses are no accesses of the language, so they may
//! race with those of others as atomics may. Up to the size of a cache these are blocks of vector registers, upwards, or downwards where
//! that is faster; beyond it they are those of the C library's `memcpy`, called by an address of which the compiler knows nothing.
//!
//! # Measured
//!
//! On a Zen, beside `memcpy` in private memory: 64 KiB 0.98 in and 0.99 out, 80 MB 0.98 and 1.04. `memcpy` alone had 0.95 and 0.84 with
//! 64 KiB, since it goes upwards whatever the addresses; blocks alone have 0.65 with 80 MB, and three times as much code, which goes past
//! the cache, no more than 0.88. A loop over atomics is three times slower, since no compiler joins them.

#![allow(unsafe_code, reason = "instructions that copy by address")]

use core::ffi::c_void;
use core::hint::black_box;

use crate::sys::atomic::{AtomicU64, Ordering};

/// From so many words on, they are no atomics.
const MANY: usize = 32;

/// Copies words out, as far as there is room for them.
#[inline]
pub(crate) fn copy_out(words: &[AtomicU64], to: &mut [[u8; 8]]) {
    let count = to.len().min(words.len());
    if count >= MANY {
        // SAFETY: see `copy`
        // - both slices have `count` words, the target is private and borrowed for writing, and they do not overlap;
        // - the source may change meanwhile, as atomics may.
        return unsafe { copy(words.as_ptr().cast(), to.as_mut_ptr().cast(), count) };
    }
    for (to, word) in to.iter_mut().zip(words) {
        *to = word.load(Ordering::Relaxed).to_ne_bytes();
    }
}

/// Copies to words, as far as there are words.
#[inline]
pub(crate) fn copy_in(from: &[[u8; 8]], words: &[AtomicU64]) {
    let count = from.len().min(words.len());
    if count >= MANY {
        let to = words.as_ptr().cast_mut().cast();
        // SAFETY: see `copy`
        // - both slices have `count` words, which do not overlap, and atomics may be written through a shared reference;
        // - others may read and write them meanwhile, as atomics may be.
        return unsafe { copy(from.as_ptr().cast(), to, count) };
    }
    for (from, word) in from.iter().zip(words) {
        word.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
    }
}

/// Copies words.
///
/// # Safety
///
/// `from` may be read and `to` written for so many words, which do not overlap. Whoever else writes there meanwhile does so by atomics,
/// or from another process.
#[inline]
unsafe fn copy(from: *const u8, to: *mut u8, words: usize) {
    type Copy = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void;
    let (mut done, len) = (0, words * 8);
    if cfg!(target_arch = "x86_64") && len < LARGE {
        done = len / BLOCK * BLOCK;
        // SAFETY: the caller vouches for both ranges, of which these are whole blocks.
        unsafe { copy_blocks(from, to, done) };
    }
    // A call of `memcpy` by its name would be an access of the language.
    let memcpy = black_box(libc::memcpy as Copy);
    let (from, to) = (from.wrapping_add(done), to.wrapping_add(done));
    // SAFETY: these are the ends of ranges for which the caller vouches; if others write meanwhile, other bytes are copied, and nothing
    // else changes.
    unsafe { memcpy(to.cast(), from.cast(), len - done) };
}

/// So many bytes are copied at a time by vectors.
const BLOCK: usize = 64;
/// What would wash everything else out of the cache goes past it, which `memcpy` sees to.
const LARGE: usize = 6 << 20;

/// Copies bytes, block by block: upwards, or downwards where that is faster. The processor compares the low 12 bits of addresses, and
/// takes what is loaded next for what was just stored.
///
/// # Safety
///
/// As [`copy`], for so many bytes, which are some blocks.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_blocks(from: *const u8, to: *mut u8, len: usize) {
    let is_in_the_way = (1..512).contains(&((to as usize).wrapping_sub(from as usize) % 4096));
    let (first, beyond, step) = match is_in_the_way {
        true => (len - BLOCK, BLOCK.wrapping_neg(), BLOCK.wrapping_neg()),
        false => (0, len, BLOCK),
    };
    // SAFETY: each block is within the ranges for which the caller vouches, and there is one at least; all registers are named. If
    // others write meanwhile, other bytes are copied, and nothing else changes.
    unsafe {
        core::arch::asm!(
            ".p2align 5",
            "2:",
            "movdqu {a}, [{from} + {at}]",
            "movdqu {b}, [{from} + {at} + 16]",
            "movdqu {c}, [{from} + {at} + 32]",
            "movdqu {d}, [{from} + {at} + 48]",
            "movdqu [{to} + {at}], {a}",
            "movdqu [{to} + {at} + 16], {b}",
            "movdqu [{to} + {at} + 32], {c}",
            "movdqu [{to} + {at} + 48], {d}",
            "add {at}, {step}",
            "cmp {at}, {beyond}",
            "jne 2b",
            from = in(reg) from,
            to = in(reg) to,
            step = in(reg) step,
            beyond = in(reg) beyond,
            at = inout(reg) first => _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack)
        );
    }
}

/// There are no vectors here: nothing calls it.
///
/// # Safety
///
/// None is needed.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_blocks(_: *const u8, _: *mut u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that tell the places apart.
    fn pattern(len: usize, seed: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 7 + at / 251 + seed) as u8).collect()
    }

    #[test]
    fn words_are_copied_as_bytes_are() {
        for count in (0..=300).chain([1 << 10, 1 << 20]) {
            let (new, old) = (pattern(count * 8, 1), pattern(count * 8 + 16, 2));
            let words: Vec<AtomicU64> = old
                .as_chunks::<8>()
                .0
                .iter()
                .map(|bytes| AtomicU64::new(u64::from_ne_bytes(*bytes)))
                .collect();
            copy_in(new.as_chunks::<8>().0, &words[1..=count]);
            // At an odd address.
            let mut back = vec![0; old.len() + 1];
            copy_out(&words, back[1..].as_chunks_mut::<8>().0);
            assert!(back[9..9 + new.len()] == new, "{count} words");
            assert_eq!((&back[1..9], &back[9 + new.len()..]), (&old[..8], &old[8 + new.len()..]));
        }
    }

    #[test]
    fn words_are_copied_between_any_two_places_of_a_page() {
        let words: Vec<AtomicU64> = (0..600).map(AtomicU64::new).collect();
        let old = pattern(600 * 8 + 4096, 2);
        for shift in (0..4096).step_by(8) {
            let mut back = old.clone();
            copy_out(&words, back[shift..shift + 600 * 8].as_chunks_mut::<8>().0);
            let copied = back[shift..].as_chunks::<8>().0.iter().take(600);
            assert!(copied.copied().map(u64::from_ne_bytes).eq(0..600), "{shift}");
            assert_eq!(
                (&back[..shift], &back[shift + 4800..]),
                (&old[..shift], &old[shift + 4800..])
            );
        }
    }
}
