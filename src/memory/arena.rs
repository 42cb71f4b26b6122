//! The arena: which blocks are free, and where new ones come from. Everything here happens under the arena lock.
//!
//! Segments beyond the first are carved from their start into blocks; a block larger than the common segment has a segment of
//! its own. So a segment can be walked from head to head.
//!
//! Free lists and counters are caches. Whoever adopts the lock from a dead holder throws them away and makes them anew
//! ([`crate::memory::sweep`]).
//!
//! Free blocks keep their pages, so that what is used again need not be made again, as long as all together have no more than
//! a part of the memory, the *pool*. What is above that gives its pages back to the system.
//!
//! # If a process dies
//!
//! - Carving, before the head's magic: the bytes are not carved yet; the successor carves them again.
//! - Carving, after it: the block is free.
//! - Handing out, before `holder` is set: the block is free. After: it is in use until the dead holder is seen, then free.
//! - Giving back: the block is free, and missing from the free list until the next sweep.
//!
//! # Measured
//!
//! A first touch costs 2.3 us a page: 64 KiB take 4 us to copy and 37 us to touch.

use crate::error::Result;
use crate::memory::block::{
    Block, CLASSES, LISTED_EMPTY, LISTED_WITH_PAGES, NOT_LISTED, PAGE, class_size, no_block,
};
use crate::memory::store::Held;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};

/// Common segments double from the one to the other.
const FIRST_SEGMENT: u64 = 1 << 20;
const LAST_SEGMENT: u64 = 16 << 20;
/// The pool is this part of the memory.
const POOL: u64 = 128;

impl Held<'_> {
    /// A block of `class` from the free list; `None` if there is none.
    pub(crate) fn take_free(&self, class: u32, len: u64, holder: u32) -> Result<Option<Block>> {
        let first = self.first_free(class as usize)?;
        let id = first.load(Ordering::Relaxed);
        if id == 0 {
            return Ok(None);
        }
        let mut block = self.memory.block(id)?;
        let next = block.head.next_free.load(Ordering::Relaxed);
        if block.head.listed.swap(NOT_LISTED, Ordering::Relaxed) == LISTED_WITH_PAGES {
            // By what the last user touched, before the new length is written.
            less(&self.memory.table.arena.pooled, block.footprint());
        }
        block.hand_out(len, holder);
        first.store(next, Ordering::Relaxed);
        more(&self.memory.table.arena.bytes, block.footprint());
        Ok(Some(block))
    }

    /// Whether the pages of a block that is about to be free have no room in the pool.
    pub(crate) fn pool_is_full_for(&self, block: &Block) -> bool {
        let pooled = self.memory.table.arena.pooled.load(Ordering::Relaxed);
        pooled.saturating_add(block.footprint()) > self.memory.limit / POOL
    }

    /// Puts a block into the free list that was in use until now.
    pub(crate) fn give_back(&self, block: &Block, with_pages: bool) {
        block.clear();
        less(&self.memory.table.arena.bytes, block.footprint());
        self.list(block, with_pages);
    }

    /// Puts a free block first in its list.
    pub(crate) fn list(&self, block: &Block, with_pages: bool) {
        let Ok(first) = self.first_free(block.class()) else { return };
        if with_pages {
            more(&self.memory.table.arena.pooled, block.footprint());
        }
        let listed = if with_pages { LISTED_WITH_PAGES } else { LISTED_EMPTY };
        block.head.listed.store(listed, Ordering::Relaxed);
        block.head.next_free.store(first.load(Ordering::Relaxed), Ordering::Relaxed);
        first.store(block.id(), Ordering::Relaxed);
    }

    fn first_free(&self, class: usize) -> Result<&'static AtomicU32> {
        self.memory.table.free.get(class).ok_or_else(|| no_block(class as u32))
    }

    /// A new free block, first in its list.
    pub(crate) fn carve(&self, class: u32) -> Result<()> {
        let size = class_size(class);
        let arena = &self.memory.table.arena;
        let segments = &self.memory.segments;
        if size > LAST_SEGMENT / 4 {
            return self.put_head(segments.append(size)?, 0, class);
        }
        let mut segment = arena.carving.load(Ordering::Relaxed) as usize;
        let mut carved = u64::from(arena.carved.load(Ordering::Relaxed)) * PAGE;
        let len = if segment == 0 { 0 } else { segments.len_of(segment) };
        if len.saturating_sub(carved) < size {
            self.carve_rest(segment, carved, len)?;
            let next = len.saturating_mul(2).clamp(FIRST_SEGMENT, LAST_SEGMENT).max(size);
            segment = segments.append(next)?;
            carved = 0;
            arena.carving.store(segment as u32, Ordering::Relaxed);
        }
        self.put_head(segment, carved, class)?;
        arena.carved.store(((carved + size) / PAGE) as u32, Ordering::Relaxed);
        Ok(())
    }

    /// The rest of a segment serves smaller blocks.
    fn carve_rest(&self, segment: usize, mut carved: u64, len: u64) -> Result<()> {
        while len > carved && len - carved >= PAGE {
            let class = ((len - carved) / PAGE).ilog2();
            self.put_head(segment, carved, class)?;
            carved += class_size(class);
        }
        Ok(())
    }

    /// Writes the head of a new block and puts it first in its free list.
    fn put_head(&self, segment: usize, offset: u64, class: u32) -> Result<()> {
        let block = Block::carve(&self.memory.segments, segment, offset, class)?;
        self.list(&block, false);
        Ok(())
    }

    /// Makes free lists and counters anew: `is_used` is the truth about each block.
    pub(crate) fn rebuild_arena(&self, is_used: impl Fn(&Block) -> bool) {
        let (table, segments) = (self.memory.table, &self.memory.segments);
        let arena = &table.arena;
        for first in &table.free {
            first.store(0, Ordering::Relaxed);
        }
        arena.pooled.store(0, Ordering::Relaxed);
        let mut bytes = 0;
        let (mut carving, mut carved) = (0, 0);
        for segment in 1..segments.count() {
            let len = segments.len_of(segment);
            let mut offset = 0;
            while offset < len && Block::is_carved(segments, segment, offset) {
                let id = (segment as u32) << 20 | (offset / PAGE) as u32;
                let Ok(block) = self.memory.block(id) else {
                    // It cannot be read, so nothing behind it can be found.
                    offset = len;
                    break;
                };
                offset += block.size();
                if is_used(&block) {
                    block.head.listed.store(NOT_LISTED, Ordering::Relaxed);
                    bytes += block.footprint();
                } else if block.class() < CLASSES {
                    block.clear();
                    self.list_again(&block);
                }
            }
            if offset < len {
                (carving, carved) = (segment, offset);
            }
        }
        arena.carving.store(carving as u32, Ordering::Relaxed);
        arena.carved.store((carved / PAGE) as u32, Ordering::Relaxed);
        arena.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Lists a free block again, or one that is found to be free.
    fn list_again(&self, block: &Block) {
        let is_empty = block.head.listed.load(Ordering::Relaxed) == LISTED_EMPTY;
        let with_pages = !is_empty && !self.pool_is_full_for(block);
        if !is_empty && !with_pages {
            let (segment, offset, len) = block.spare_pages();
            self.memory.segments.punch(segment, offset, len);
        }
        self.list(block, with_pages);
    }
}

/// Counters are caches: a wrong one never wraps.
fn more(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).saturating_add(by), Ordering::Relaxed);
}

fn less(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).saturating_sub(by), Ordering::Relaxed);
}
