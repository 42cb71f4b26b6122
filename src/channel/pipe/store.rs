//! What a pipe needs of shared memory: its object, its block, and messages in blocks of their own.
//!
//! All that the pipe knows of the arena, of handles and of sleeping stands here. The layout is in [`super`].

use super::layout::{BLOCK_BYTES, BLOCK_HEAD, CAPACITY, Control, NAME_AT, NAME_MOST, RING_AT};
use super::records::{CARRIES, NAMES_BLOCK};
use super::span::{Span, damaged};
use crate::channel::tag::TypeTag;
use crate::error::Result;
use crate::handle::{self, Claimed, Found, ObjectRef, Parcel};
use crate::liveness::{Liveness, Pauses, Wait};
use crate::memory::walk::{Met, Walker, register};
use crate::memory::{Block, Memory, Object};
use crate::raw::event_count::EventCount;
use crate::raw::ring::{Bytes, Ring};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::world::{Kind, World};
use std::sync::Arc;

pub(super) use crate::handle::{CONSUMER as RECEIVER, PRODUCER as SENDER};

/// Which word of the object's payload is the number of the block, and which is not 0 once a message with handles was sent.
const BLOCK: usize = 0;
const CARRIED: usize = 5;

/// A pipe, seen from this process.
#[derive(Clone)]
pub(super) struct Store {
    reference: Arc<ObjectRef>,
    world: &'static World,
    /// See [`Liveness::watched_words`].
    watched: [&'static AtomicU32; 3],
    pub(super) control: &'static Control,
    pub(super) span: Span,
}

/// A message in a block of its own: a line of words, and the message.
#[derive(Clone, Copy)]
pub(super) struct Large {
    block: Block,
    pub(super) span: Span,
}

/// The words of a message that carries handles: the block of the next such message, the count of the record, the length.
const NEXT_AT: usize = 0;
const COUNT_AT: usize = 8;
const LEN_AT: usize = 16;
const LARGE_HEAD: usize = 64;

impl Store {
    /// Makes an empty pipe for messages of this type. This process has both roles.
    pub(super) fn create(tag: &TypeTag<'_>) -> Result<Store> {
        let world = crate::world::world()?;
        let me = world.liveness.me()?;
        let reference = ObjectRef::create(world, Kind::Pipe, SENDER | RECEIVER)?;
        let block = world.memory.alloc(BLOCK_BYTES - BLOCK_HEAD, me)?;
        block.write(0, &[0; RING_AT])?;
        let name = &tag.name.as_bytes()[..tag.name.len().min(NAME_MOST)];
        block.word(NAME_AT)?.store(name.len() as u64, Ordering::Relaxed);
        block.write(NAME_AT + 8, name)?;
        let store = Store::of(reference, &block)?;
        store.control.type_hash.store(tag.hash, Ordering::Relaxed);
        store.ring().clear();
        let reference = &store.reference;
        reference.object.payload[BLOCK].store(u64::from(block.id()), Ordering::Release);
        reference.add_roles(SENDER | RECEIVER)?;
        block.give_for_life(reference.id);
        Ok(store)
    }

    fn of(reference: Arc<ObjectRef>, block: &Block) -> Result<Store> {
        register(
            Kind::Pipe as u32,
            Walker { walk, may_carry: |_| true, may_hold: |_| false, takers: RECEIVER },
        );
        let span = part_of(block, RING_AT, CAPACITY as usize)?;
        let world = reference.world;
        let watched = world.liveness.watched_words();
        Ok(Store { reference, world, watched, control: block.get(0)?, span })
    }

    /// The pipe that a handle which has arrived refers to.
    pub(super) fn open(reference: Arc<ObjectRef>) -> Result<Store> {
        let block = block_of(&reference.world.memory, reference.object)?;
        Store::of(reference, &block)
    }

    #[inline]
    pub(super) fn ring(&self) -> Ring<'_, Span> {
        ring_of(self.control, self.span)
    }

    pub(super) fn reference(&self) -> &Arc<ObjectRef> {
        &self.reference
    }

    pub(super) fn is_of(&self, tag: &TypeTag<'_>) -> bool {
        self.control.type_hash.load(Ordering::Relaxed) == tag.hash
    }

    /// The name of the message type, as the maker of the pipe gave it.
    pub(super) fn type_name(&self) -> Result<String> {
        let block = block_of(self.memory(), self.reference.object)?;
        let len = (block.word(NAME_AT)?.load(Ordering::Relaxed) as usize).min(NAME_MOST);
        Ok(String::from_utf8_lossy(&block.read(NAME_AT + 8, len)?).into_owned())
    }

    #[inline]
    fn memory(&self) -> &'static Memory {
        &self.world.memory
    }

    #[inline]
    fn liveness(&self) -> &'static Liveness {
        self.world.liveness
    }

    /// Whether this process made or received the end, rather than inheriting it over a fork.
    #[inline]
    pub(super) fn is_current(&self) -> bool {
        self.watched[0].load(Ordering::Relaxed) == 1
    }

    /// Changes whenever an end may have gone.
    #[inline]
    pub(super) fn epoch(&self) -> u64 {
        let [_, epoch, alarms] = self.watched;
        // ORDERING(alarm): Acquire, pairs with the SeqCst in `Sleepers::raise`: who is dead at this number is seen to be dead.
        let epoch = epoch.load(Ordering::Acquire).wrapping_add(alarms.load(Ordering::Acquire));
        self.departures().1 << 32 | u64::from(epoch)
    }

    /// The word that tells that an end left, and what it holds.
    #[inline]
    pub(super) fn departures(&self) -> (&'static AtomicU64, u64) {
        let word = &self.control.departures;
        // ORDERING(departure): Acquire, pairs with `leave`: who sees the second count finds the end gone.
        (word, word.load(Ordering::Acquire))
    }

    /// Where the end with this role is.
    pub(super) fn find(&self, role: u32) -> Found {
        self.reference.find_role(role)
    }

    /// This process has the end with this role no more: it was dropped, or has been sent.
    pub(super) fn leave(&self, role: u32) {
        if !self.is_current() {
            // A forked child's copy: the end is the parent's.
            return;
        }
        let control = self.control;
        // If this thread is stopped below, keepers see that there is something to check.
        control.departures.fetch_add(1, Ordering::SeqCst);
        self.reference.remove_roles(role);
        // ORDERING(departure): behind the removal: who has seen this count finds the end gone.
        control.departures.fetch_add(1, Ordering::SeqCst);
        control.sender.events.notify_all();
        control.receiver.events.notify_all();
        if role == RECEIVER && self.carried().load(Ordering::Relaxed) != 0 {
            // Ends in messages that nobody can receive any more have gone with their receiver.
            self.liveness().raise_alarm();
        }
    }

    /// Not 0 once a message with handles was sent.
    fn carried(&self) -> &'static AtomicU64 {
        &self.reference.object.payload[CARRIED]
    }

    /// What polling is like on this machine.
    #[inline]
    pub(super) fn pauses(&self) -> Pauses {
        self.liveness().pauses()
    }

    /// Makes sure that the calling thread can sleep so that deaths wake it.
    pub(super) fn prepare_to_sleep(&self) -> Result<()> {
        self.liveness().me().map(drop)
    }

    /// Sleeps on `events` as long as it holds `prepared` and `check` says so; the truths held what is given with them when last
    /// checked.
    pub(super) fn sleep(
        &self,
        events: &'static EventCount,
        prepared: u32,
        truths: [(&'static AtomicU64, u64); 2],
        until: Deadline,
        check: impl FnOnce() -> bool,
    ) {
        let wait = Wait::Change(truths.map(Some));
        self.liveness().sleep(events.word(), prepared, until, wait, check);
    }

    /// The header at which the next message comes, as a word to watch.
    pub(super) fn header_at(&self, at: u32) -> &'static AtomicU64 {
        self.span.ring_word(at)
    }

    /// Tells what the pipe has.
    #[cfg(test)]
    pub(super) fn walk(&self, tell: &mut dyn FnMut(Met)) {
        walk(self.memory(), self.reference.object, tell);
    }

    /// List of messages with handles, first and last, and checksum of the type's name.
    #[cfg(test)]
    pub(super) fn list_and_type(&self) -> [&'static AtomicU32; 3] {
        [&self.control.first, &self.control.last, &self.control.type_hash]
    }

    /// Whether a message of `len` bytes is more than messages may ever take.
    pub(super) fn check_len(&self, len: usize) -> Result<()> {
        self.memory().check_message(len)
    }

    /// A block for a message of `len` bytes, this thread's until it is given away, freed, or the thread is dead.
    pub(super) fn alloc(&self, len: usize) -> Result<Large> {
        let block = self.memory().alloc_for_message(len + LARGE_HEAD, self.liveness().me()?)?;
        Ok(Large { block, span: part_of(&block, LARGE_HEAD, len)? })
    }

    /// The block that a record names.
    pub(super) fn large(&self, id: u32, len: u64) -> Result<Large> {
        let block = self.memory().block(id)?;
        // It is freed once it is received: it must be this pipe's, and not the one in which the ring stands.
        let own = self.reference.object.payload[BLOCK].load(Ordering::Relaxed);
        if !block.is_of(self.reference.id) || u64::from(id) == own {
            return Err(damaged(format_args!("block {id:#x} holds none of its messages")));
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Ok(Large { block, span: part_of(&block, LARGE_HEAD, len)? })
    }

    /// Gives a filled block to the pipe, for as long as it lives or until the receiver frees it.
    pub(super) fn give(&self, large: &Large) -> u32 {
        large.block.give_for_life(self.reference.id);
        large.block.id()
    }

    pub(super) fn free(&self, large: &Large) {
        self.memory().free(large.block);
    }

    /// Sends a message with handles by `commit`, so that whoever asks what messages refer to sees it whole or not at all.
    /// `count` is the count of its record.
    pub(super) fn carry(
        &self,
        large: &Large,
        parcel: &Parcel,
        count: u32,
        commit: impl FnOnce(),
    ) -> Result<()> {
        large.block.word(NEXT_AT)?.store(0, Ordering::Relaxed);
        large.block.word(COUNT_AT)?.store(u64::from(count), Ordering::Relaxed);
        large.block.word(LEN_AT)?.store(large.span.len() as u64, Ordering::Relaxed);
        self.carried().store(1, Ordering::Relaxed);
        let memory = self.memory();
        memory.moving_references(Kind::Pipe as u32, || {
            let id = large.block.id();
            let last = self.control.last.load(Ordering::Relaxed);
            if self.control.first.load(Ordering::Relaxed) == 0 {
                self.control.first.store(id, Ordering::Relaxed);
            } else if let Ok(block) = memory.block(last)
                && block.is_kept_by(self.reference.id)
                && let Ok(word) = block.word(NEXT_AT)
            {
                word.store(u64::from(id), Ordering::Relaxed);
            }
            self.control.last.store(id, Ordering::Relaxed);
            parcel.count_in_flight();
            commit();
        })
    }

    /// Takes a message with handles: this process has them, and `take` moves the head past it.
    pub(super) fn uncarry(
        &self,
        large: &Large,
        claimed: &Claimed,
        take: impl FnOnce(),
    ) -> Result<()> {
        let next = large.block.word(NEXT_AT)?;
        self.memory().moving_references(Kind::Pipe as u32, || {
            take();
            claimed.uncount_in_flight();
            // The first one, as messages come in order; what a dead sender left behind it goes with it.
            self.control.first.store(next.load(Ordering::Relaxed) as u32, Ordering::Relaxed);
        })
    }

    /// Takes sealed bytes apart and their handles over.
    pub(super) fn claim<'a>(&self, sealed: &'a [u8]) -> Result<(&'a [u8], Claimed)> {
        handle::open(self.world, sealed)
    }
}

/// A part of a block's payload.
fn part_of(block: &Block, at: usize, len: usize) -> Result<Span> {
    Span::new(block.payload(), block.len()).part(at, len)
}

fn block_of(memory: &Memory, object: &Object) -> Result<Block> {
    memory.block(object.payload[BLOCK].load(Ordering::Acquire) as u32)
}

fn ring_of(control: &Control, span: Span) -> Ring<'_, Span> {
    Ring { head: &control.receiver.stamp, tail: &control.sender.stamp, bytes: span }
}

/// Tells what a pipe has: its block, the messages with handles and the references in them, and the other messages that are not
/// in the ring.
fn walk(memory: &Memory, object: &'static Object, tell: &mut dyn FnMut(Met)) {
    // In doubt nothing more is told: shared memory is damaged then.
    let Ok(block) = block_of(memory, object) else { return };
    tell(Met::Block(block.id()));
    let (Ok(control), Ok(span)) =
        (block.get::<Control>(0), part_of(&block, RING_AT, CAPACITY as usize))
    else {
        return;
    };
    let ring = ring_of(control, span);
    let _ = walk_list(memory, &block, control, &ring, tell);
    let _ = ring.walk(|record| {
        if record.info() & (NAMES_BLOCK | CARRIES) == NAMES_BLOCK {
            // The number of the block, in the first word. Nobody writes there while nobody uses the pipe; what is read while
            // somebody does is checked as any block's id is.
            let name = ring.bytes.word(record.payload() as u32).load(Ordering::Relaxed);
            tell(Met::Block(name as u32));
        }
    });
}

/// The messages with handles, under the arena lock, under which none of them moves. A damaged list may lead to a message of somebody
/// else, whose references are not this pipe's to give up: only blocks of the owner of `own` count.
fn walk_list(
    memory: &Memory,
    own: &Block,
    control: &Control,
    ring: &Ring<'_, Span>,
    tell: &mut dyn FnMut(Met),
) -> Result<()> {
    let mut id = control.first.load(Ordering::Relaxed);
    // No more than the ring has room for: a damaged list may be a circle.
    for _ in 0..CAPACITY / 8 {
        if id == 0 {
            break;
        }
        let block = memory.block(id)?;
        if !block.is_kept_with(own) {
            return Err(damaged(format_args!("block {id:#x} holds none of its messages")));
        }
        tell(Met::Block(id));
        id = block.word(NEXT_AT)?.load(Ordering::Relaxed) as u32;
        let count = block.word(COUNT_AT)?.load(Ordering::Relaxed) as u32;
        // A sender that died may have left one whose record is not there.
        if ring.holds(count).map_err(damaged)? {
            let len = block.word(LEN_AT)?.load(Ordering::Relaxed) as usize;
            let sealed = block.read(LARGE_HEAD, len)?;
            handle::list_of(&sealed)?.1.for_each(|(id, roles)| tell(Met::Reference(id, roles)));
        }
    }
    Ok(())
}
