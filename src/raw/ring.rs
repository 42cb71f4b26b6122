//! The ring of records between one writer and one reader: first in, first out; each record is there whole or not at all.
//!
//! The ring is given two words and some bytes, and never looks beyond them. It has no lock and no read-modify-write, and
//! nothing in it waits. Writer and reader keep their own position in private memory; what the other side wrote is read only
//! when it is needed, and checked.
//!
//! # Layout
//!
//! ```text
//! tail  8  offset of the next record, and count of the records written     the writer writes; nobody needs it while it lives
//! head  8  offset of the next record, and count of the records taken       the reader writes, the writer reads when it needs room
//! bytes    a multiple of 8, divided into words
//! ```
//!
//! A stamp (head, tail) has the offset in the low half and the count in the high half, modulo 2^32. A record is a header word
//! and its payload, padded to whole words. It does not wrap: what is left at the end is skipped, and then the header there is
//! `PAD`.
//!
//! | header | meaning | who writes it |
//! |---|---|---|
//! | 0 | no record yet: here the next one comes | the writer, before it commits the record in front of it |
//! | `PAD` | nothing up to the end; go on at offset 0 | the writer |
//! | anything else | a record: length of the payload in the low half, `info` in the high half, which is never 0 | the writer |
//!
//! So the truth of writing is the header: the reader polls the very line in which the record begins, and a small record costs
//! one cache line instead of two. The truth of taking is the head.
//!
//! # Writing
//!
//! 1. Find room: the record, and behind it one more word. If the head seen last leaves none, load the head.
//! 2. If the record fits only at offset 0: store 0 there, then `PAD` at the tail.
//! 3. Write the payload.
//! 4. Store 0 in the word behind the record.
//! 5. Store the header. *The record is written.*
//! 6. Store the tail.
//!
//! # Reading
//!
//! 1. Load the header at the head. 0: there is no record.
//! 2. `PAD`: store the head at offset 0, and load the header there.
//! 3. Check the header; copy the payload, or use it in place.
//! 4. Store the head. *The record is taken.*
//!
//! # Invariants
//!
//! - I1: the word at the tail is 0 until the record there is written whole. Stale bytes are never taken for a header.
//! - I2: the writer writes only between tail and head, and the reader reads only between head and tail.
//! - I3: at least one word is free, so head and tail are equal only when there is no record.
//!
//! # If the writer dies
//!
//! | after step | the reader sees |
//! |---|---|
//! | 1, 3, 4 | nothing new: the header is 0 |
//! | 2 | the padding, and behind it the header 0; or nothing new |
//! | 5, 6 | the record |
//!
//! # If the reader dies
//!
//! | after step | the writer sees |
//! |---|---|
//! | 1, 3 | the same head: the record counts as not taken |
//! | 2 | the room of the padding |
//! | 4 | the room of the record |
//!
//! Nobody takes over from a dead one: whoever owns the ring tells the survivor that the other side is gone.

use crate::sys::atomic::{AtomicU64, Ordering};
use core::fmt;

const WORD: u32 = 8;
/// A header: nothing more up to the end of the bytes. No record has this length.
const PAD: u64 = u64::MAX;

/// The bytes of a ring, in shared memory.
pub(crate) trait Bytes {
    /// How many: a multiple of 8, below 2^31.
    fn capacity(&self) -> u32;
    /// The word at this offset, a multiple of 8 below the capacity.
    fn word(&self, at: u32) -> &AtomicU64;
}

/// The words and bytes of a ring.
pub(crate) struct Ring<'a, B> {
    pub(crate) head: &'a AtomicU64,
    pub(crate) tail: &'a AtomicU64,
    pub(crate) bytes: B,
}

/// What nobody writes there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Damage {
    Head(u64),
    Tail(u64),
    Header { at: u32, header: u64 },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Damage::Head(word) => write!(f, "its head is {word:#x}"),
            Damage::Tail(word) => write!(f, "its tail is {word:#x}"),
            Damage::Header { at, header } => write!(f, "the header at {at} is {header:#x}"),
        }
    }
}

/// A head or tail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp(u64);

impl Stamp {
    fn new(offset: u32, count: u32) -> Stamp {
        Stamp(u64::from(count) << 32 | u64::from(offset))
    }

    /// Where the next record is or comes, in bytes.
    pub(crate) fn offset(self) -> u32 {
        self.0 as u32
    }

    /// How many records were written or taken.
    pub(crate) fn count(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn is_within(self, capacity: u32) -> bool {
        self.offset().is_multiple_of(WORD) && self.offset() < capacity
    }
}

impl<B: Bytes> Ring<'_, B> {
    /// Makes the ring empty; before anyone else sees it.
    pub(crate) fn clear(&self) {
        self.bytes.word(0).store(0, Ordering::Relaxed);
        self.head.store(0, Ordering::Relaxed);
        self.tail.store(0, Ordering::Release);
    }

    fn load_head(&self) -> Result<Stamp, Damage> {
        // ORDERING(take): Acquire, pairs with the Release in `take`: the payload was read before it is written over (I2).
        let head = Stamp(self.head.load(Ordering::Acquire));
        if head.is_within(self.bytes.capacity()) { Ok(head) } else { Err(Damage::Head(head.0)) }
    }

    fn load_tail(&self) -> Result<Stamp, Damage> {
        // ORDERING: Acquire, pairs with the Release in `clear`, for the first writer and reader.
        let tail = Stamp(self.tail.load(Ordering::Acquire));
        if tail.is_within(self.bytes.capacity()) { Ok(tail) } else { Err(Damage::Tail(tail.0)) }
    }

    /// The header word at an offset that was checked.
    #[inline]
    fn load_header(&self, at: u32) -> u64 {
        // ORDERING(write): Acquire, pairs with the Release in `commit`: the payload before the header (I1).
        self.bytes.word(at).load(Ordering::Acquire)
    }

    /// Whether a record of a given count, written by a call that may have been cut off, is there and not yet taken.
    pub(crate) fn holds(&self, count: u32) -> Result<bool, Damage> {
        let (head, tail) = (self.load_head()?, self.load_tail()?);
        let written = tail.count().wrapping_sub(head.count());
        let ahead = count.wrapping_sub(head.count());
        // The header is the truth, and the tail may be one record behind it.
        Ok(ahead < written || (ahead == written && self.load_header(tail.offset()) != 0))
    }

    /// Tells the records that are there and not yet taken; exact while neither side moves.
    pub(crate) fn walk(&self, mut tell: impl FnMut(Record)) -> Result<(), Damage> {
        let mut at = self.load_head()?.offset();
        // No more than there are words: damaged headers may lead in a circle.
        for _ in 0..self.bytes.capacity() / WORD {
            match self.load_header(at) {
                0 => break,
                PAD if at == 0 => return Err(Damage::Header { at, header: PAD }),
                PAD => at = 0,
                header => {
                    let record = self.check(at, header)?;
                    tell(record);
                    at = self.end_of(record);
                }
            }
        }
        Ok(())
    }

    /// The record with this header, if it is one.
    #[inline]
    fn check(&self, at: u32, header: u64) -> Result<Record, Damage> {
        let (len, info) = (header as u32, (header >> 32) as u32);
        let left = self.bytes.capacity() - at;
        if info != 0 && len <= left - WORD {
            Ok(Record { at: at as usize, header })
        } else {
            Err(Damage::Header { at, header })
        }
    }

    /// Where the next record is or comes.
    #[inline]
    fn end_of(&self, record: Record) -> u32 {
        let end = record.at as u32 + footprint(record.header as u32);
        if end >= self.bytes.capacity() { 0 } else { end }
    }

    /// About how many records are there; exact while neither side moves.
    pub(crate) fn len(&self) -> u32 {
        let tail = Stamp(self.tail.load(Ordering::Acquire));
        tail.count().wrapping_sub(Stamp(self.head.load(Ordering::Acquire)).count())
    }
}

/// Bytes that a record takes, header included.
#[inline]
fn footprint(len: u32) -> u32 {
    WORD + len.next_multiple_of(WORD)
}

/// The largest payload that always fits an empty ring, wherever its tail is.
pub(crate) const fn largest(capacity: u32) -> u32 {
    (capacity / 2).saturating_sub(4 * WORD) & !(WORD - 1)
}

/// Room for one record, which only its writer sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Room {
    at: usize,
    len: usize,
}

impl Room {
    #[inline]
    fn new(at: u32, len: u32) -> Room {
        Room { at: at as usize, len: len as usize }
    }

    /// The offset of the payload.
    #[inline]
    pub(crate) fn payload(self) -> usize {
        self.at + WORD as usize
    }
}

/// The writing side: its own position, and the head that it saw last.
#[derive(Debug)]
pub(crate) struct Writer {
    tail: Stamp,
    head_seen: Stamp,
}

impl Writer {
    /// Goes on where the last writer, which is gone, stopped.
    pub(crate) fn new<B: Bytes>(ring: &Ring<'_, B>) -> Result<Writer, Damage> {
        let (tail, head_seen) = (ring.load_tail()?, ring.load_head()?);
        match ring.load_header(tail.offset()) {
            0 => Ok(Writer { tail, head_seen }),
            header => Err(Damage::Header { at: tail.offset(), header }),
        }
    }

    pub(crate) fn tail(&self) -> Stamp {
        self.tail
    }

    /// Finds room for a payload of `len` bytes, at most [`largest`]; writing steps 1 and 2.
    #[inline]
    pub(crate) fn reserve<B: Bytes>(
        &mut self,
        ring: &Ring<'_, B>,
        len: u32,
    ) -> Result<Option<Room>, Damage> {
        match self.fit(ring.bytes.capacity(), len) {
            Some(at) if at == self.tail.offset() => Ok(Some(Room::new(at, len))),
            _ => self.reserve_slow(ring, len),
        }
    }

    #[cold]
    fn reserve_slow<B: Bytes>(
        &mut self,
        ring: &Ring<'_, B>,
        len: u32,
    ) -> Result<Option<Room>, Damage> {
        let capacity = ring.bytes.capacity();
        if self.fit(capacity, len).is_none() {
            self.head_seen = ring.load_head()?;
        }
        let Some(at) = self.fit(capacity, len) else { return Ok(None) };
        if at != self.tail.offset() {
            self.pad(ring);
        }
        Ok(Some(Room::new(at, len)))
    }

    /// Where a record fits by what is known of the head: at the tail, or at 0 behind padding.
    #[inline]
    fn fit(&self, capacity: u32, len: u32) -> Option<u32> {
        let (tail, head) = (self.tail.offset(), self.head_seen.offset());
        let needed = footprint(len);
        if tail < head {
            // The word behind the record stays free (I3).
            return (needed + WORD <= head - tail).then_some(tail);
        }
        let left = capacity - tail;
        // A record that ends at the very end has the word at 0 behind it.
        if needed < left || (needed == left && head > 0) {
            return Some(tail);
        }
        (needed + WORD <= head).then_some(0)
    }

    fn pad<B: Bytes>(&mut self, ring: &Ring<'_, B>) {
        ring.bytes.word(0).store(0, Ordering::Relaxed);
        // ORDERING(write): Release, as in `commit`: the 0 before the padding.
        ring.bytes.word(self.tail.offset()).store(PAD, Ordering::Release);
        self.tail = Stamp::new(0, self.tail.count());
        ring.tail.store(self.tail.0, Ordering::Relaxed);
    }

    /// Makes the record in `room` visible, whose payload has been written; writing steps 4 to 6. `info` is not 0.
    #[inline]
    pub(crate) fn commit<B: Bytes>(&mut self, ring: &Ring<'_, B>, room: Room, info: u32) {
        let (at, len) = (room.at as u32, room.len as u32);
        let end = at + footprint(len);
        let next = if end == ring.bytes.capacity() { 0 } else { end };
        ring.bytes.word(next).store(0, Ordering::Relaxed);
        let header = u64::from(info) << 32 | u64::from(len);
        // ORDERING(write): Release, pairs with the Acquire in `load_header`: payload and the 0 behind it first (I1).
        ring.bytes.word(at).store(header, Ordering::Release);
        self.tail = Stamp::new(next, self.tail.count().wrapping_add(1));
        // ORDERING: Relaxed: who goes on from here has been told so by other means.
        ring.tail.store(self.tail.0, Ordering::Relaxed);
    }
}

/// A record that is there: its offset and its header. Whole words: parts of a word that were just stored one by one are slow
/// to load together (12 ns here), which is what passing smaller fields on in a result comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    at: usize,
    header: u64,
}

impl Record {
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.header as u32 as usize
    }

    #[inline]
    pub(crate) fn info(self) -> u32 {
        (self.header >> 32) as u32
    }

    /// The offset of the payload, which ends within the bytes.
    #[inline]
    pub(crate) fn payload(self) -> usize {
        self.at + WORD as usize
    }
}

/// The reading side: its own position.
#[derive(Debug)]
pub(crate) struct Reader {
    head: Stamp,
}

impl Reader {
    /// Goes on where the last reader, which is gone, stopped.
    pub(crate) fn new<B: Bytes>(ring: &Ring<'_, B>) -> Result<Reader, Damage> {
        Ok(Reader { head: ring.load_head()? })
    }

    pub(crate) fn head(&self) -> Stamp {
        self.head
    }

    /// Whether there is no record; padding counts as one.
    #[inline]
    pub(crate) fn is_at_end<B: Bytes>(&self, ring: &Ring<'_, B>) -> bool {
        ring.load_header(self.head.offset()) == 0
    }

    /// The first record, if there is one; reading steps 1 to 3.
    #[inline]
    pub(crate) fn peek<B: Bytes>(&mut self, ring: &Ring<'_, B>) -> Result<Option<Record>, Damage> {
        let header = ring.load_header(self.head.offset());
        if header == 0 {
            return Ok(None);
        }
        if header == PAD {
            return self.skip_padding(ring);
        }
        ring.check(self.head.offset(), header).map(Some)
    }

    #[cold]
    fn skip_padding<B: Bytes>(&mut self, ring: &Ring<'_, B>) -> Result<Option<Record>, Damage> {
        if self.head.offset() == 0 {
            return Err(Damage::Header { at: 0, header: PAD });
        }
        self.go_to(ring, Stamp::new(0, self.head.count()));
        match ring.load_header(0) {
            0 => Ok(None),
            header => ring.check(self.head.offset(), header).map(Some),
        }
    }

    /// Takes the record that `peek` gave; reading step 4. Its bytes belong to the writer from now on.
    #[inline]
    pub(crate) fn take<B: Bytes>(&mut self, ring: &Ring<'_, B>, record: Record) {
        let next = ring.end_of(record);
        self.go_to(ring, Stamp::new(next, self.head.count().wrapping_add(1)));
    }

    #[inline]
    fn go_to<B: Bytes>(&mut self, ring: &Ring<'_, B>, head: Stamp) {
        self.head = head;
        // ORDERING(take): Release, pairs with the Acquire in `load_head`: the payload was read before (I2).
        ring.head.store(head.0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let Some(room) = writer.reserve(ring, len).unwrap() else { return false };
        for at in (0..len).step_by(8) {
            ring.bytes.word(room.payload() as u32 + at).store(number, Ordering::Relaxed);
        }
        writer.commit(ring, room, 1);
        true
    }

    fn read(reader: &mut Reader, ring: &Ring<'_, &Words>) -> Option<(u32, u64)> {
        let record = reader.peek(ring).unwrap()?;
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
}
