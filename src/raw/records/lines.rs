//! The words of a queue of records; [`super`] has the layout.

#![allow(unsafe_code, reason = "structures in shared memory")]

use super::chunk::chunk_start;
use crate::raw::event_count::EventCount;
use crate::raw::lock::RobustLock;
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::shared::Shared;

/// What the takers write: the payload of the queue's object.
#[repr(C)]
pub(crate) struct HeadLine {
    pub(super) head: AtomicU64,
    pub(super) lock: RobustLock,
    pub(crate) block: AtomicU32,
    pub(super) room: EventCount,
    pub(super) tail_seen: AtomicU64,
    pub(super) chunks: [AtomicU32; 2],
    pub(super) special: AtomicU32,
    reserved: AtomicU32,
}

/// Kinds of records that [`HeadLine::special`] tells of: those that lie in a block of their own, and those with references.
pub(crate) const LARGE: u32 = 1;
pub(crate) const CARRIES: u32 = 2;

/// What the putters write, and what nobody writes after the start.
#[repr(C, align(64))]
pub(crate) struct TailLine {
    pub(super) tail: AtomicU64,
    pub(super) lock: RobustLock,
    pub(super) closed: AtomicU64,
    pub(super) messages: EventCount,
    pub(crate) split: AtomicU32,
    pub(super) head_seen: AtomicU64,
    pub(super) chunks: [AtomicU32; 2],
    pub(super) most_items: AtomicU32,
    pub(crate) type_hash: AtomicU32,
    pub(super) most_bytes: AtomicU64,
    pub(super) bytes_put: [AtomicU64; 2],
    pub(super) bytes_taken: [AtomicU64; 2],
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
    tail.tail.store(start.0, Ordering::Release);
    head.chunks[parity].store(chunk, Ordering::Relaxed);
    head.tail_seen.store(start.0, Ordering::Relaxed);
    head.head.store(start.0, Ordering::Release);
}
