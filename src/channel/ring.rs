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

use super::chunk::{CHUNK, CHUNK_BYTES, CHUNK_FIRST, Chunk, Found, NEXT, chunk_of, no_room, units};
use super::news::News;
use super::pace::Pace;
use super::walk::walk;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::testing::{self, Broken};
use crate::world::arena::Block;
use crate::world::cells;
use crate::world::handle::{
    self, CONSUMER, CellRef, Claimed, Found as RoleFound, Kind, PRODUCER, Parcel,
};
use crate::world::registry::Id;
use crate::world::wait::Wait;
use crate::world::word_lock::{Outcome, Policy, WordLock};
use crate::world::{Shared, World};
use std::sync::Arc;
use std::time::Duration;

/// Larger payloads get a block of their own.
pub(super) const INLINE: usize = 4096;
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
pub(super) const NAMES_BLOCK: u32 = 1 << 8;
pub(super) const CARRIES: u32 = 1 << 9;
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
pub(super) struct HeadLine {
    pub(super) head: AtomicU64,
    lock: WordLock,
    pub(super) block: AtomicU32,
    room: News,
    tail_seen: AtomicU64,
    pub(super) chunks: [AtomicU32; 2],
}

/// What the putters write, and what nobody writes after the start.
#[repr(C, align(64))]
pub(super) struct TailLine {
    pub(super) tail: AtomicU64,
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
pub(super) struct Mark(pub(super) u64);

impl Mark {
    fn new(position: u32, count: u32) -> Mark {
        Mark(u64::from(count) << 32 | u64::from(position))
    }
    pub(super) fn position(self) -> u32 {
        self.0 as u32
    }
    pub(super) fn count(self) -> u32 {
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

    /// Puts one record, waiting for room until `until`.
    #[inline]
    pub(super) fn push(&self, item: &Item<'_>, until: Deadline) -> Result<()> {
        let me = self.world().me()?;
        let plain =
            item.parcel.is_none() && self.most_bytes == 0 && self.was_kept_open_by(CONSUMER);
        if plain && self.tail.lock.try_lock(me) {
            let put = self.push_at_hand(item);
            self.tail.lock.unlock(me);
            if put {
                self.tell_of_message();
                return Ok(());
            }
        }
        self.push_slowly(me, item, until)
    }

    #[inline]
    fn tell_of_message(&self) {
        if !testing::is_broken(Broken::NoWakeOnPut) {
            self.tail.messages.tell();
        }
    }

    /// Puts a plain record if that needs nothing but what is at hand: [`Ring::push_locked`] without its rarer cases.
    #[inline]
    fn push_at_hand(&self, item: &Item<'_>) -> bool {
        let tail = Mark(self.tail.tail.load(Ordering::Relaxed));
        let seen = Mark(self.tail.head_seen.load(Ordering::Relaxed));
        let position = tail.position();
        let (place, units) = (position % CHUNK, units(item.bytes.len().min(INLINE + 1)));
        let id = self.tail.chunks[chunk_of(position) as usize & 1].load(Ordering::Relaxed);
        if self.tail.closed.load(Ordering::Relaxed) != 0
            || !self.fits(tail, seen)
            || item.bytes.len() > INLINE
            || place == 0
            || place + units > CHUNK
        {
            return false;
        }
        let Some(chunk) = self.tail_chunk.at_hand(id) else { return false };
        if chunk.write(position, item.form as u32, item.bytes).is_err() {
            return false;
        }
        let next = Mark::new(position.wrapping_add(units), tail.count().wrapping_add(1));
        // ORDERING(put): Release, as in `store_tail`.
        self.tail.tail.store(next.0, Ordering::Release);
        true
    }

    #[inline(never)]
    fn push_slowly(&self, me: Id, item: &Item<'_>, until: Deadline) -> Result<()> {
        if self.is_deserted_by(CONSUMER) {
            return Err(Error::simple(ErrorKind::Closed));
        }
        self.check_len(item.bytes.len())?;
        if item.bytes.len() <= INLINE {
            return self.push_with(me, item, None, until);
        }
        let large = self.world().alloc_for_queue(item.bytes.len(), me)?;
        let result =
            large.write(0, item.bytes).and_then(|()| self.push_with(me, item, Some(&large), until));
        if result.is_err() {
            self.world().free(large);
        }
        result
    }

    /// Whether a message of `len` bytes can ever be put here.
    pub(super) fn check_len(&self, len: usize) -> Result<()> {
        let limit = self.most_bytes;
        if limit != 0 && len as u64 > limit {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "a message of {len} bytes does not fit a queue of {limit} bytes: raise capacity_bytes or send it in parts"
                ),
            ));
        }
        self.world().check_message(len)
    }

    fn push_with(
        &self,
        me: Id,
        item: &Item<'_>,
        large: Option<&Block>,
        until: Deadline,
    ) -> Result<()> {
        loop {
            self.lock(&self.tail.lock, me, until).inspect_err(|_| self.head.room.tell())?;
            let result = self.push_locked(me, item, large);
            self.tail.lock.unlock(me);
            match result {
                Ok(true) => {
                    self.tell_of_message();
                    if self.most_bytes != 0 {
                        // One large message less may be room for several: whoever got in lets the next one look.
                        self.head.room.tell();
                    }
                    return Ok(());
                }
                Ok(false) => self.wait_for_room(item.bytes.len(), until)?,
                Err(error) => {
                    // It may have been woken for room that it does not take.
                    self.head.room.tell();
                    return Err(error);
                }
            }
        }
    }

    /// Puts one record if there is room; under the tail lock.
    fn push_locked(&self, me: Id, item: &Item<'_>, large: Option<&Block>) -> Result<bool> {
        if self.tail.closed.load(Ordering::Relaxed) != 0 {
            return Err(Error::simple(ErrorKind::Closed));
        }
        let tail = Mark(self.tail.tail.load(Ordering::Relaxed));
        if !self.has_room(tail, item.bytes.len()) {
            return Ok(false);
        }
        if large.is_some() || item.parcel.is_some() {
            return self.push_special(me, item, large, tail);
        }
        let units = units(item.bytes.len());
        let (chunk, position) = self.place(me, tail.position(), units)?;
        chunk.write(position, item.form as u32, item.bytes)?;
        self.store_tail(tail, position.wrapping_add(units), item.bytes.len());
        Ok(true)
    }

    /// Puts a record that names a block or carries shared objects.
    #[cold]
    fn push_special(
        &self,
        me: Id,
        item: &Item<'_>,
        large: Option<&Block>,
        tail: Mark,
    ) -> Result<bool> {
        let mut info = item.form as u32;
        let mut name = [0; NAMED];
        let mut payload = item.bytes;
        if let Some(large) = large {
            info |= NAMES_BLOCK;
            name[..4].copy_from_slice(&large.id().to_le_bytes());
            name[8..].copy_from_slice(&(item.bytes.len() as u64).to_le_bytes());
            payload = &name;
        }
        if item.parcel.is_some() {
            info |= CARRIES;
        }
        let units = units(payload.len());
        let (chunk, position) = self.place(me, tail.position(), units)?;
        chunk.write(position, info, payload)?;
        if let Some(large) = large {
            large.give_to(self.reference.id, position);
        }
        let store = || self.store_tail(tail, position.wrapping_add(units), item.bytes.len());
        match item.parcel {
            None => store(),
            Some(parcel) => {
                self.reference.carries().store(1, Ordering::Relaxed);
                self.world().moving_references(|| {
                    parcel.carry();
                    store();
                })?;
            }
        }
        Ok(true)
    }

    /// The record up to `position` is put.
    #[inline]
    fn store_tail(&self, tail: Mark, position: u32, bytes: usize) {
        let next = Mark::new(position, tail.count().wrapping_add(1));
        if self.most_bytes != 0 {
            let put = self.tail.bytes_put[tail.parity()].load(Ordering::Relaxed);
            let put = put.wrapping_add(bytes as u64);
            self.tail.bytes_put[next.parity()].store(put, Ordering::Relaxed);
        }
        // ORDERING(put): Release, pairs with the Acquire in `load_tail`; everything above before the tail (I1).
        self.tail.tail.store(next.0, Ordering::Release);
    }

    /// Whether the counts leave room for a record between `head` and `tail`.
    #[inline]
    fn fits(&self, tail: Mark, head: Mark) -> bool {
        let most = if self.most_items == 0 { i32::MAX as u32 } else { self.most_items };
        tail.count().wrapping_sub(head.count()) < most
            && tail.position().wrapping_sub(head.position()) < MOST_POSITIONS
    }

    /// Whether a record may be put behind `tail`.
    fn has_room(&self, tail: Mark, len: usize) -> bool {
        let seen = Mark(self.tail.head_seen.load(Ordering::Relaxed));
        if !self.fits(tail, seen) {
            let head = self.load_head();
            self.tail.head_seen.store(head.0, Ordering::Relaxed);
            if !self.fits(tail, head) {
                return false;
            }
        }
        let limit = self.most_bytes;
        limit == 0 || self.bytes(tail).saturating_add(len as u64) <= limit
    }

    /// Bytes in the queue before `tail`, which is the present one.
    fn bytes(&self, tail: Mark) -> u64 {
        let put = self.tail.bytes_put[tail.parity()].load(Ordering::Relaxed);
        // The words of the head change two records later at the earliest; a changed head tells.
        for _ in 0..64 {
            let head = self.load_head();
            let taken = self.tail.bytes_taken[head.parity()].load(Ordering::Acquire);
            if self.load_head() == head {
                return put.wrapping_sub(taken);
            }
        }
        // Getters are that busy: there is room soon, and they tell.
        u64::MAX
    }

    /// Where a record of `units` goes: in this chunk or the next. Under the tail lock.
    fn place(&self, me: Id, tail: u32, units: u32) -> Result<(Chunk, u32)> {
        // The last position of the chunk in which the tail is: a tail at the very end belongs to the chunk before.
        let number = chunk_of(tail.wrapping_sub(1));
        let end = number.wrapping_add(1).wrapping_mul(CHUNK);
        if end.wrapping_sub(tail) >= units {
            let id = self.tail.chunks[number as usize & 1].load(Ordering::Relaxed);
            return Ok((self.tail_chunk.chunk(id, self.world())?, tail));
        }
        self.place_in_next(me, tail, number, end)
    }

    #[cold]
    fn place_in_next(&self, me: Id, tail: u32, number: u32, end: u32) -> Result<(Chunk, u32)> {
        let world = self.world();
        let block = world.extent(self.tail.chunks[number as usize & 1].load(Ordering::Relaxed))?;
        let next = world.alloc_for_queue(CHUNK_BYTES, me)?;
        next.give_to(self.reference.id, end.wrapping_add(CHUNK));
        if end != tail {
            Chunk::of(&block)?.word(tail)?.store(NEXT, Ordering::Relaxed);
        }
        block.link().store(next.id(), Ordering::Relaxed);
        self.tail.chunks[number.wrapping_add(1) as usize & 1].store(next.id(), Ordering::Relaxed);
        Ok((self.tail_chunk.chunk(next.id(), world)?, end.wrapping_add(CHUNK_FIRST)))
    }

    /// Takes the first record, waiting for one until `until`, and appends its payload to `out`; the shared objects that it
    /// carried, if any.
    #[inline]
    pub(super) fn pop(
        &self,
        form: Form,
        type_name: &str,
        until: Deadline,
        out: &mut Vec<u8>,
    ) -> Result<Option<Claimed>> {
        let me = self.world().me()?;
        if self.most_bytes == 0 && self.head.lock.try_lock(me) {
            let got = self.pop_at_hand(form, out);
            self.head.lock.unlock(me);
            if got {
                self.head.room.tell();
                return Ok(None);
            }
        }
        self.pop_slowly(me, form, type_name, until, out)
    }

    /// Takes a plain record if that needs nothing but what is at hand: [`Ring::pop_locked`] without its rarer cases.
    #[inline]
    fn pop_at_hand(&self, form: Form, out: &mut Vec<u8>) -> bool {
        let head = Mark(self.head.head.load(Ordering::Relaxed));
        if head.0 == self.head.tail_seen.load(Ordering::Relaxed) {
            let tail = self.load_tail();
            if tail == head {
                return false;
            }
            self.head.tail_seen.store(tail.0, Ordering::Relaxed);
        }
        let position = head.position();
        let id = self.head.chunks[chunk_of(position) as usize & 1].load(Ordering::Relaxed);
        let Some(chunk) = self.head_chunk.at_hand(id) else { return false };
        let Ok(word) = chunk.word(position) else { return false };
        let word = word.load(Ordering::Relaxed);
        let (len, info) = (word as u32 as usize, (word >> 32) as u32);
        // Neither a block, nor shared objects, nor the mark of the next chunk.
        if info != form as u32 || len > INLINE || chunk.read(position, len, out).is_err() {
            return false;
        }
        let next = Mark::new(position.wrapping_add(units(len)), head.count().wrapping_add(1));
        // ORDERING(take): Release, as in `pop_locked`.
        self.head.head.store(next.0, Ordering::Release);
        true
    }

    #[inline(never)]
    fn pop_slowly(
        &self,
        me: Id,
        form: Form,
        type_name: &str,
        until: Deadline,
        out: &mut Vec<u8>,
    ) -> Result<Option<Claimed>> {
        loop {
            self.lock(&self.head.lock, me, until).inspect_err(|_| self.tail.messages.tell())?;
            let mut after = None;
            let result = self.pop_locked(me, form, type_name, out, &mut after);
            self.head.lock.unlock(me);
            let taken = result.inspect_err(|_| {
                // It may have been woken for a message that it does not take.
                self.tail.messages.tell();
            });
            if taken? {
                self.head.room.tell();
                return after.map_or(Ok(None), |after| self.finish(*after, out));
            }
            self.wait_for_messages(until)?;
        }
    }

    /// Takes the first record if there is one; under the head lock.
    fn pop_locked(
        &self,
        me: Id,
        form: Form,
        type_name: &str,
        out: &mut Vec<u8>,
        after: &mut Option<Box<After>>,
    ) -> Result<bool> {
        let head = Mark(self.head.head.load(Ordering::Relaxed));
        if head.0 == self.head.tail_seen.load(Ordering::Relaxed) {
            let tail = self.load_tail();
            self.head.tail_seen.store(tail.0, Ordering::Relaxed);
            if tail == head {
                return Ok(false);
            }
        }
        let (chunk, position, word) = self.first_record(head.position(), after)?;
        let (len, info) = (word as u32 as usize, (word >> 32) as u32);
        if len > INLINE {
            return Err(no_room(position, len));
        }
        if info & FORM != form as u32 {
            return Err(other_form(info & FORM, form, type_name));
        }
        let total = if info & (NAMES_BLOCK | CARRIES) == 0 {
            chunk.read(position, len, out)?;
            len as u64
        } else {
            self.take_special(me, chunk, position, len, info, out, after)?
        };
        let next = Mark::new(position.wrapping_add(units(len)), head.count().wrapping_add(1));
        if self.most_bytes != 0 {
            let taken = self.tail.bytes_taken[head.parity()].load(Ordering::Relaxed);
            self.tail.bytes_taken[next.parity()]
                .store(taken.wrapping_add(total), Ordering::Release);
        }
        // ORDERING(take): Release, pairs with the Acquire in `load_head`; the copy before the head (I1).
        let store = || self.head.head.store(next.0, Ordering::Release);
        match after.as_ref().and_then(|after| after.claimed.as_ref()) {
            None => store(),
            Some(claimed) => self.world().moving_references(|| {
                store();
                claimed.uncarry();
            })?,
        }
        Ok(true)
    }

    /// Where the first record is, in this chunk or the next, and its first word.
    fn first_record(
        &self,
        position: u32,
        after: &mut Option<Box<After>>,
    ) -> Result<(Chunk, u32, u64)> {
        let number = chunk_of(position.wrapping_sub(1));
        if !position.is_multiple_of(CHUNK) {
            let id = self.head.chunks[number as usize & 1].load(Ordering::Relaxed);
            let chunk = self.head_chunk.chunk(id, self.world())?;
            let word = chunk.word(position)?.load(Ordering::Relaxed);
            if word != NEXT {
                return Ok((chunk, position, word));
            }
        }
        self.first_of_next(number, after)
    }

    #[cold]
    fn first_of_next(
        &self,
        number: u32,
        after: &mut Option<Box<After>>,
    ) -> Result<(Chunk, u32, u64)> {
        let left =
            self.world().extent(self.head.chunks[number as usize & 1].load(Ordering::Relaxed))?;
        let next = left.link().load(Ordering::Relaxed);
        let number = number.wrapping_add(1);
        let chunk = self.head_chunk.chunk(next, self.world())?;
        self.head.chunks[number as usize & 1].store(next, Ordering::Relaxed);
        let position = number.wrapping_mul(CHUNK).wrapping_add(CHUNK_FIRST);
        after.get_or_insert_default().left = Some(left);
        Ok((chunk, position, chunk.word(position)?.load(Ordering::Relaxed)))
    }

    /// Takes a record that names a block or carries shared objects; the length of its payload.
    #[cold]
    #[expect(clippy::too_many_arguments, reason = "the rare half of `pop_locked`")]
    fn take_special(
        &self,
        me: Id,
        chunk: Chunk,
        position: u32,
        len: usize,
        info: u32,
        out: &mut Vec<u8>,
        after: &mut Option<Box<After>>,
    ) -> Result<u64> {
        let after = after.get_or_insert_default();
        let mut total = len as u64;
        if info & NAMES_BLOCK == 0 {
            chunk.read(position, len, out)?;
        } else {
            let mut name = Vec::with_capacity(NAMED);
            chunk.read(position, len, &mut name)?;
            let (id, len) = named(&name);
            let large = self.world().extent(id)?;
            if len > large.len() as u64 {
                return Err(damaged(format!(
                    "a message of {len} bytes in a block of {}",
                    large.len()
                )));
            }
            // Before the record is gone: without memory it stays.
            out.try_reserve(len as usize).map_err(|_| {
                Error::new(
                    ErrorKind::OutOfMemory,
                    format!("no memory for a message of {len} bytes: it stays in the queue"),
                )
            })?;
            total = len;
            large.set_holder(Some(me));
            after.large = Some((large, len as usize));
        }
        if info & CARRIES != 0 {
            // Shared objects inside: this process takes them over before the record is gone.
            after.copy_large(out)?;
            let (body, claimed) = handle::open(self.world(), out)?;
            let len = body.len();
            out.truncate(len);
            after.claimed = Some(claimed);
        }
        Ok(total)
    }

    /// What can be done once the record is this process's and the lock is free.
    #[cold]
    fn finish(&self, mut after: After, out: &mut Vec<u8>) -> Result<Option<Claimed>> {
        if let Some(left) = after.left.take() {
            self.world().free(left);
        }
        let copied = after.copy_large(out);
        if let Some((large, _)) = after.large.take() {
            self.world().free(large);
        }
        copied.map(|()| after.claimed.take())
    }

    /// Waits until there may be a record.
    fn wait_for_messages(&self, until: Deadline) -> Result<()> {
        let world = self.world();
        let is_over = || {
            // Closed first: what was put before the closing is seen by the look at the tail after it.
            let over = self.is_closed() || self.is_deserted_by(PRODUCER);
            over && self.load_tail() == self.load_head()
        };
        let is_empty = || self.load_tail() == self.load_head();
        if is_over() {
            return Err(Error::simple(ErrorKind::Closed));
        }
        if until == Deadline::NOW {
            return Err(Error::simple(ErrorKind::Empty));
        }
        if world.spins() && self.message_pace.spin(world, self.load_head().count(), is_empty) {
            return Ok(());
        }
        let armed = self.tail.messages.arm();
        let seen = self.load_tail();
        if seen == self.load_head() {
            if until.is_over() {
                return Err(Error::simple(ErrorKind::Timeout));
            }
            let wait = Wait::News(Some((&self.tail.tail, seen.0)));
            world.sleep(self.tail.messages.word(), armed, until, wait, || is_empty() && !is_over());
        }
        Ok(())
    }

    /// Waits until there may be room for `len` bytes.
    fn wait_for_room(&self, len: usize, until: Deadline) -> Result<()> {
        let world = self.world();
        let is_full = || !self.has_room_for(len);
        let is_over = || self.is_closed() || self.is_deserted_by(CONSUMER);
        if is_over() {
            return Err(Error::simple(ErrorKind::Closed));
        }
        if until == Deadline::NOW {
            return Err(Error::simple(ErrorKind::Full));
        }
        if world.spins() && self.room_pace.spin(world, self.load_tail().count(), is_full) {
            return Ok(());
        }
        let armed = self.head.room.arm();
        let seen = self.load_head();
        if is_full() {
            if until.is_over() {
                return Err(Error::simple(ErrorKind::Timeout));
            }
            let wait = Wait::News(Some((&self.head.head, seen.0)));
            world.sleep(self.head.room.word(), armed, until, wait, || is_full() && !is_over());
        }
        Ok(())
    }

    /// Whether there was room at some moment during the call; without the lock.
    pub(super) fn has_room_for(&self, len: usize) -> bool {
        let (head, tail) = self.load_both();
        let limit = self.most_bytes;
        self.fits(tail, head)
            && (limit == 0 || self.bytes(tail).saturating_add(len as u64) <= limit)
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

/// What is left to do once a record is taken.
#[derive(Default)]
struct After {
    /// The chunk that the head has left.
    left: Option<Block>,
    large: Option<(Block, usize)>,
    claimed: Option<Claimed>,
}

impl After {
    /// Copies a large payload out, if that was not done yet.
    fn copy_large(&self, out: &mut Vec<u8>) -> Result<()> {
        match self.large {
            Some((block, len)) if self.claimed.is_none() => block.read_into(0, len, out),
            _ => Ok(()),
        }
    }
}

pub(super) fn named(name: &[u8]) -> (u32, u64) {
    let id = name.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let len = name.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    (id, len)
}

#[cold]
pub(super) fn damaged(what: String) -> Error {
    Error::new(ErrorKind::Corrupted, format!("the queue is corrupted: {what}"))
}

#[cold]
fn other_form(found: u32, wanted: Form, type_name: &str) -> Error {
    let text = match (wanted, found) {
        (Form::Typed, 2) => {
            format!("the next message was put as bytes, not as {type_name}: take it with get_bytes")
        }
        (Form::Bytes, 1) => {
            format!("the next message was put as {type_name}, not as bytes: take it with get")
        }
        _ => return damaged(format!("a record has form {found}")),
    };
    Error::new(ErrorKind::Mismatch, text)
}

/// FNV-1a of a type's name.
fn type_hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
