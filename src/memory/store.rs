//! This process's view of the memory of a world, and the lock under which it is handed out.

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, Liveness, PROCESSES};
use crate::memory::block::{Block, CLASSES};
use crate::memory::record::ProcessRecord;
use crate::memory::segments::{SegmentTable, Segments};
use crate::raw::lock::{Outcome, Policy, RobustLock};
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::clock::Deadline;

/// How many blocks of objects there may be.
pub(crate) const OBJECT_BLOCKS: usize = 704;

/// The arena's own words, on one line; written under its lock alone.
#[repr(C, align(64))]
pub(crate) struct ArenaLine {
    pub(crate) lock: RobustLock,
    /// How many pages of the segment being carved are carved (cache).
    pub(crate) carved: AtomicU32,
    /// The segment being carved (cache).
    pub(crate) carving: AtomicU32,
    /// First free object plus one (cache).
    pub(crate) free_object: AtomicU32,
    /// How many blocks of objects there are; the truth.
    pub(crate) object_blocks: AtomicU32,
    /// The registry's losses at the last sweep: a difference means that a sweep is due.
    pub(crate) losses: AtomicU32,
    /// A bit for each kind of object that had a reference in flight so far.
    pub(crate) carriers: AtomicU32,
    /// Bytes of blocks in use: what their payloads touch (cache). Compared with the ceiling.
    pub(crate) bytes: AtomicU64,
    /// Bytes of free blocks that still have pages (cache).
    pub(crate) pooled: AtomicU64,
    reserved_too: AtomicU64,
}

/// What of a world is about memory, in its first segment.
#[repr(C, align(64))]
pub(crate) struct MemoryTable {
    pub(crate) arena: ArenaLine,
    /// Free lists, one for each size class: the id of the first block (caches).
    pub(crate) free: [AtomicU32; CLASSES],
    /// Blocks of objects, in the order of their making.
    pub(crate) object_blocks: [AtomicU32; OBJECT_BLOCKS],
    pub(crate) processes: [ProcessRecord; PROCESSES],
    pub(crate) segments: SegmentTable,
}

const _: () = assert!(!NATIVE || size_of::<ArenaLine>() == 64);

/// This process's view of the memory of its world.
pub(crate) struct Memory {
    pub(crate) liveness: &'static Liveness,
    pub(crate) segments: Segments,
    pub(crate) table: &'static MemoryTable,
    /// How much memory the machine or control group has, in bytes.
    pub(crate) limit: u64,
}

/// The arena lock, held.
pub(crate) struct Held<'a> {
    pub(crate) memory: &'a Memory,
    me: Id,
}

impl Memory {
    /// A view of the memory that `segments` maps.
    pub(crate) fn new(
        liveness: &'static Liveness,
        segments: Segments,
        table: &'static MemoryTable,
        limit: u64,
    ) -> Memory {
        segments.set_table(&table.segments);
        Memory { liveness, segments, table, limit }
    }

    /// The block that an id names.
    pub(crate) fn block(&self, id: u32) -> Result<Block> {
        Block::find(&self.segments, id)
    }

    /// Where the payload of a block stands in the file.
    pub(crate) fn file_offset(&self, block: &Block) -> Option<u64> {
        let (segment, offset) = block.payload_address();
        self.segments.file_offset(segment, offset)
    }

    /// Whether something may have been left by the dead since the last sweep.
    pub(crate) fn is_sweep_due(&self) -> bool {
        self.table.arena.losses.load(Ordering::Relaxed) != self.liveness.registry.losses()
    }

    /// Takes the arena lock; whether it was adopted from a dead holder, whose caches are not to be trusted.
    pub(crate) fn lock_arena(&self) -> Result<(Held<'_>, bool)> {
        // Whoever cannot may have wanted to give something back, which is found when its process is dead.
        self.try_lock_arena().inspect_err(|_| self.liveness.be_untidy())
    }

    fn try_lock_arena(&self) -> Result<(Held<'_>, bool)> {
        let me = self.liveness.me()?;
        let lock = &self.table.arena.lock;
        match lock.lock(me, self.liveness, Deadline::NEVER, Policy::Adopt) {
            Outcome::Locked => Ok((Held { memory: self, me }, false)),
            Outcome::Adopted(_) => Ok((Held { memory: self, me }, true)),
            // A signal handler that interrupted its own thread inside the arena.
            _ => Err(Error::simple(ErrorKind::Deadlock)),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.memory.table.arena.lock.unlock(self.me);
    }
}
