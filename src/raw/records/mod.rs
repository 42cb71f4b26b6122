//! Records: a queue of records under two locks, with two positions, in chunks. It promises first in, first out; that a record is
//! there for everyone once `put` has returned, and taken by exactly one `take`; and that nobody's death loses or doubles any
//! other's.
//!
//! # Layout
//!
//! ```text
//! the head line, written by takers: 48 bytes of the queue's object
//! 0   8  head: position in the low half, count of records taken in the high half   THE TRUTH of taking
//! 8   8  head lock
//! 16  4  number of the queue's block
//! 20  4  event count of room
//! 24  8  a tail seen earlier (cache, under the head lock)
//! 32  8  chunks by parity of their number: where the head is
//! 40  4  number of the queue's kinds of records put so far: 1 large, 2 with references
//! 44  4  unused
//! the tail line, written by putters: the start of the queue's block
//! 0   8  tail: position and count of records put                                    THE TRUTH of putting
//! 8   8  tail lock
//! 16  8  closed
//! 24  4  event count of messages
//! 28  4  1: ends are counted, and somebody may wait for an end to go
//! 32  8  a head seen earlier (cache, under the tail lock)
//! 40  8  chunks by parity of their number: where the tail is
//! 48  4  most records (0: no limit)                                                   never after the start
//! 52  4  checksum of the message type                                                 never after the start
//! 56  8  most bytes (0: no limit)                                                     never after the start
//! 64 32  bytes put and bytes taken, two words each, by parity of the count
//! 96  4  how often the last end of a role went in some process                        whoever drops it
//! ```
//!
//! Positions count units of 8 bytes and run on for ever, modulo 2^32. Chunk number n, a block of 64 KiB, holds the positions
//! from 8192 n + 8 to 8192 (n + 1). A record is one word (length, form) and its payload, and never crosses a chunk: a word
//! `NEXT` or the chunk's end sends the reader to the chunk that the block's link names. Payloads above 4 KiB lie in a block
//! of their own that the record names.
//!
//! # Putting
//!
//! 1. A large payload: allocate a block (holder: this thread), fill it.
//! 2. Take the tail lock, adopting it from the dead.
//! 3. Full or closed: give the lock back and wait, or give up.
//! 4. No room in the chunk: allocate the next (holder: this thread), give it to the queue until its last position; write
//!    `NEXT`, the link, and its number under its parity.
//! 5. Write the record behind the tail. A large block: give it to the queue until this position.
//! 6. Store the tail. *The record is put.*
//! 7. Give the lock back; notify one on the event count of messages.
//!
//! A record that carries shared objects ends with their list. Step 6 then happens under the arena lock, so that whoever asks
//! there what messages refer to sees the record whole or not at all; so does step 5 of getting, after the getter has taken
//! the objects over.
//!
//! # Getting
//!
//! 1. Take the head lock, adopting it from the dead.
//! 2. Empty: give the lock back and wait, or give up.
//! 3. At the end of the chunk, follow the link: number under its parity.
//! 4. Copy the record out. A large block: this thread becomes its holder.
//! 5. Store the head. *The record is taken.*
//! 6. Give the lock back; free the chunk that was left; copy and free a large block; notify one on the event count of room.
//!
//! # Invariants
//!
//! - I1: what lies between head and tail was written before the tail was stored, and is not written until the head is past it.
//! - I2: a chunk is the queue's until the head is past its end (at the end, its link is still needed), a large block until
//!   the head is past its record ([`crate::memory`]).
//! - I3: the chunk numbers under the parities of head and tail are those of the chunks where head and tail are.
//!
//! # If a process dies
//!
//! | after putting step | the others see |
//! |---|---|
//! | 1 | nothing; the block is free, its holder being dead |
//! | 2, 3 | the lock of a dead owner, and take it over |
//! | 4 | the same tail; the successor writes `NEXT`, link and parity again (I3 holds: the parity is not the tail's); the orphan chunk is free once the head is past it (I2) |
//! | 5 | the same tail; the successor writes over it; an orphan block as above |
//! | 6 | the record; sleepers are woken by the alarm |
//!
//! | after getting step | the others see |
//! |---|---|
//! | 1, 2, 3 | the same head; the successor does it again |
//! | 4 | the same head; the large block is the queue's still, and the successor becomes its holder |
//! | 5 | the record is gone with the victim; its blocks are free (I2, holder dead) and found by the next sweep |
//!
//! The successor repairs nothing. Caches hold values that were true once, which is all they are used for.

#![allow(unsafe_code, reason = "structures in shared memory")]

mod chunk;
mod head;
mod pace;
mod put;
mod take;
mod walk;

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, Liveness};
use crate::raw::event_count::EventCount;
use crate::raw::lock::{Outcome, Policy, RobustLock};
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::shared::Shared;
use chunk::Cached;
use pace::Pace;
use std::time::Duration;

pub(crate) use chunk::{CHUNK_BYTES, ChunkBlock, after_chunk, chunk_start};
pub(crate) use head::{Form, INLINE, NamedBlock, RecordHead};
pub(crate) use put::{Attached, Put};
pub(crate) use take::Special;
pub(crate) use walk::{Walk, walk};

/// How long an attempt without waiting waits for a process that is inside the queue: only a stopped one stays that long.
const PATIENCE: Duration = Duration::from_millis(100);
/// More than this many positions between head and tail cannot be told from fewer.
const MOST_POSITIONS: u32 = 1 << 30;

/// What the takers write: the payload of the queue's object.
#[repr(C)]
pub(crate) struct HeadLine {
    head: AtomicU64,
    lock: RobustLock,
    pub(crate) block: AtomicU32,
    room: EventCount,
    tail_seen: AtomicU64,
    chunks: [AtomicU32; 2],
    pub(crate) special: AtomicU32,
    reserved: AtomicU32,
}

/// What the putters write, and what nobody writes after the start.
#[repr(C, align(64))]
pub(crate) struct TailLine {
    tail: AtomicU64,
    lock: RobustLock,
    closed: AtomicU64,
    messages: EventCount,
    pub(crate) split: AtomicU32,
    head_seen: AtomicU64,
    chunks: [AtomicU32; 2],
    most_items: AtomicU32,
    pub(crate) type_hash: AtomicU32,
    most_bytes: AtomicU64,
    bytes_put: [AtomicU64; 2],
    bytes_taken: [AtomicU64; 2],
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
pub(crate) struct Stamp(u64);

impl Stamp {
    fn new(position: u32, count: u32) -> Stamp {
        Stamp(u64::from(count) << 32 | u64::from(position))
    }

    pub(crate) fn position(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn count(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn parity(self) -> usize {
        self.count() as usize & 1
    }

    /// The stamp behind one more record, which ends at `position`.
    fn next(self, position: u32) -> Stamp {
        Stamp::new(position, self.count().wrapping_add(1))
    }
}

/// A side of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Putters,
    Takers,
}

/// What the records need of the rooms above: memory, and who is on the other side.
pub(crate) trait Store {
    fn liveness(&self) -> &'static Liveness;

    /// The chunk with this number.
    fn chunk(&self, id: u32) -> Result<ChunkBlock>;

    /// A new chunk, the queue's for as long as the head is not past `until`.
    fn new_chunk(&self, me: Id, until: u32) -> Result<ChunkBlock>;

    /// The head has left this chunk for good.
    fn free_chunk(&self, id: u32);

    /// Whether a side is gone for good, where ends are counted. Not under a lock.
    fn is_gone(&self, side: Side) -> bool;

    /// Whether a side was there when last looked for, and nothing has happened since. Costs next to nothing.
    fn was_there(&self, side: Side) -> bool;
}

/// One handle's view of a queue of records.
pub(crate) struct Records<S> {
    pub(crate) store: S,
    head: &'static HeadLine,
    tail: &'static TailLine,
    /// 0 for no limit, as in the tail line.
    most_items: u32,
    most_bytes: u64,
    message_pace: Pace,
    room_pace: Pace,
    tail_chunk: Cached,
    head_chunk: Cached,
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

#[cfg(test)]
impl TailLine {
    /// Where the next record is put.
    pub(crate) fn tail_position(&self) -> u32 {
        Stamp(self.tail.load(Ordering::Relaxed)).position()
    }
}

impl<S: Store> Records<S> {
    pub(crate) fn new(store: S, head: &'static HeadLine, tail: &'static TailLine) -> Records<S> {
        Records {
            store,
            head,
            tail,
            most_items: tail.most_items.load(Ordering::Relaxed),
            most_bytes: tail.most_bytes.load(Ordering::Relaxed),
            message_pace: Pace::default(),
            room_pace: Pace::default(),
            tail_chunk: Cached::default(),
            head_chunk: Cached::default(),
        }
    }

    pub(crate) fn lines(&self) -> (&'static HeadLine, &'static TailLine) {
        (self.head, self.tail)
    }

    fn load_head(&self) -> Stamp {
        // ORDERING(take): Acquire, pairs with the Release of the head in `store_head`: the record was copied before it may be
        // overwritten.
        Stamp(self.head.head.load(Ordering::Acquire))
    }

    fn load_tail(&self) -> Stamp {
        // ORDERING(put): Acquire, pairs with the Release of the tail in `store_tail`: the record before the tail (I1).
        Stamp(self.tail.tail.load(Ordering::Acquire))
    }

    /// How many records are in the queue.
    pub(crate) fn len(&self) -> usize {
        let (head, tail) = self.load_both();
        tail.count().wrapping_sub(head.count()) as usize
    }

    /// Head and tail as they were at one moment.
    fn load_both(&self) -> (Stamp, Stamp) {
        let mut head = self.load_head();
        for _ in 0..64 {
            let tail = self.load_tail();
            let again = self.load_head();
            if again == head {
                return (head, tail);
            }
            head = again;
        }
        // Takers are that busy: what is between is at least what a taker found.
        (head, self.load_tail())
    }

    /// The most records that it may hold.
    pub(crate) fn most_items(&self) -> Option<usize> {
        (self.most_items != 0).then_some(self.most_items as usize)
    }

    /// The most bytes that it may hold.
    pub(crate) fn most_bytes(&self) -> Option<u64> {
        (self.most_bytes != 0).then_some(self.most_bytes)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tail.closed.load(Ordering::Acquire) != 0
    }

    /// Whether somebody sleeps for messages, and for room.
    pub(crate) fn has_waiters(&self) -> (bool, bool) {
        (self.tail.messages.has_waiters(), self.head.room.has_waiters())
    }

    /// Nothing can be put from now on. What is in the queue can still be taken.
    ///
    /// A closer that is killed after its store is made good by the alarm. If it is stopped there, the keepers of those who sleep see
    /// the word that it stored.
    pub(crate) fn close(&self) -> Result<()> {
        let me = self.store.liveness().me()?;
        self.lock(&self.tail.lock, me, Deadline::NEVER)?;
        self.tail.closed.store(1, Ordering::SeqCst);
        self.tail.lock.unlock(me);
        self.notify_all();
        Ok(())
    }

    /// Wakes everyone on both sides: something has changed that all of them must check.
    pub(crate) fn notify_all(&self) {
        self.tail.messages.notify_all();
        self.head.room.notify_all();
    }

    fn lock(&self, lock: &'static RobustLock, me: Id, until: Deadline) -> Result<()> {
        if lock.try_lock(me) {
            return Ok(());
        }
        // An attempt without waiting waits for those who are inside, which takes no time while they live and run.
        let now = until == Deadline::NOW;
        let patience = if now { Deadline::after(PATIENCE) } else { until };
        match lock.lock(me, self.store.liveness(), patience, Policy::Adopt) {
            Outcome::Locked | Outcome::Adopted(_) => Ok(()),
            Outcome::TimedOut if now => Err(Error::new(
                ErrorKind::Busy,
                "a stopped process is in the middle of putting or getting: continue or kill it",
            )),
            Outcome::TimedOut => Err(Error::simple(ErrorKind::Timeout)),
            // A signal handler that interrupted its own thread inside the queue.
            _ => Err(Error::simple(ErrorKind::Deadlock)),
        }
    }
}

#[cold]
pub(crate) fn damaged(what: String) -> Error {
    Error::new(ErrorKind::Corrupted, format!("the queue is corrupted: {what}"))
}
