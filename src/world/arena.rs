//! Memory for everything shared: blocks of pages.
//!
//! # Layout
//!
//! Segments beyond the first are carved from their start into blocks, 4 KiB times a power of two each; a block larger than
//! the common segment has a segment of its own. A block begins with a 64-byte head and is never split or joined; so a
//! segment can be walked from head to head, and an id (segment, page) names a block for ever.
//!
//! # What is true
//!
//! *Whether a block is in use is derived, never stored.* Free lists and counters are caches under the arena lock; whoever
//! adopts that lock from a dead holder throws them away and derives them anew ([`Held::sweep`]). A block is in use while
//!
//! - its `holder` (a thread or process) is alive, or it is one of the arena's own (`PERMANENT`), or
//! - its `owner`, a cell and its generation, is in use ([`crate::world::cells`]), and its `until` is not behind that cell's
//!   *floor* (the first word of the cell's payload): a queue puts there the position up to which it was read. So a block
//!   full of messages, and one that a queued message names, become free by the one store that moves the queue's head.
//!
//! Who becomes holder of an owned block does so before it moves the floor; so a sweep looks at the holder again after the
//! floor, and what it could not look at (a segment it cannot map) it takes for used.
//!
//! # If a process dies
//!
//! - Carving, before the head's magic: the bytes are not carved yet; the successor carves them again.
//! - Carving, after it: the block is free.
//! - Allocating, before `holder` is set: free. After: in use until the dead holder is seen, then free.
//! - Handing over (`owner` and `until` are set first, then `holder` cleared): at every step one of the two holds.
//! - Freeing: free, and missing from the free list until the next sweep.
//! - Sweeping: the successor sweeps again.
//!
//! A sweep happens on adoption and when as much was handed out since the last one as was in use then; so what the dead
//! leave behind is at most as much again.

#![allow(unsafe_code, reason = "copies bytes to and from shared memory")]

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::world::World;
use crate::world::cells::{CellId, UsedCells};
use crate::world::header::{CLASSES, PROCESSES, SEGMENTS};
use crate::world::registry::Id;
use crate::world::segments::Shared;
use crate::world::wait::me;
use crate::world::word_lock::{Outcome, Policy, WordLock};

const PAGE: u64 = 4096;
/// The low byte of a block's magic word is its class.
const MAGIC: u32 = 0x4d50_4200;
/// Common segments double from the one to the other.
const FIRST_SEGMENT: u64 = 1 << 20;
const LAST_SEGMENT: u64 = 16 << 20;
/// Free blocks keep their pages, so that what is used again need not be made again, as long as all together have no more
/// than this part of the memory. (A first touch costs 2.3 us a page: 64 KiB take 4 us to copy and 37 us to touch.)
const POOL: u64 = 128;
/// What `listed` says.
const NOT_LISTED: u32 = 0;
const LISTED_EMPTY: u32 = 1;
const LISTED_WITH_PAGES: u32 = 2;
/// The holder of blocks that belong to the arena itself; no id has a generation of 0.
pub(super) const PERMANENT: u32 = 1;
/// The link of a block that is its owner's wherever the owner's floor is; no block has this number.
const FOR_LIFE: u32 = 1;
/// Bytes of a block's head.
pub(crate) const HEAD: u64 = 64;

/// The head of a block.
#[repr(C, align(64))]
struct Head {
    magic: AtomicU32,
    holder: AtomicU32,
    owner: AtomicU64,
    until: AtomicU32,
    next_free: AtomicU32,
    /// Bytes of payload asked for.
    len: AtomicU64,
    /// Where the next chunk of a queue is.
    link: AtomicU32,
    /// How often the block was handed out.
    life: AtomicU32,
    /// Whether the block stands in a free list, and has pages then (cache).
    listed: AtomicU32,
    rest: [AtomicU32; 5],
}

// SAFETY: a structure of atomics only.
unsafe impl Shared for Head {}

const _: () = {
    assert!(size_of::<Head>() == HEAD as usize);
};

/// A block of shared memory; what it means is up to its user.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    id: u32,
    head: &'static Head,
    payload: *mut u8,
    capacity: u64,
    /// The life in which it was met; a block that was handed out again since is another.
    life: u32,
}

/// Bytes in shared memory that one process or thread holds.
pub(crate) type Extent = Block;

// SAFETY: the payload is shared memory that is never unmapped; all access through this type is by atomics or by copies
// whose exclusiveness the callers' protocols argue.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl core::fmt::Debug for Block {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Block").field("id", &self.id).field("capacity", &self.capacity).finish()
    }
}

impl Block {
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Bytes of payload that the block has room for.
    pub(crate) fn len(&self) -> usize {
        self.capacity as usize
    }

    fn check(&self, offset: usize, len: usize) -> Result<()> {
        if offset.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(out_of_block(self, offset, len));
        }
        Ok(())
    }

    /// Copies bytes in.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check(offset, bytes.len())?;
        let to = self.payload.wrapping_add(offset);
        // SAFETY:
        // - the range was checked against the block, which lies in a mapping that is never unmapped;
        // - `bytes` is private memory and does not overlap;
        // - the caller's protocol gives it these bytes alone; a peer that breaks it garbles only data, which is checked
        //   when it is read.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// Copies bytes out into `to`.
    pub(crate) fn read_into(&self, offset: usize, len: usize, to: &mut Vec<u8>) -> Result<()> {
        self.check(offset, len)?;
        to.try_reserve(len).map_err(|_| {
            Error::new(ErrorKind::OutOfMemory, format!("no memory for a message of {len} bytes"))
        })?;
        let from = self.payload.wrapping_add(offset);
        let end = to.len();
        let spare = to.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY:
        // - the range was checked; the source is mapped for ever;
        // - `to` has room for `len` more bytes, and private memory does not overlap shared memory;
        // - bytes have no invalid values; the caller's protocol keeps writers away, and if a peer writes all the same,
        //   only the copied bytes differ.
        unsafe { core::ptr::copy_nonoverlapping(from, spare, len) };
        // SAFETY: these bytes were just written, within the capacity.
        unsafe { to.set_len(end + len) };
        Ok(())
    }

    /// Copies bytes out.
    pub(crate) fn read(&self, offset: usize, len: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(offset, len, &mut bytes)?;
        Ok(bytes)
    }

    /// A word of the payload; `offset` must be a multiple of 8.
    pub(crate) fn word(&self, offset: usize) -> Result<&'static AtomicU64> {
        self.get(offset)
    }

    /// A structure of atomics in the payload.
    #[inline]
    pub(crate) fn get<T: Shared>(&self, offset: usize) -> Result<&'static T> {
        self.check(offset, size_of::<T>())?;
        let address = self.payload.wrapping_add(offset);
        if !(address as usize).is_multiple_of(align_of::<T>()) {
            return Err(out_of_block(self, offset, size_of::<T>()));
        }
        // SAFETY:
        // - checked against the block just now, aligned, in a mapping that is never unmapped;
        // - `T: Shared`: any bytes are a value, all access is atomic.
        Ok(unsafe { &*address.cast::<T>() })
    }

    /// Where the payload starts; for the queue's fast path, which checks its own bounds.
    pub(crate) fn payload(&self) -> *mut u8 {
        self.payload
    }

    /// The next chunk of a queue.
    pub(crate) fn link(&self) -> &'static AtomicU32 {
        &self.head.link
    }

    /// Gives the block from its holder to a cell, for as long as the cell's floor is not beyond `until`.
    pub(crate) fn give_to(&self, owner: CellId, until: u32) {
        self.head.until.store(until, Ordering::Relaxed);
        // ORDERING(hand over): Release in this order: a sweep that sees no holder sees the owner, and one that sees the
        // owner sees `until`.
        self.head.owner.store(owner.to_bits(), Ordering::Release);
        self.head.holder.store(0, Ordering::Release);
    }

    /// Gives the block from its holder to a cell, for as long as the cell lives.
    pub(crate) fn give_for_life(&self, owner: CellId) {
        self.head.link.store(FOR_LIFE, Ordering::Relaxed);
        self.give_to(owner, 0);
    }

    /// Names or clears the holder.
    pub(crate) fn set_holder(&self, holder: Option<Id>) {
        self.head.holder.store(holder.map_or(0, Id::to_bits), Ordering::Release);
    }
}

#[cold]
fn out_of_block(block: &Block, offset: usize, len: usize) -> Error {
    Error::new(
        ErrorKind::Corrupted,
        format!(
            "shared memory is corrupted: {len} bytes at {offset} do not fit a block of {} bytes",
            block.capacity
        ),
    )
}

fn class_size(class: u32) -> u64 {
    PAGE << class
}

/// The class of the smallest block for `len` bytes of payload.
pub(super) fn class_of(len: u64) -> Option<u32> {
    let pages = len.checked_add(HEAD)?.div_ceil(PAGE).checked_next_power_of_two()?;
    let class = pages.trailing_zeros();
    (class < CLASSES as u32).then_some(class)
}

/// The arena lock, held.
pub(super) struct Held<'a> {
    pub(super) world: &'a World,
    me: Id,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.world.arena_lock().unlock(self.me);
    }
}

impl World {
    fn arena_lock(&self) -> &'static WordLock {
        &self.header.arena.lock
    }

    pub(super) fn hold(&self) -> Result<Held<'_>> {
        let me = me()?;
        match self.arena_lock().lock(me, self, Deadline::NEVER, Policy::Adopt) {
            Outcome::Locked => Ok(Held { world: self, me }),
            Outcome::Adopted(_) => {
                let held = Held { world: self, me };
                held.sweep();
                Ok(held)
            }
            // A signal handler that interrupted its own thread inside the arena.
            _ => Err(Error::simple(ErrorKind::Deadlock)),
        }
    }

    /// Bytes in shared memory, freed by [`World::free`] or when `holder` is dead.
    pub(crate) fn alloc(&self, len: usize, holder: Id) -> Result<Extent> {
        let class = class_of(len as u64).filter(|_| len as u64 <= self.limit);
        let Some(class) = class else {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "{len} bytes are more than this machine or control group has memory for ({} bytes)",
                    self.limit
                ),
            ));
        };
        self.hold()?.alloc(class, len as u64, holder.to_bits())
    }

    /// Like [`World::alloc`], but only below a quarter of the memory: for what a queue holds.
    pub(crate) fn alloc_for_queue(&self, len: usize, holder: Id) -> Result<Extent> {
        let ceiling = self.limit / 4;
        self.check_message(len)?;
        let held = self.hold()?;
        let arena = &self.header.arena;
        if arena.bytes.load(Ordering::Relaxed).saturating_add(len as u64) > ceiling {
            held.sweep();
            let used = arena.bytes.load(Ordering::Relaxed);
            if used.saturating_add(len as u64) > ceiling {
                return Err(Error::new(
                    ErrorKind::OutOfMemory,
                    format!(
                        "shared memory holds {used} bytes and {len} more would pass the ceiling of {ceiling} (a quarter of the memory of this machine or control group): get messages faster, or bound the queue"
                    ),
                ));
            }
        }
        let class = class_of(len as u64).ok_or_else(|| Error::simple(ErrorKind::TooLarge))?;
        held.alloc(class, len as u64, holder.to_bits())
    }

    /// The block that an id names.
    pub(crate) fn extent(&self, id: u32) -> Result<Extent> {
        let (segment, page) = ((id >> 20) as usize, u64::from(id & 0xf_ffff));
        if segment == 0 {
            return Err(no_block(id));
        }
        let head: &Head = self.segments.get(segment, page * PAGE)?;
        let magic = head.magic.load(Ordering::Acquire);
        let class = magic ^ MAGIC;
        if class >= CLASSES as u32 {
            return Err(no_block(id));
        }
        let capacity = class_size(class) - HEAD;
        let payload = self.segments.at(segment, page * PAGE + HEAD, capacity)?;
        let life = head.life.load(Ordering::Relaxed);
        Ok(Block { id, head, payload, capacity, life })
    }

    /// Where the payload of a block stands in the file of the world.
    pub(crate) fn file_offset(&self, block: &Extent) -> u64 {
        let (segment, page) = ((block.id >> 20) as usize, u64::from(block.id & 0xf_ffff));
        let entry = &self.header.segments[segment];
        entry.offset.load(Ordering::Relaxed).wrapping_add(page * PAGE + HEAD)
    }

    /// Whether a message of `len` bytes is more than queues may hold, so that it need not be encoded first.
    pub(crate) fn check_message(&self, len: usize) -> Result<()> {
        let ceiling = self.limit / 4;
        if len as u64 <= ceiling {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "a message of {len} bytes is larger than the {ceiling} bytes that messages may take (a quarter of the memory of this machine or control group): send it in parts"
            ),
        ))
    }

    /// Gives a block back at once, unless a sweep has done so already.
    pub(crate) fn free(&self, block: Extent) {
        // Without the lock the block stays in use until its holder, owner or position ends that, and a sweep finds it.
        let Ok(held) = self.hold() else { return };
        let listed = block.head.listed.load(Ordering::Relaxed) != NOT_LISTED;
        if !listed && block.head.life.load(Ordering::Relaxed) == block.life {
            block.head.owner.store(0, Ordering::Relaxed);
            block.head.holder.store(0, Ordering::Relaxed);
            held.push(&block);
        }
    }

    /// How much shared memory is in use, in bytes.
    #[cfg(test)]
    pub(crate) fn sweep(&self) -> Result<u64> {
        self.hold()?.sweep();
        Ok(self.header.arena.bytes.load(Ordering::Relaxed))
    }
}

#[cold]
fn no_block(id: u32) -> Error {
    Error::new(
        ErrorKind::Corrupted,
        format!("shared memory is corrupted: there is no block {id:#x}"),
    )
}

impl Held<'_> {
    pub(super) fn alloc(&self, class: u32, len: u64, holder: u32) -> Result<Block> {
        let arena = &self.world.header.arena;
        let first = &self.world.header.free[class as usize];
        if first.load(Ordering::Relaxed) == 0
            && arena.fresh.load(Ordering::Relaxed)
                > arena.live.load(Ordering::Relaxed).saturating_add(64)
        {
            self.sweep();
        }
        let mut id = first.load(Ordering::Relaxed);
        if id == 0 {
            id = match self.carve(class) {
                Ok(id) => id,
                Err(error) => {
                    // Full: what the dead left may serve.
                    self.sweep();
                    match first.load(Ordering::Relaxed) {
                        0 => return Err(error),
                        id => id,
                    }
                }
            };
        }
        let mut block = self.world.extent(id)?;
        let next = block.head.next_free.load(Ordering::Relaxed);
        block.life = block.life.wrapping_add(1);
        block.head.life.store(block.life, Ordering::Relaxed);
        if block.head.listed.swap(NOT_LISTED, Ordering::Relaxed) == LISTED_WITH_PAGES {
            let pooled = arena.pooled.load(Ordering::Relaxed);
            arena.pooled.store(pooled.saturating_sub(footprint(&block)), Ordering::Relaxed);
        }
        block.head.owner.store(0, Ordering::Relaxed);
        block.head.len.store(len, Ordering::Relaxed);
        block.head.link.store(0, Ordering::Relaxed);
        block.head.holder.store(holder, Ordering::Release);
        first.store(next, Ordering::Relaxed);
        arena.fresh.store(arena.fresh.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
        arena.bytes.store(
            arena.bytes.load(Ordering::Relaxed).saturating_add(footprint(&block)),
            Ordering::Relaxed,
        );
        Ok(block)
    }

    fn push(&self, block: &Block) {
        let arena = &self.world.header.arena;
        let class = block.head.magic.load(Ordering::Relaxed) ^ MAGIC;
        let Some(first) = self.world.header.free.get(class as usize) else { return };
        arena.bytes.store(
            arena.bytes.load(Ordering::Relaxed).saturating_sub(footprint(block)),
            Ordering::Relaxed,
        );
        arena.fresh.store(arena.fresh.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        self.list(block, first);
    }

    /// Puts a free block first in its list; its pages are kept while the pool has room.
    fn list(&self, block: &Block, first: &AtomicU32) {
        let arena = &self.world.header.arena;
        let was = block.head.listed.load(Ordering::Relaxed);
        let pooled = arena.pooled.load(Ordering::Relaxed).saturating_add(footprint(block));
        let listed = if was == LISTED_EMPTY {
            LISTED_EMPTY
        } else if pooled <= self.world.limit / POOL {
            arena.pooled.store(pooled, Ordering::Relaxed);
            LISTED_WITH_PAGES
        } else {
            self.punch(block);
            LISTED_EMPTY
        };
        block.head.listed.store(listed, Ordering::Relaxed);
        block.head.next_free.store(first.load(Ordering::Relaxed), Ordering::Relaxed);
        first.store(block.id, Ordering::Relaxed);
    }

    /// Gives a free block's pages back, but for that of its head.
    fn punch(&self, block: &Block) {
        let (segment, page) = ((block.id >> 20) as usize, u64::from(block.id & 0xf_ffff));
        let len = block.capacity + HEAD - PAGE;
        if let Some(entry) = self.world.header.segments.get(segment).filter(|_| len > 0) {
            let start = entry.offset.load(Ordering::Relaxed).saturating_add(page * PAGE + PAGE);
            self.world.segments.file().punch(start, len);
        }
    }

    /// A new free block, first in its list.
    fn carve(&self, class: u32) -> Result<u32> {
        let size = class_size(class);
        let arena = &self.world.header.arena;
        if size > LAST_SEGMENT / 4 {
            let segment = self.add_segment(size)?;
            return self.put_head(segment, 0, class);
        }
        let mut segment = arena.carving.load(Ordering::Relaxed) as usize;
        let mut carved = u64::from(arena.carved.load(Ordering::Relaxed)) * PAGE;
        let len = if segment == 0 { 0 } else { self.segment_len(segment) };
        if len.saturating_sub(carved) < size {
            // The rest of the old segment serves smaller blocks.
            while len > carved && len - carved >= PAGE {
                let rest = ((len - carved) / PAGE).ilog2();
                self.put_head(segment, carved, rest)?;
                carved += class_size(rest);
            }
            let next = len.saturating_mul(2).clamp(FIRST_SEGMENT, LAST_SEGMENT).max(size);
            segment = self.add_segment(next)?;
            carved = 0;
            arena.carving.store(segment as u32, Ordering::Relaxed);
        }
        let id = self.put_head(segment, carved, class)?;
        arena.carved.store(((carved + size) / PAGE) as u32, Ordering::Relaxed);
        Ok(id)
    }

    fn segment_len(&self, segment: usize) -> u64 {
        self.world.header.segments.get(segment).map_or(0, |entry| entry.len.load(Ordering::Relaxed))
    }

    /// Writes the head of a new block and puts it first in its free list.
    fn put_head(&self, segment: usize, offset: u64, class: u32) -> Result<u32> {
        let head: &Head = self.world.segments.get(segment, offset)?;
        let id = (segment as u32) << 20 | (offset / PAGE) as u32;
        let Some(first) = self.world.header.free.get(class as usize) else {
            return Err(no_block(class));
        };
        head.holder.store(0, Ordering::Relaxed);
        head.owner.store(0, Ordering::Relaxed);
        head.listed.store(LISTED_EMPTY, Ordering::Relaxed);
        head.next_free.store(first.load(Ordering::Relaxed), Ordering::Relaxed);
        // ORDERING(carve): Release, pairs with the Acquire in `extent` and the walk; the head before its magic.
        head.magic.store(MAGIC | class, Ordering::Release);
        first.store(id, Ordering::Relaxed);
        Ok(id)
    }

    /// Appends a segment to the file.
    fn add_segment(&self, len: u64) -> Result<usize> {
        let header = self.world.header;
        let count = header.arena.segments.load(Ordering::Relaxed) as usize;
        if count >= SEGMENTS {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("shared memory has all its {SEGMENTS} segments: free something first"),
            ));
        }
        let end = |entry: &crate::world::header::SegmentEntry| {
            entry.offset.load(Ordering::Relaxed).saturating_add(entry.len.load(Ordering::Relaxed))
        };
        let offset = header.segments[..count].iter().map(end).max().unwrap_or(0);
        self.world.segments.grow(offset.saturating_add(len))?;
        header.segments[count].offset.store(offset, Ordering::Relaxed);
        header.segments[count].len.store(len, Ordering::Relaxed);
        // ORDERING(segment): Release, pairs with the Acquire in `Segments::at`; the entry before the count.
        header.arena.segments.store(count as u32 + 1, Ordering::Release);
        Ok(count)
    }

    /// Derives every cache from the truths.
    pub(super) fn sweep(&self) {
        let world = self.world;
        let header = world.header;
        let arena = &header.arena;
        let cells = self.sweep_cells();
        for first in &header.free {
            first.store(0, Ordering::Relaxed);
        }
        arena.pooled.store(0, Ordering::Relaxed);
        let (mut live, mut bytes) = (0u32, 0u64);
        let (mut carving, mut carved) = (0usize, 0u64);
        let count = (arena.segments.load(Ordering::Relaxed) as usize).min(SEGMENTS);
        for segment in 1..count {
            let len = self.segment_len(segment);
            let mut offset = 0;
            while offset < len {
                // A head that cannot be read is not free; only a zero one is not carved yet.
                match world.segments.get::<Head>(segment, offset) {
                    Ok(head) if head.magic.load(Ordering::Acquire) == 0 => break,
                    _ => {}
                }
                let id = (segment as u32) << 20 | (offset / PAGE) as u32;
                let Ok(block) = world.extent(id) else {
                    offset = len;
                    break;
                };
                offset += block.capacity + HEAD;
                if self.is_block_used(&block, &cells) {
                    block.head.listed.store(NOT_LISTED, Ordering::Relaxed);
                    live += 1;
                    bytes += footprint(&block);
                } else {
                    let class = (block.head.magic.load(Ordering::Relaxed) ^ MAGIC) as usize;
                    if let Some(first) = header.free.get(class) {
                        block.head.owner.store(0, Ordering::Relaxed);
                        block.head.holder.store(0, Ordering::Relaxed);
                        self.list(&block, first);
                    }
                }
            }
            if offset < len {
                (carving, carved) = (segment, offset);
            }
        }
        arena.carving.store(carving as u32, Ordering::Relaxed);
        arena.carved.store((carved / PAGE) as u32, Ordering::Relaxed);
        arena.live.store(live, Ordering::Relaxed);
        arena.fresh.store(0, Ordering::Relaxed);
        arena.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether a block is in use: the truth about it. `cells` are the cells in use.
    fn is_block_used(&self, block: &Block, cells: &UsedCells) -> bool {
        let registry = self.world.registry;
        // ORDERING(hand over): Acquire in the reverse order of `give_to`.
        let holder = block.head.holder.load(Ordering::Acquire);
        let owner = CellId::from_bits(block.head.owner.load(Ordering::Acquire));
        if holder == PERMANENT {
            return true;
        }
        if let Some(id) = Id::from_bits(holder) {
            let dead =
                if id.slot() < PROCESSES { registry.is_gone(id) } else { registry.is_dead(id) };
            if !dead {
                return true;
            }
        }
        if owner.generation == 0 || !cells.has(owner) {
            return false;
        }
        if block.head.link.load(Ordering::Relaxed) == FOR_LIFE {
            return true;
        }
        let Ok(cell) = self.world.cell(owner.index) else { return true };
        let floor = cell.payload[0].load(Ordering::SeqCst) as u32;
        let until = block.head.until.load(Ordering::Relaxed);
        until.wrapping_sub(floor) as i32 >= 0
            // ORDERING(take): who moved the floor past it may have become its holder before that.
            || block.head.holder.load(Ordering::Acquire) != holder
    }
}

/// What a block counts for: the pages that its payload touches.
fn footprint(block: &Block) -> u64 {
    (block.head.len.load(Ordering::Relaxed).min(block.capacity) + HEAD).next_multiple_of(PAGE)
}
