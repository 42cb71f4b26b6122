//! A few blocks of one size, what tells whether they are in use, and how they are handed out and given back. The walk over
//! all blocks is short here, and there is no memory for more.

use crate::error::{Error, ErrorKind, Result};
use crate::sim;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::world::World;
use crate::world::cells::{CellId, UsedCells};
use crate::world::header::PROCESSES;
use crate::world::registry::Id;
use crate::world::wait::me;
use crate::world::word_lock::{Outcome, Policy, WordLock};
use std::cell::RefCell;

pub(crate) const HEAD: u64 = 64;
const PERMANENT: u32 = 1;
const FOR_LIFE: u32 = 1;
const MAGIC: u32 = 0x4d50_4200;
const NOT_LISTED: u32 = 0;
const LISTED_EMPTY: u32 = 1;
const LISTED_WITH_PAGES: u32 = 2;
/// The class of all blocks.
const CLASS: u32 = 4;

/// The head of a block.
pub(crate) struct Head {
    magic: AtomicU32,
    holder: AtomicU32,
    owner: AtomicU64,
    until: AtomicU32,
    next_free: AtomicU32,
    len: AtomicU64,
    link: AtomicU32,
    life: AtomicU32,
    listed: AtomicU32,
}

#[derive(Clone, Copy)]
pub(crate) struct Block {
    id: u32,
    head: &'static Head,
    payload: *mut u8,
    len: usize,
    life: u32,
}

pub(crate) type Extent = Block;

/// Whoever sweeps: the holder of the arena lock, or a model that looks without it.
pub(crate) struct Held<'a> {
    pub(crate) world: &'a World,
    pub(crate) me: Option<Id>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(me) = self.me {
            self.world.arena_lock().unlock(me);
        }
    }
}

#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
mod copy {
    use super::*;
    copied!("arena");
}

thread_local! {
    /// All blocks of the running model; the first has number 1.
    static BLOCKS: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn begin() {
    BLOCKS.with_borrow_mut(Vec::clear);
}

impl Block {
    /// A block held by `holder`, with so many words of payload, of which those that `is_word` names can be used as atomics.
    pub(crate) fn held_by(holder: Id, len: usize, is_word: impl Fn(usize) -> bool) -> Block {
        let payload = sim::memory(len / 8);
        for word in (0..len / 8).filter(|&word| is_word(word)) {
            sim::create(payload.wrapping_add(word), 0);
        }
        let head = sim::keep(Head {
            magic: AtomicU32::new(MAGIC | CLASS),
            holder: AtomicU32::new(holder.to_bits()),
            owner: AtomicU64::new(0),
            until: AtomicU32::new(0),
            next_free: AtomicU32::new(0),
            len: AtomicU64::new(len as u64),
            link: AtomicU32::new(0),
            life: AtomicU32::new(0),
            listed: AtomicU32::new(NOT_LISTED),
        });
        BLOCKS.with_borrow_mut(|blocks| {
            let id = blocks.len() as u32 + 1;
            let block = Block { id, head, payload: payload.cast(), len, life: 0 };
            blocks.push(block);
            block
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn payload(&self) -> *mut u8 {
        self.payload
    }

    pub(crate) fn is_held_by(&self, holder: Id) -> bool {
        self.head.holder.peek() == holder.to_bits()
    }

    pub(crate) fn read_into(&self, _: usize, _: usize, _: &mut Vec<u8>) -> Result<()> {
        unreachable!("no large records in a model")
    }
}

/// Makes the words of the arena.
pub(crate) fn open(world: &World) {
    let line = &world.header.arena;
    let lock = core::ptr::from_ref(&line.lock).cast::<AtomicU32>();
    sim::create(lock, 0);
    sim::create(lock.wrapping_add(1), 0);
    for word in [&line.live, &line.fresh, &world.header.free[CLASS as usize]] {
        sim::create(word, 0);
    }
    sim::create(&line.bytes, 0);
    sim::create(&line.pooled, 0);
}

impl World {
    fn arena_lock(&self) -> &'static WordLock {
        &self.header.arena.lock
    }

    pub(crate) fn extent(&self, id: u32) -> Result<Block> {
        let block = BLOCKS.with_borrow(|blocks| blocks.get((id as usize).wrapping_sub(1)).copied());
        let block =
            block.ok_or_else(|| Error::of(ErrorKind::Corrupted, format!("no block {id}")))?;
        Ok(Block { life: block.head.life.load(Ordering::Relaxed), ..block })
    }

    pub(crate) fn alloc_for_queue(&self, len: usize, holder: Id) -> Result<Block> {
        self.hold()?.alloc(CLASS, len as u64, holder.to_bits())
    }

    /// How many blocks are in use.
    pub(crate) fn used_blocks(&self) -> usize {
        let held = self.hold().expect("the lock");
        held.sweep();
        let blocks = BLOCKS.with_borrow(Clone::clone);
        blocks.iter().filter(|block| held.is_block_used(block, &UsedCells)).count()
    }

    pub(crate) fn moving_references<R>(&self, f: impl FnOnce() -> R) -> Result<R> {
        Ok(f())
    }
}

impl Held<'_> {
    fn carve(&self, _: u32) -> Result<u32> {
        Err(Error::simple(ErrorKind::Limit))
    }

    fn list(&self, block: &Block, first: &AtomicU32) {
        block.head.listed.store(LISTED_EMPTY, Ordering::Relaxed);
        block.head.next_free.store(first.load(Ordering::Relaxed), Ordering::Relaxed);
        first.store(block.id, Ordering::Relaxed);
    }

    /// The free list from the truth about each block.
    pub(crate) fn sweep(&self) {
        let first = &self.world.header.free[CLASS as usize];
        first.store(0, Ordering::Relaxed);
        for block in BLOCKS.with_borrow(Clone::clone) {
            if self.is_block_used(&block, &UsedCells) {
                block.head.listed.store(NOT_LISTED, Ordering::Relaxed);
            } else {
                block.head.owner.store(0, Ordering::Relaxed);
                block.head.holder.store(0, Ordering::Relaxed);
                self.list(&block, first);
            }
        }
    }
}

/// What a block counts for; nobody asks here.
fn footprint(_: &Block) -> u64 {
    0
}
