//! Slots: where a task stands that was taken. The protocol is in [`super::leases`].
//!
//! # Layout
//!
//! ```text
//! the table, the start of a block that the queue's object names      all of it written under the head lock
//! 0     4  how often a task is delivered at most                    maker
//! 4     4  pages
//! 8     4  below it no slot is free
//! 12    4  at it and above it no slot was ever used
//! 16    4  the slot that was filled last, plus one
//! 20    4  1: a slot may be RETURNED (cache, never too low)
//! 24    4  1: the queue was shut down, and nothing is delivered again
//! 28    4  event count of those who join
//! 32    8  how often a task ended
//! 64  8 n  names of the pages: number and life of a block
//! a page is a block of 64 KiB with 255 slots; a slot
//! 0     8  state: kind (2 bits), deliveries (from bit 8), process that has it (from bit 32)     THE TRUTH of a task that was taken
//! 8     8  length of the task
//! 16    4  count of its record
//! 20    4  number of the block in which it stands; 0: here
//! 24    4  life of that block
//! 28    4  bit 0: the block was the record's; bit 1: the task carries references
//! 64  192  the task, if it has no block
//! ```
//!
//! | state | meaning | next |
//! |---|---|---|
//! | FREE | no task | LEASED when a record is taken |
//! | LEASED | a process has the task | FREE: done. RETURNED, FAILED: given back, or the process is gone |
//! | RETURNED | it is to be delivered again | LEASED |
//! | FAILED | it was delivered as often as it may be | |

#![allow(unsafe_code, reason = "structures in shared memory")]

use crate::error::{Error, ErrorKind, Result};
use crate::handle;
use crate::liveness::Id;
use crate::memory::walk::Met;
use crate::memory::{Block, Memory, ObjectId};
use crate::raw::event_count::EventCount;
use crate::raw::records::CHUNK_BYTES;
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::shared::Shared;

/// How many pages there may be. Under a model checker, where every word counts, one of few slots.
const PAGES: usize = if NATIVE { 488 } else { 1 };
const SLOT_BYTES: usize = 256;
const SLOTS: u32 = if NATIVE { (CHUNK_BYTES / SLOT_BYTES) as u32 } else { 2 };
/// Where in a slot a task stands that has no block, and how long it may be.
const TASK_AT: usize = 64;
const INLINE: usize = SLOT_BYTES - TASK_AT;
/// The most deliveries that a state has room for.
pub(crate) const MOST_DELIVERIES: u32 = (1 << 24) - 1;
/// The block was the record's.
pub(super) const OF_RECORD: u32 = 1;
/// The task carries references.
pub(super) const CARRIES: u32 = 2;

/// The table; see the module.
#[repr(C, align(64))]
pub(super) struct Table {
    pub(super) most: AtomicU32,
    pub(super) pages: AtomicU32,
    pub(super) lowest: AtomicU32,
    pub(super) used: AtomicU32,
    pub(super) filled: AtomicU32,
    pub(super) returned: AtomicU32,
    pub(super) is_shut: AtomicU32,
    pub(super) joiners: EventCount,
    pub(super) ends: AtomicU64,
    pub(super) reserved: [AtomicU64; 3],
    pub(super) names: [AtomicU64; PAGES],
}

/// The head of a slot; see the module.
#[repr(C)]
pub(super) struct Head {
    pub(super) state: AtomicU64,
    pub(super) len: AtomicU64,
    pub(super) count: AtomicU32,
    pub(super) block: AtomicU32,
    pub(super) life: AtomicU32,
    pub(super) flags: AtomicU32,
}

// SAFETY: structures of atomics only.
unsafe impl Shared for Table {}
// SAFETY: as above.
unsafe impl Shared for Head {}

const _: () = {
    assert!(!NATIVE || (size_of::<Head>() == 32 && core::mem::offset_of!(Table, names) == 64));
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Free,
    Leased { deliveries: u32, owner: u32 },
    Returned { deliveries: u32 },
    Failed,
}

impl State {
    fn to_bits(self) -> u64 {
        let word = |kind: u64, deliveries: u32, owner: u32| {
            kind | u64::from(deliveries) << 8 | u64::from(owner) << 32
        };
        match self {
            State::Free => 0,
            State::Leased { deliveries, owner } => word(1, deliveries, owner),
            State::Returned { deliveries } => word(2, deliveries, 0),
            State::Failed => 3,
        }
    }

    /// Reads a state that a peer wrote. Any bits are one.
    fn from_bits(bits: u64) -> State {
        let deliveries = bits as u32 >> 8;
        match bits & 3 {
            0 => State::Free,
            1 => State::Leased { deliveries, owner: (bits >> 32) as u32 },
            2 => State::Returned { deliveries },
            _ => State::Failed,
        }
    }
}

/// A task as its record has it.
pub(crate) enum Content<'a> {
    Bytes(&'a [u8]),
    Block(Block, usize),
}

impl Content<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Content::Bytes(bytes) => bytes.len(),
            Content::Block(_, len) => *len,
        }
    }
}

/// A slot, and the page in which it is.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) index: u32,
    pub(super) page: Block,
    pub(super) head: &'static Head,
}

impl Slot {
    pub(super) fn state(&self) -> State {
        // ORDERING(lease): Acquire, pairs with the Release in `set`.
        State::from_bits(self.head.state.load(Ordering::Acquire))
    }

    pub(super) fn set(&self, state: State) {
        // ORDERING(lease): Release, pairs with the Acquire in `state`; what the slot holds before it.
        self.head.state.store(state.to_bits(), Ordering::Release);
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.head.flags.load(Ordering::Relaxed) & flag != 0
    }

    /// Where in its page the task stands.
    pub(super) fn task_at(&self) -> usize {
        (self.index % SLOTS) as usize * SLOT_BYTES + TASK_AT
    }
}

/// The slots of a queue.
#[derive(Clone, Copy)]
pub(super) struct Slots<'a> {
    pub(super) table: &'static Table,
    pub(super) memory: &'a Memory,
    queue: ObjectId,
}

impl<'a> Slots<'a> {
    /// Those in the block with this number, which was given to its queue for life.
    pub(super) fn open(memory: &'a Memory, block: u32) -> Result<Slots<'a>> {
        let block = memory.block(block)?;
        let queue = ObjectId::from_bits(block.head.owner.load(Ordering::Acquire));
        Ok(Slots { table: block.get(0)?, memory, queue })
    }

    pub(super) fn slot(&self, index: u32) -> Result<Slot> {
        let name = self.table.names.get((index / SLOTS) as usize);
        let name = name.map_or(0, |name| name.load(Ordering::Relaxed));
        let page = self.memory.block(name as u32)?;
        if page.life() != (name >> 32) as u32 {
            return Err(damaged(format!("slot {index} is in a page that is gone")));
        }
        let head = page.get((index % SLOTS) as usize * SLOT_BYTES)?;
        Ok(Slot { index, page, head })
    }

    /// All slots that were ever used, free ones included.
    pub(super) fn slots(&self) -> impl Iterator<Item = Result<Slot>> + use<'a> {
        let slots = *self;
        // ORDERING(lease): Acquire, pairs with the Release in `add_page`.
        let pages = (self.table.pages.load(Ordering::Acquire) as usize).min(PAGES) as u32;
        let used = self.table.used.load(Ordering::Acquire).min(pages * SLOTS);
        (0..used).map(move |index| slots.slot(index))
    }

    /// Whether the slot holds a record that was not taken, the head being at `count`.
    pub(super) fn is_stale(&self, slot: &Slot, count: u32) -> bool {
        self.table.filled.load(Ordering::Relaxed) == slot.index + 1
            && slot.head.count.load(Ordering::Relaxed) == count
            && matches!(slot.state(), State::Leased { .. })
    }

    pub(super) fn find_free(&self, me: Id) -> Result<Slot> {
        let mut index = self.table.lowest.load(Ordering::Relaxed);
        loop {
            let pages = self.table.pages.load(Ordering::Relaxed) as usize;
            if index == pages.min(PAGES) as u32 * SLOTS {
                self.add_page(me, pages)?;
            }
            let slot = self.slot(index)?;
            if slot.state() == State::Free {
                return Ok(slot);
            }
            index += 1;
        }
    }

    #[cold]
    pub(super) fn add_page(&self, me: Id, number: usize) -> Result<()> {
        let Some(name) = self.table.names.get(number) else {
            return Err(Error::of(
                ErrorKind::Limit,
                format!(
                    "{} tasks of this queue are in hand or have failed, and no more may be: call done on some first",
                    PAGES * SLOTS as usize
                ),
            ));
        };
        // Perhaps somebody died before the page counted.
        let left = name.load(Ordering::Relaxed);
        let left = self.named_block(left as u32, (left >> 32) as u32);
        let page = match left {
            Some(page) => page,
            None => {
                let page = self.memory.alloc_for_message(CHUNK_BYTES, me)?;
                let bits = u64::from(page.life()) << 32 | u64::from(page.id());
                name.store(bits, Ordering::Relaxed);
                page.give_for_life(self.queue);
                page
            }
        };
        for index in 0..SLOTS as usize {
            let head: &Head = page.get(index * SLOT_BYTES)?;
            head.block.store(0, Ordering::Relaxed);
            head.state.store(State::Free.to_bits(), Ordering::Relaxed);
        }
        // ORDERING(lease): Release, pairs with the Acquire in `slots`.
        self.table.pages.store(number as u32 + 1, Ordering::Release);
        Ok(())
    }

    /// Step 3 of taking.
    pub(super) fn fill(
        &self,
        me: Id,
        slot: &Slot,
        task: &Content<'_>,
        carries: bool,
    ) -> Result<()> {
        let name = |block: &Block| {
            slot.head.life.store(block.life(), Ordering::Relaxed);
            slot.head.block.store(block.id(), Ordering::Relaxed);
        };
        let carries = if carries { CARRIES } else { 0 };
        let len = match *task {
            Content::Bytes(bytes) => {
                slot.head.flags.store(carries, Ordering::Relaxed);
                if bytes.len() <= INLINE {
                    slot.page.write(slot.task_at(), bytes)?;
                } else {
                    let block = self.memory.alloc_for_message(bytes.len(), me)?;
                    block.write(0, bytes)?;
                    name(&block);
                    block.give_for_life(self.queue);
                }
                bytes.len()
            }
            Content::Block(block, len) => {
                slot.head.flags.store(carries | OF_RECORD, Ordering::Relaxed);
                name(&block);
                block.set_holder(Some(me));
                block.keep_for_life();
                len
            }
        };
        slot.head.len.store(len as u64, Ordering::Relaxed);
        Ok(())
    }

    /// A block that the queue has for life, in this life of the block.
    pub(super) fn named_block(&self, id: u32, life: u32) -> Option<Block> {
        let block = self.memory.block(id).ok()?;
        (block.life() == life && block.is_kept_by(self.queue)).then_some(block)
    }

    /// The block of a slot.
    pub(super) fn block_of(&self, slot: &Slot) -> Option<Block> {
        let life = slot.head.life.load(Ordering::Relaxed);
        match slot.head.block.load(Ordering::Relaxed) {
            0 => None,
            id => self.named_block(id, life),
        }
    }

    /// Step 2 of ending: the block that a slot without a task names still, if it is its own. It is this thread's then.
    pub(super) fn take_block(&self, me: Id, slot: &Slot) -> Option<Block> {
        let block = self.block_of(slot).filter(|_| !slot.has(OF_RECORD));
        if let Some(block) = &block {
            block.set_holder(Some(me));
            block.disown();
        }
        slot.head.block.store(0, Ordering::Relaxed);
        block
    }

    pub(super) fn read_part(
        &self,
        slot: &Slot,
        from: usize,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match self.block_of(slot) {
            Some(block) => block.read_into(from, len, out),
            None if from.saturating_add(len) <= INLINE => {
                slot.page.read_into(slot.task_at() + from, len, out)
            }
            None => Err(damaged(format!("a task of {len} bytes in a slot of {INLINE}"))),
        }
    }

    /// Tells the references in a task that carries some.
    pub(super) fn references(
        &self,
        slot: &Slot,
        tell: &mut dyn FnMut(ObjectId, u32),
    ) -> Result<()> {
        let len = slot.head.len.load(Ordering::Relaxed) as usize;
        let read = |from, len| {
            let mut bytes = Vec::new();
            self.read_part(slot, from, len, &mut bytes).map(|()| bytes)
        };
        handle::read_list(len, read, tell)
    }

    /// Tells what the queue has here, the head being at `count`; see [`crate::memory::walk`].
    pub(super) fn walk(&self, block: u32, count: u32, tell: &mut dyn FnMut(Met)) -> Result<()> {
        tell(Met::Block(block));
        for name in &self.table.names {
            match name.load(Ordering::Relaxed) as u32 {
                0 => break,
                page => tell(Met::Block(page)),
            }
        }
        for slot in self.slots() {
            let slot = slot?;
            if let Some(block) = self.block_of(&slot) {
                tell(Met::Block(block.id()));
            }
            if slot.has(CARRIES) && slot.state() != State::Free && !self.is_stale(&slot, count) {
                self.references(&slot, &mut |id, roles| tell(Met::Reference(id, roles)))?;
            }
        }
        Ok(())
    }
}

#[cold]
pub(super) fn damaged(what: String) -> Error {
    Error::of(ErrorKind::Corrupted, format!("the queue is corrupted: {what}"))
}
