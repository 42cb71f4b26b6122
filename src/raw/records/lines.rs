//! The words of a queue of records; [`super`] has the layout.

#![allow(unsafe_code, reason = "structures in shared memory")]

use super::chunk::chunk_start;
use crate::raw::event_count::EventCount;
use crate::raw::short_lock::ShortLock;
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::shared::Shared;

/// What the takers write: the payload of the queue's object.
#[repr(C)]
pub(crate) struct HeadLine {
    /// The stamp up to which records were taken: the truth of taking. Written under the head lock.
    pub(super) head: AtomicU64,
    /// The head lock.
    pub(super) lock: ShortLock,
    /// The id of the queue's block. Written by the maker.
    pub(crate) block: AtomicU32,
    /// On which putters sleep who want room. Written by them and by takers.
    pub(super) room: EventCount,
    /// A tail seen earlier (cache). Written under the head lock.
    pub(super) tail_seen: AtomicU64,
    /// Where the head is: chunks by the parity of their number. Written under the head lock.
    pub(super) chunks: [AtomicU32; 2],
    /// Which kinds of special records were put so far: a bit for large ones, one for those with references. Written by putters.
    pub(super) special: AtomicU32,
    /// The id of the block in which what was taken is kept until it is done; 0: what is taken is gone. Written by the maker.
    pub(crate) leases: AtomicU32,
}

/// Kinds of records that [`HeadLine::special`] tells of: those that lie in a block of their own, and those with references.
pub(crate) const LARGE: u32 = 1;
pub(crate) const CARRIES: u32 = 2;

/// Nothing can be put any more.
pub(super) const CLOSED: u64 = 1;
/// Counts changes for takers, in the same word.
pub(super) const CHANGE: u64 = 2;

/// What the putters write, and what nobody writes after the start.
#[repr(C, align(64))]
pub(crate) struct TailLine {
    /// The stamp up to which records were put: the truth of putting. Written under the tail lock.
    pub(super) tail: AtomicU64,
    /// The tail lock.
    pub(super) lock: ShortLock,
    /// Bit 0, [`CLOSED`]: nothing can be put any more; written under the tail lock. Above it: how often something changed for
    /// takers that is no record; written under the head lock.
    pub(super) closed: AtomicU64,
    /// On which takers sleep who want a record. Written by them and by putters.
    pub(super) messages: EventCount,
    /// 1: ends are counted, and somebody may wait for an end to go. Written by whoever splits.
    pub(crate) split: AtomicU32,
    /// A head seen earlier (cache). Written under the tail lock.
    pub(super) head_seen: AtomicU64,
    /// Where the tail is: chunks by the parity of their number. Written under the tail lock.
    pub(super) chunks: [AtomicU32; 2],
    /// The most records; 0: no limit. Written by the maker, as `type_hash` and `most_bytes`.
    pub(super) most_items: AtomicU32,
    /// A checksum of the message type.
    pub(crate) type_hash: AtomicU32,
    /// The most bytes; 0: no limit.
    pub(super) most_bytes: AtomicU64,
    /// Bytes put, by the parity of the tail's count. Written under the tail lock, before the tail.
    pub(super) bytes_put: [AtomicU64; 2],
    /// Bytes taken, by the parity of the head's count. Written under the head lock, before the head.
    pub(super) bytes_taken: [AtomicU64; 2],
    /// How often the last end of a role went in some process. Written by whoever drops it.
    pub(crate) ends_gone: AtomicU32,
    reserved: [AtomicU32; 7],
}

// SAFETY: structures of atomics only.
unsafe impl Shared for HeadLine {}
// SAFETY: as above.
unsafe impl Shared for TailLine {}

const _: () = {
    use core::mem::offset_of;
    assert!(!NATIVE || (offset_of!(HeadLine, tail_seen) == 24 && size_of::<HeadLine>() == 48));
    assert!(
        !NATIVE
            || (offset_of!(TailLine, head_seen) == 32 && offset_of!(TailLine, most_bytes) == 56)
    );
    assert!(!NATIVE || (offset_of!(TailLine, ends_gone) == 96 && size_of::<TailLine>() == 128));
};

/// A head or tail: a position and a count, stored together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp(pub(super) u64);

impl Stamp {
    pub(super) fn new(position: u32, count: u32) -> Stamp {
        Stamp(u64::from(count) << 32 | u64::from(position))
    }

    pub(crate) fn position(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn count(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn parity(self) -> usize {
        self.count() as usize & 1
    }

    /// The stamp behind one more record, which ends at `position`.
    pub(super) fn next(self, position: u32) -> Stamp {
        Stamp::new(position, self.count().wrapping_add(1))
    }
}

impl HeadLine {
    /// A record of this kind is about to be put for the first time, or once more.
    pub(crate) fn note(&self, kinds: u32) {
        // Relaxed: whoever asks under the arena lock asks for records that were put under it.
        if self.special.load(Ordering::Relaxed) & kinds != kinds {
            self.special.fetch_or(kinds, Ordering::Relaxed);
        }
    }

    /// How many records were taken so far, modulo 2^32.
    pub(crate) fn count(&self) -> u32 {
        Stamp(self.head.load(Ordering::Acquire)).count()
    }

    /// Whether a record with references was put so far.
    pub(crate) fn may_carry(&self) -> bool {
        self.special.load(Ordering::Relaxed) & CARRIES != 0
    }
}

#[cfg(test)]
impl TailLine {
    /// Where the next record is put.
    pub(crate) fn tail_position(&self) -> u32 {
        Stamp(self.tail.load(Ordering::Relaxed)).position()
    }
}

/// Makes the words of an empty queue whose first chunk has the given number; positions near the end of their range come soon in
/// tests. The memory is zero.
pub(crate) fn begin(
    head: &HeadLine,
    tail: &TailLine,
    number: u32,
    chunk: u32,
    most_items: u32,
    most_bytes: u64,
) {
    tail.most_items.store(most_items, Ordering::Relaxed);
    tail.most_bytes.store(most_bytes, Ordering::Relaxed);
    let start = Stamp::new(chunk_start(number), 0);
    let parity = number as usize & 1;
    tail.chunks[parity].store(chunk, Ordering::Relaxed);
    tail.head_seen.store(start.0, Ordering::Relaxed);
    // ORDERING(put): Release, as in `store_tail`.
    tail.tail.store(start.0, Ordering::Release);
    head.chunks[parity].store(chunk, Ordering::Relaxed);
    head.tail_seen.store(start.0, Ordering::Relaxed);
    // ORDERING(take): Release, as in `store_head`.
    head.head.store(start.0, Ordering::Release);
}
