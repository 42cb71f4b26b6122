//! What stands where in the block of a pipe.

#![allow(unsafe_code, reason = "a structure in shared memory")]

use crate::memory::HEAD;
use crate::raw::event_count::EventCount;
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE};
use crate::sys::shared::Shared;

/// Bytes of a pipe's block, with the block's own head.
pub(super) const BLOCK_BYTES: usize = 64 << 10;
pub(super) const BLOCK_HEAD: usize = HEAD as usize;
pub(super) const NAME_AT: usize = 320;
pub(super) const NAME_MOST: usize = 248;
pub(super) const RING_AT: usize = 576;
/// Bytes of the ring.
pub(super) const CAPACITY: u32 = (BLOCK_BYTES - BLOCK_HEAD - RING_AT) as u32;

/// One side's line.
#[repr(C, align(64))]
pub(super) struct Side {
    /// The ring's tail on the sender's line, its head on the receiver's.
    pub(super) stamp: AtomicU64,
    /// What the *other* side sleeps on.
    pub(super) events: EventCount,
    spare: AtomicU32,
    /// Bytes of messages in blocks of their own that were sent or received so far.
    pub(super) large: AtomicU64,
    rest: [AtomicU64; 5],
}

/// The start of a pipe's block. See the diagram in [`crate::channel::pipe`].
#[repr(C, align(64))]
pub(super) struct Control {
    pub(super) type_hash: AtomicU32,
    spare: AtomicU32,
    /// Twice for each end that left a process: before and after.
    pub(super) departures: AtomicU64,
    /// Messages with handles: the block of the first, or 0.
    pub(super) first: AtomicU32,
    /// The block of the last one.
    pub(super) last: AtomicU32,
    /// One more than the processor on which sender and receiver were when they last waited or woke the other one; 0 before.
    pub(super) processors: [AtomicU32; 2],
    rest: [AtomicU64; 4],
    pub(super) sender: Side,
    apart: [AtomicU64; 8],
    pub(super) receiver: Side,
}

// SAFETY: a structure of atomics only.
unsafe impl Shared for Control {}

const _: () = {
    // The block begins 64 bytes behind a page: so each side has a pair of lines for itself.
    assert!(!NATIVE || core::mem::offset_of!(Control, sender) == 64);
    assert!(!NATIVE || core::mem::offset_of!(Control, receiver) == 192);
    assert!(!NATIVE || size_of::<Control>() <= NAME_AT);
    assert!(NAME_AT + 8 + NAME_MOST <= RING_AT);
    assert!(CAPACITY.is_multiple_of(8) && (BLOCK_HEAD + RING_AT).is_multiple_of(64));
};
