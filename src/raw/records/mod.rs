//! The queue of records: two locks, two counters, chunks. It promises first in, first out; that a record is there for
//! everyone once `push` has returned, and taken by exactly one `pop`; and that nobody's death loses or doubles any other's.
//!
//! # Layout
//!
//! ```text
//! the queue's cell (one cache line, written by getters)
//! 0   8  head: position in the low half, count of records taken in the high half   THE TRUTH of getting
//! 8   8  head lock
//! 16  4  number of the queue's block
//! 20  4  news of room
//! 24  8  a tail seen earlier (cache, under the head lock)
//! 32  8  chunks by parity of their number: where the head is
//! 40  8  not 0 once a message with handles was put
//! the queue's block
//! 0   8  tail: position and count of records put                                    THE TRUTH of putting
//! 8   8  tail lock
//! 16  4  closed
//! 20  4  news of messages
//! 24  8  a head seen earlier (cache, under the tail lock)
//! 32  8  chunks by parity of their number: where the tail is
//! 40  4  most records (0: no limit)
//! 44  4  1: the queue was split, and somebody may wait for an end to go
//! 48  8  most bytes (0: no limit)
//! 56  4  checksum of the message type's name
//! 64 32  bytes put and bytes taken, two words each, by parity of the count
//! 128    name of the message type, length first
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
//! 7. Give the lock back; tell the news of messages.
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
//! 6. Give the lock back; free the chunk that was left; copy and free a large block; tell the news of room.
//!
//! # Invariants
//!
//! - I1: what lies between head and tail was written before the tail was stored, and is not written until the head is past it.
//! - I2: a chunk is the queue's until the head is past its end (at the end, its link is still needed), a large block until
//!   the head is past its record ([`crate::world::arena`]).
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
mod pace;
mod pop;
mod push;
mod walk;

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::world::cells;
use crate::world::handle::{CONSUMER, CellRef, Found as RoleFound, Kind, PRODUCER, Parcel};
use crate::world::news::News;
use crate::world::registry::Id;
use crate::world::word_lock::{Outcome, Policy, WordLock};
use crate::world::{Shared, World};
use chunk::{CHUNK, CHUNK_BYTES, CHUNK_FIRST, Found};
use pace::Pace;
use std::sync::Arc;
use std::time::Duration;
use walk::walk;

/// Larger payloads get a block of their own.
const INLINE: usize = 4096;
/// The payload of a record that names a block: its number and the length.
const NAMED: usize = 16;
/// How long a look without waiting waits for a process that is inside the queue: only a stopped one stays that long.
const PATIENCE: Duration = Duration::from_millis(100);
/// More than this many positions between head and tail cannot be told from fewer.
const MOST_POSITIONS: u32 = 1 << 30;
/// Bytes of the queue's block.
const BLOCK_BYTES: usize = 512;
const NAME_AT: usize = 128;
const NAME_MOST: usize = 256;

/// What the second half of a record's first word says.
const FORM: u32 = 0xff;
const NAMES_BLOCK: u32 = 1 << 8;
const CARRIES: u32 = 1 << 9;
/// How a payload is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Form {
    /// A value of the queue's type.
    Typed = 1,
    /// Plain bytes.
    Bytes = 2,
}

/// What the getters write: the payload of the queue's cell.
#[repr(C)]
struct HeadLine {
    head: AtomicU64,
    lock: WordLock,
    block: AtomicU32,
    room: News,
    tail_seen: AtomicU64,
    chunks: [AtomicU32; 2],
}

/// What the putters write, and what nobody writes after the start.
#[repr(C, align(64))]
struct TailLine {
    tail: AtomicU64,
    lock: WordLock,
    closed: AtomicU32,
    messages: News,
    head_seen: AtomicU64,
    chunks: [AtomicU32; 2],
    most_items: AtomicU32,
    split: AtomicU32,
    most_bytes: AtomicU64,
    type_hash: AtomicU32,
    rest: AtomicU32,
    bytes_put: [AtomicU64; 2],
    bytes_taken: [AtomicU64; 2],
}

// SAFETY: structures of atomics only.
unsafe impl Shared for HeadLine {}
// SAFETY: as above.
unsafe impl Shared for TailLine {}

const _: () = {
    assert!(core::mem::offset_of!(HeadLine, tail_seen) == 24 && size_of::<HeadLine>() == 40);
    assert!(core::mem::offset_of!(TailLine, head_seen) == 24);
    assert!(core::mem::offset_of!(TailLine, most_bytes) == 48);
    assert!(core::mem::offset_of!(TailLine, bytes_put) == 64);
};

/// A head or tail: a position and a count, stored together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mark(u64);

impl Mark {
    fn new(position: u32, count: u32) -> Mark {
        Mark(u64::from(count) << 32 | u64::from(position))
    }
    fn position(self) -> u32 {
        self.0 as u32
    }
    fn count(self) -> u32 {
        (self.0 >> 32) as u32
    }
    fn parity(self) -> usize {
        self.count() as usize & 1
    }
}

/// A handle to a queue of records.
pub(super) struct Ring {
    reference: Arc<CellRef>,
    head: &'static HeadLine,
    tail: &'static TailLine,
    roles: u32,
    /// 0 for no limit, as in the queue's block.
    most_items: u32,
    most_bytes: u64,
    /// The alarm epoch at which the other ends were last seen alive.
    epoch: AtomicU32,
    message_pace: Pace,
    room_pace: Pace,
    tail_chunk: Found,
    head_chunk: Found,
}

/// What to put.
pub(super) struct Item<'a> {
    pub(super) form: Form,
    pub(super) bytes: &'a [u8],
    pub(super) parcel: Option<&'a Parcel>,
}

impl Ring {
    /// Makes an empty queue.
    pub(super) fn new(type_name: &str, most_items: u32, most_bytes: u64) -> Result<Ring> {
        Ring::starting_at(0, type_name, most_items, most_bytes)
    }

    /// An empty queue whose first chunk has the given number; positions near the end of their range come soon in tests.
    fn starting_at(number: u32, type_name: &str, most_items: u32, most_bytes: u64) -> Result<Ring> {
        let world = crate::world::world()?;
        let me = world.me()?;
        let roles = PRODUCER | CONSUMER;
        let reference = CellRef::create(world, Kind::Queue, roles)?;
        let block = world.alloc(BLOCK_BYTES, me)?;
        let chunk = world.alloc(CHUNK_BYTES, me)?;
        let head: &HeadLine = reference.cell.view();
        let tail: &TailLine = block.get(0)?;
        block.write(0, &[0; BLOCK_BYTES])?;
        let name = &type_name.as_bytes()[..type_name.len().min(NAME_MOST)];
        block.word(NAME_AT)?.store(name.len() as u64, Ordering::Relaxed);
        block.write(NAME_AT + 8, name)?;
        tail.most_items.store(most_items, Ordering::Relaxed);
        tail.most_bytes.store(most_bytes, Ordering::Relaxed);
        tail.type_hash.store(type_hash(type_name), Ordering::Relaxed);
        let start = Mark::new(number.wrapping_mul(CHUNK).wrapping_add(CHUNK_FIRST), 0);
        let parity = number as usize & 1;
        tail.chunks[parity].store(chunk.id(), Ordering::Relaxed);
        tail.head_seen.store(start.0, Ordering::Relaxed);
        tail.tail.store(start.0, Ordering::Release);
        head.block.store(block.id(), Ordering::Relaxed);
        head.chunks[parity].store(chunk.id(), Ordering::Relaxed);
        head.tail_seen.store(start.0, Ordering::Relaxed);
        head.head.store(start.0, Ordering::Release);
        reference.add_roles(roles)?;
        block.give_for_life(reference.id);
        chunk.give_to(reference.id, number.wrapping_add(1).wrapping_mul(CHUNK));
        Ok(Ring::of(reference, head, tail, roles))
    }

    fn of(
        reference: Arc<CellRef>,
        head: &'static HeadLine,
        tail: &'static TailLine,
        roles: u32,
    ) -> Ring {
        cells::set_walk(Kind::Queue as u32, walk);
        Ring {
            reference,
            head,
            tail,
            roles,
            most_items: tail.most_items.load(Ordering::Relaxed),
            most_bytes: tail.most_bytes.load(Ordering::Relaxed),
            epoch: AtomicU32::new(0),
            message_pace: Pace::default(),
            room_pace: Pace::default(),
            tail_chunk: Found::default(),
            head_chunk: Found::default(),
        }
    }

    /// A handle with `roles`, which the reference already counts.
    pub(super) fn from_reference(reference: Arc<CellRef>, roles: u32) -> Result<Ring> {
        let head: &HeadLine = reference.cell.view();
        let tail: &TailLine = reference.world.extent(head.block.load(Ordering::Relaxed))?.get(0)?;
        Ok(Ring::of(reference, head, tail, roles))
    }

    /// The name of the message type, as the maker of the queue gave it.
    pub(super) fn type_name(&self) -> Result<String> {
        let block = self.world().extent(self.head.block.load(Ordering::Relaxed))?;
        let len = (block.word(NAME_AT)?.load(Ordering::Relaxed) as usize).min(NAME_MOST);
        Ok(String::from_utf8_lossy(&block.read(NAME_AT + 8, len)?).into_owned())
    }

    /// Whether the queue was made for this message type.
    pub(super) fn is_of(&self, type_name: &str) -> bool {
        self.tail.type_hash.load(Ordering::Relaxed) == type_hash(type_name)
    }

    pub(super) fn reference(&self) -> &Arc<CellRef> {
        &self.reference
    }

    pub(super) fn roles(&self) -> u32 {
        self.roles
    }

    fn world(&self) -> &'static World {
        self.reference.world
    }

    /// Another handle to the same queue, with other roles.
    pub(super) fn with_roles(&self, roles: u32) -> Ring {
        // A process that has a handle has a place for its presence; only damaged shared memory refuses, and then every call
        // on the new handle says so.
        let _ = self.reference.add_roles(roles);
        if roles != self.roles {
            self.tail.split.store(1, Ordering::SeqCst);
        }
        Ring::of(self.reference.clone(), self.head, self.tail, roles)
    }

    fn load_head(&self) -> Mark {
        // ORDERING(take): Acquire, pairs with the Release of the head: the record was copied before it may be overwritten.
        Mark(self.head.head.load(Ordering::Acquire))
    }

    fn load_tail(&self) -> Mark {
        // ORDERING(put): Acquire, pairs with the Release of the tail: the record before the tail (I1).
        Mark(self.tail.tail.load(Ordering::Acquire))
    }

    /// How many records are in the queue.
    pub(super) fn len(&self) -> usize {
        let (head, tail) = self.load_both();
        tail.count().wrapping_sub(head.count()) as usize
    }

    /// Head and tail as they were at one moment.
    fn load_both(&self) -> (Mark, Mark) {
        let mut head = self.load_head();
        for _ in 0..64 {
            let tail = self.load_tail();
            let again = self.load_head();
            if again == head {
                return (head, tail);
            }
            head = again;
        }
        // Getters are that busy: what is between is at least what a getter found.
        (head, self.load_tail())
    }

    /// The most records it may hold.
    pub(super) fn most_items(&self) -> Option<usize> {
        (self.most_items != 0).then_some(self.most_items as usize)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.tail.closed.load(Ordering::Acquire) != 0
    }

    /// Nothing can be put from now on; what is in the queue can still be got.
    pub(super) fn close(&self) -> Result<()> {
        let me = self.world().me()?;
        self.lock(&self.tail.lock, me, Deadline::NEVER)?;
        // The words change first: if this process is stopped here, keepers see that there is something to look at.
        self.tail.messages.change();
        self.head.room.change();
        self.tail.closed.store(1, Ordering::SeqCst);
        self.tail.lock.unlock(me);
        self.tail.messages.tell_all();
        self.head.room.tell_all();
        Ok(())
    }

    fn lock(&self, lock: &'static WordLock, me: Id, until: Deadline) -> Result<()> {
        if lock.try_lock(me) {
            return Ok(());
        }
        // A look without waiting waits for those who are inside, which takes no time while they live and run.
        let now = until == Deadline::NOW;
        let patience = if now { Deadline::after(PATIENCE) } else { until };
        match lock.lock(me, self.world(), patience, Policy::Adopt) {
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

    /// Whether the other side is gone for good, where ends are counted.
    #[inline]
    fn is_deserted_by(&self, role: u32) -> bool {
        // A handle with both roles keeps the queue open; the others exist only where ends are counted.
        self.roles & role == 0 && self.looks_deserted_by(role)
    }

    /// Whether the other side was there when last looked for, and nothing has happened since.
    #[inline]
    fn was_kept_open_by(&self, role: u32) -> bool {
        self.roles & role != 0
            || self.epoch.load(Ordering::Relaxed) == self.world().epoch().wrapping_add(1)
    }

    fn looks_deserted_by(&self, role: u32) -> bool {
        let epoch = self.world().epoch().wrapping_add(1);
        if self.was_kept_open_by(role) {
            return false;
        }
        let found = self.reference.find_role(role);
        if found == RoleFound::InProcess {
            // Until the next alarm: there it ends only with one.
            self.epoch.store(epoch, Ordering::Relaxed);
        }
        found == RoleFound::Nowhere
    }

    /// Live state, for `Debug`.
    pub(super) fn describe(
        &self,
        name: &str,
        f: &mut core::fmt::Formatter<'_>,
    ) -> core::fmt::Result {
        f.debug_struct(name)
            .field("len", &self.len())
            .field("capacity", &self.most_items())
            .field("closed", &self.is_closed())
            .field("waiting_to_get", &self.tail.messages.has_sleepers())
            .field("waiting_to_put", &self.head.room.has_sleepers())
            .finish()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.reference.remove_roles(self.roles, self.tail.split.load(Ordering::SeqCst) != 0);
    }
}

fn named(name: &[u8]) -> (u32, u64) {
    let id = name.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let len = name.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    (id, len)
}

#[cold]
fn damaged(what: String) -> Error {
    Error::new(ErrorKind::Corrupted, format!("the queue is corrupted: {what}"))
}

/// FNV-1a of a type's name.
fn type_hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;
