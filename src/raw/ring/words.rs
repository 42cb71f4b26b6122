//! Head, tail and headers: what both sides agree on, and what can be asked of a ring from outside.

use crate::sys::atomic::{AtomicU64, Ordering};
use core::fmt;

pub(super) const WORD: u32 = 8;
/// A header: nothing more up to the end of the bytes. No record has this length.
pub(super) const PAD: u64 = u64::MAX;

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
pub(crate) struct Stamp(pub(super) u64);

impl Stamp {
    pub(super) fn new(offset: u32, count: u32) -> Stamp {
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

    pub(super) fn load_head(&self) -> Result<Stamp, Damage> {
        // ORDERING(take): Acquire, pairs with the Release in `take`: the payload was read before it is written over (I2).
        let head = Stamp(self.head.load(Ordering::Acquire));
        if head.is_within(self.bytes.capacity()) { Ok(head) } else { Err(Damage::Head(head.0)) }
    }

    pub(super) fn load_tail(&self) -> Result<Stamp, Damage> {
        // ORDERING: Acquire, pairs with the Release in `clear`, for the first writer and reader.
        let tail = Stamp(self.tail.load(Ordering::Acquire));
        if tail.is_within(self.bytes.capacity()) { Ok(tail) } else { Err(Damage::Tail(tail.0)) }
    }

    /// The header word at an offset that was checked.
    #[inline]
    pub(super) fn load_header(&self, at: u32) -> u64 {
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
    pub(super) fn check(&self, at: u32, header: u64) -> Result<Record, Damage> {
        let (len, info) = (header as u32, (header >> 32) as u32);
        let left = self.bytes.capacity() - at;
        if info != 0 && len <= left - WORD {
            Ok(Record { at: at as usize, header })
        } else {
            Err(Damage::Header { at, header })
        }
    }

    /// Where the record behind this one is or comes.
    #[inline]
    pub(super) fn end_of(&self, record: Record) -> u32 {
        self.behind(record.at as u32, record.header as u32)
    }

    /// Where the record behind one of `len` bytes at `at` is or comes.
    #[inline]
    pub(super) fn behind(&self, at: u32, len: u32) -> u32 {
        let end = at + footprint(len);
        if end >= self.bytes.capacity() { 0 } else { end }
    }

    /// About how many records are there; exact while neither side moves.
    pub(crate) fn len(&self) -> u32 {
        let tail = Stamp(self.tail.load(Ordering::Acquire));
        tail.count().wrapping_sub(Stamp(self.head.load(Ordering::Acquire)).count())
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

/// Bytes that a record takes, header included.
#[inline]
pub(super) fn footprint(len: u32) -> u32 {
    WORD + len.next_multiple_of(WORD)
}

/// The largest payload that always fits an empty ring, wherever its tail is.
pub(crate) const fn largest(capacity: u32) -> u32 {
    (capacity / 2).saturating_sub(4 * WORD) & !(WORD - 1)
}
