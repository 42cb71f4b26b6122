//! The ring against an oracle, and against any words.

use super::words::{Stamp, WORD};
use super::{Bytes, Reader, Ring, Writer, largest};
use crate::sys::atomic::{AtomicU64, Ordering};
use std::collections::VecDeque;

struct Words(Vec<AtomicU64>);

impl Bytes for &Words {
    fn capacity(&self) -> u32 {
        self.0.len() as u32 * WORD
    }
    fn word(&self, at: u32) -> &AtomicU64 {
        &self.0[(at / WORD) as usize]
    }
}

struct Both {
    head: AtomicU64,
    tail: AtomicU64,
    words: Words,
}

impl Both {
    fn new(words: usize) -> Both {
        // Stale bytes that look like records.
        let words = Words((0..words).map(|_| AtomicU64::new(1 << 32 | 8)).collect());
        let both = Both { head: AtomicU64::new(7), tail: AtomicU64::new(9), words };
        both.ring().clear();
        both
    }
    fn ring(&self) -> Ring<'_, &Words> {
        Ring { head: &self.head, tail: &self.tail, bytes: &self.words }
    }
    fn sides(&self) -> (Writer, Reader) {
        (Writer::new(&self.ring()).unwrap(), Reader::new(&self.ring()).unwrap())
    }
}

fn write(writer: &mut Writer, ring: &Ring<'_, &Words>, len: u32, number: u64) -> bool {
    let fast = writer.reserve_fast(ring, len);
    let Some(room) = fast.or_else(|| writer.reserve(ring, len).unwrap()) else { return false };
    for at in (0..len).step_by(8) {
        ring.bytes.word(room.payload() as u32 + at).store(number, Ordering::Relaxed);
    }
    writer.commit(ring, room, 1);
    true
}

fn read(reader: &mut Reader, ring: &Ring<'_, &Words>) -> Option<(u32, u64)> {
    let record = reader.peek_fast(ring).or_else(|| reader.peek(ring).unwrap())?;
    let mut number = None;
    for at in (0..record.len() as u32).step_by(8) {
        let word = ring.bytes.word(record.payload() as u32 + at).load(Ordering::Relaxed);
        assert!(number.is_none_or(|number| number == word), "torn");
        number = Some(word);
    }
    reader.take(ring, record);
    Some((record.len() as u32, number.unwrap_or(0)))
}

/// Every operation against an oracle, in rings of every small size, with lengths that meet every end.
#[test]
fn records_come_in_order_and_whole_in_rings_of_every_size() {
    let mut chance = 0x9e37_79b9_u64;
    for words in 8..40 {
        let both = Both::new(words);
        let ring = both.ring();
        let (mut writer, mut reader) = both.sides();
        let mut expected = VecDeque::new();
        for number in 1..4000_u64 {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let len = (chance >> 8) as u32 % (largest(words as u32 * WORD) + 1);
            if chance & 3 != 0 {
                let written = write(&mut writer, &ring, len, number);
                assert!(written || !expected.is_empty(), "{len} do not fit {words} words");
                if written {
                    expected.push_back((len, if len == 0 { 0 } else { number }));
                }
            } else {
                assert_eq!(read(&mut reader, &ring), expected.pop_front());
            }
            assert_eq!(ring.len() as usize, expected.len());
            assert_eq!(reader.is_at_end(&ring), expected.is_empty());
            if number.is_multiple_of(64) {
                (writer, reader) = both.sides();
            }
        }
    }
}

/// A writer makes room at the beginning, and does not use it; it, or its successor, writes what would have fit at the end.
#[test]
fn room_behind_padding_that_is_not_used_holds_nothing() {
    for is_succeeded in [false, true] {
        let both = Both::new(16);
        let ring = both.ring();
        let (mut writer, mut reader) = both.sides();
        for number in 1..=2 {
            assert!(write(&mut writer, &ring, 40, number));
            assert_eq!(read(&mut reader, &ring), Some((40, number)));
        }
        assert_eq!(writer.reserve(&ring, 40).unwrap().unwrap().payload(), 8);
        assert_eq!(read(&mut reader, &ring), None);
        if is_succeeded {
            writer = Writer::new(&ring).unwrap();
        }
        assert!(write(&mut writer, &ring, 8, 3));
        assert_eq!(read(&mut reader, &ring), Some((8, 3)));
    }
}

#[test]
fn what_is_cut_off_before_the_header_was_not_written() {
    let both = Both::new(16);
    let ring = both.ring();
    let (mut writer, mut reader) = both.sides();
    assert!(write(&mut writer, &ring, 8, 1));
    let room = writer.reserve(&ring, 16).unwrap().unwrap();
    ring.bytes.word(room.payload() as u32).store(u64::MAX, Ordering::Relaxed);
    assert_eq!(read(&mut reader, &ring), Some((8, 1)));
    assert_eq!(read(&mut reader, &ring), None);
    // The tail is one behind the header when the writer was cut off after the header.
    let tail = ring.tail.load(Ordering::Relaxed);
    writer.commit(&ring, room, 1);
    ring.tail.store(tail, Ordering::Relaxed);
    assert!(ring.holds(1).unwrap() && !ring.holds(0).unwrap() && !ring.holds(2).unwrap());
    assert!(Writer::new(&ring).is_err());
}

#[test]
fn counts_wrap() {
    let both = Both::new(8);
    both.head.store(Stamp::new(0, u32::MAX).0, Ordering::Relaxed);
    both.tail.store(Stamp::new(0, u32::MAX).0, Ordering::Relaxed);
    let ring = both.ring();
    let (mut writer, mut reader) = both.sides();
    for number in 1..100 {
        assert!(write(&mut writer, &ring, 8, number));
        assert!(ring.holds(writer.tail().count().wrapping_sub(1)).unwrap());
        assert_eq!(read(&mut reader, &ring), Some((8, number)));
    }
    assert_eq!(reader.head().count(), 98);
}

/// Whatever stands in the words: an error or a record within the bytes, and no end without an end.
#[test]
fn any_word_is_taken_for_damage_or_for_a_record_within_the_bytes() {
    let mut chance = 0x1234_5678_9abc_u64;
    for _ in 0..20_000 {
        let mut next = || {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            // Small numbers come more often.
            [chance, chance >> 40, chance & 0xff, u64::MAX, chance & 0xff_0000_00f8]
                [(chance >> 50) as usize % 5]
        };
        let both = Both::new(16);
        for word in [&both.head, &both.tail].into_iter().chain(&both.words.0) {
            word.store(next(), Ordering::Relaxed);
        }
        let ring = both.ring();
        let Ok(mut reader) = Reader::new(&ring) else { continue };
        for _ in 0..64 {
            let Ok(Some(record)) = reader.peek(&ring) else { break };
            assert!(record.payload() + record.len() <= 128);
            reader.take(&ring, record);
        }
        let Ok(mut writer) = Writer::new(&ring) else { continue };
        for _ in 0..64 {
            let Ok(Some(room)) = writer.reserve(&ring, 24) else { break };
            assert!(room.payload() + 24 <= 128);
            writer.commit(&ring, room, 1);
        }
    }
}
