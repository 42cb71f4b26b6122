//! Cells: 64 bytes for every shared object, and who refers to them.
//!
//! # What is true
//!
//! A cell is in use while someone refers to it:
//!
//! - a process that is not gone has one of its *presence bits* for the cell: it has a handle (and perhaps a role: it can put
//!   into a queue, or get from it). Each process has its own bits, four a cell, in tables that die with it;
//! - a message that carries a handle stands between head and tail of a queue whose cell is in use;
//! - the result of a process that carries a handle waits for the parent (`in_results` counts these).
//!
//! Presence bits are set, and messages with handles put and taken, only under the arena lock. So under it references may go,
//! but none appears, and none moves from one place to another past whoever looks. What is in messages is found by walking the
//! queues ([`Held::references`]); `carried` counts it roughly (a cache, exact after a sweep), so that the walk is needed only
//! where the count is not zero.
//!
//! # If a process dies
//!
//! - its presence bits count no longer once it is gone, all its threads included;
//! - in the middle of putting or taking a message with handles: the arena lock's successor sweeps, and what the message
//!   carries counts or does not as head and tail tell;
//! - between posting a result and the parent's taking it over: `in_results` stays too high, and the cell is kept while the
//!   world lives.

#![allow(unsafe_code, reason = "a view of a cell's payload")]

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::world::World;
use crate::world::arena::{HEAD, Held, PERMANENT, class_of};
use crate::world::header::{CELL_BLOCKS, PRESENCE_BLOCKS, PROCESSES};
use crate::world::registry::ProcessId;
use crate::world::segments::Shared;
use std::sync::OnceLock;

const CELLS: u32 = 1023;
const CELL_BLOCK: u64 = 64 << 10;
const PRESENCE_BLOCK: u64 = 64 << 10;
/// Four presence bits a cell, sixteen cells a word.
const PRESENCE_CELLS: u32 = ((PRESENCE_BLOCK - HEAD) * 2) as u32;

/// A cell: 48 bytes of payload and 16 of bookkeeping.
#[repr(C, align(64))]
pub(crate) struct Cell {
    pub(crate) payload: [AtomicU64; 6],
    pub(crate) generation: AtomicU32,
    /// What the cell holds; 0 while it is free.
    pub(crate) kind: AtomicU32,
    /// References in messages (cache).
    carried: AtomicU32,
    /// References in results of processes.
    in_results: AtomicU32,
}

// SAFETY: a structure of atomics only.
unsafe impl Shared for Cell {}

const _: () = {
    assert!(size_of::<Cell>() == 64);
    assert!((CELLS as u64 + 1) * 64 == CELL_BLOCK);
};

impl Cell {
    /// The payload as a structure of atomics.
    pub(crate) fn view<T: Shared>(&'static self) -> &'static T {
        const { assert!(size_of::<T>() <= 48 && align_of::<T>() <= 8) };
        let address = core::ptr::from_ref(&self.payload).cast::<T>();
        // SAFETY:
        // - the payload is 48 bytes, 8-aligned, in a mapping that is never unmapped;
        // - `T: Shared`: any bytes are a value, all access is atomic.
        unsafe { &*address }
    }
}

/// A cell in one of its lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CellId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl CellId {
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_bits(bits: u64) -> CellId {
        CellId { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// Tells each handle in the messages of a queue: the queue's cell, and whom to tell of cell and roles.
pub(crate) type Walk = fn(&World, &'static Cell, &mut dyn FnMut(CellId, u32));

/// How to walk a cell of a kind that carries messages; set by the layer that knows them.
static WALK: OnceLock<(u32, Walk)> = OnceLock::new();

/// Makes the messages in cells of `kind` known. A process that never did takes carried cells for used.
pub(crate) fn set_walk(kind: u32, walk: Walk) {
    let _ = WALK.set((kind, walk));
}

/// The cells that were in use during a sweep, under the arena lock.
pub(super) struct UsedCells {
    used: Vec<bool>,
    generations: Vec<u32>,
}

impl UsedCells {
    pub(super) fn has(&self, id: CellId) -> bool {
        let index = id.index as usize;
        self.used.get(index) == Some(&true) && self.generations.get(index) == Some(&id.generation)
    }
}

impl World {
    /// A fresh cell of `kind`, with the presence bits `roles` for this process.
    pub(crate) fn alloc_cell(&self, kind: u32, roles: u32) -> Result<(CellId, &'static Cell)> {
        let held = self.hold()?;
        let index = held.free_cell()?;
        let cell = self.cell(index)?;
        let generation = cell.generation.load(Ordering::Relaxed).wrapping_add(1).max(1);
        // Presence first: it needs memory and may fail.
        held.set_presence(self.this_process(), index, roles)?;
        self.header
            .arena
            .free_cell
            .store(cell.payload[0].load(Ordering::Relaxed) as u32, Ordering::Relaxed);
        for word in &cell.payload {
            word.store(0, Ordering::Relaxed);
        }
        cell.carried.store(0, Ordering::Relaxed);
        cell.in_results.store(0, Ordering::Relaxed);
        cell.generation.store(generation, Ordering::Relaxed);
        cell.kind.store(kind, Ordering::Release);
        Ok((CellId { index, generation }, cell))
    }

    /// The cell with this index.
    pub(crate) fn cell(&self, index: u32) -> Result<&'static Cell> {
        let block = index / CELLS;
        let count = self.header.arena.cell_blocks.load(Ordering::Acquire);
        if block >= count.min(CELL_BLOCKS as u32) {
            return Err(no_cell(index));
        }
        let block = self.extent(self.header.cell_blocks[block as usize].load(Ordering::Relaxed))?;
        block.get((index % CELLS) as usize * size_of::<Cell>())
    }

    /// Frees the cell if nobody refers to it any more; `carrier` says that it may have messages that carry handles.
    pub(crate) fn free_cell_if_unused(&self, id: CellId, carrier: bool) {
        // In doubt the cell stays until the next sweep.
        let Ok(cell) = self.cell(id.index) else { return };
        let Ok(held) = self.hold() else { return };
        if cell.generation.load(Ordering::Relaxed) != id.generation
            || cell.kind.load(Ordering::Relaxed) == 0
            || cell.carried.load(Ordering::Relaxed) != 0
            || cell.in_results.load(Ordering::Relaxed) != 0
            || self.living_processes().any(|process| self.presence(process, id.index) != 0)
        {
            return;
        }
        held.push_cell(id.index, cell);
        if carrier {
            // What its messages refer to is free with it.
            held.sweep();
        }
    }

    /// The processes that are not gone, children about to start included.
    pub(crate) fn living_processes(&self) -> impl Iterator<Item = ProcessId> {
        let registry = self.registry;
        (0..registry.processes())
            .filter_map(move |index| registry.process_at(index))
            .filter(move |&process| !registry.is_gone(process))
    }

    /// What `process` has to do with the cell: its presence bits, 0 for nothing. What cannot be read counts as all.
    pub(crate) fn presence(&self, process: ProcessId, index: u32) -> u32 {
        match self.presence_word(process, index) {
            Ok(Some((word, shift))) => (word.load(Ordering::SeqCst) >> shift) as u32 & 0xf,
            Ok(None) => 0,
            Err(_) => 0xf,
        }
    }

    /// Whether a process that is not gone has one of `roles`. Without the arena lock a role that moves may be missed.
    pub(crate) fn is_role_in_process(&self, index: u32, roles: u32) -> bool {
        let registry = self.registry;
        // Bits first: whether a process is gone is the longer question.
        (0..registry.processes())
            .filter_map(|slot| registry.process_at(slot))
            .any(|process| self.presence(process, index) & roles != 0 && !registry.is_gone(process))
    }

    /// Whether one of `roles` is anywhere: in a process, in a message, in a result. Exact.
    pub(crate) fn is_role_anywhere(&self, id: CellId, roles: u32) -> Result<bool> {
        let held = self.hold()?;
        let cell = self.cell(id.index)?;
        if self.is_role_in_process(id.index, roles) || cell.in_results.load(Ordering::Relaxed) != 0
        {
            return Ok(true);
        }
        if cell.carried.load(Ordering::Relaxed) == 0 {
            return Ok(false);
        }
        let mut found = WALK.get().is_none();
        held.references(|carried, its_roles| found |= carried == id && its_roles & roles != 0);
        Ok(found)
    }

    /// The word that holds a cell's presence bits for a process, and their place in it.
    fn presence_word(
        &self,
        process: ProcessId,
        index: u32,
    ) -> Result<Option<(&'static AtomicU64, u32)>> {
        let record = &self.header.records[process.slot() % PROCESSES];
        if record.generation.load(Ordering::Acquire) != process.generation() {
            return Ok(None);
        }
        let table = (index / PRESENCE_CELLS) as usize;
        let id = record.presence.get(table).map_or(0, |id| id.load(Ordering::Acquire));
        if id == 0 {
            return Ok(None);
        }
        let within = index % PRESENCE_CELLS;
        let word = self.extent(id)?.word((within / 16) as usize * 8)?;
        Ok(Some((word, within % 16 * 4)))
    }

    /// Adds presence bits for a process: for this one, or for a child that has not started.
    pub(crate) fn add_presence(&self, process: ProcessId, index: u32, roles: u32) -> Result<()> {
        self.hold()?.set_presence(process, index, roles)
    }

    /// Takes presence bits of this process away.
    pub(crate) fn remove_presence(&self, index: u32, roles: u32) {
        if let Ok(Some((word, shift))) = self.presence_word(self.this_process(), index) {
            word.fetch_and(!(u64::from(roles & 0xf) << shift), Ordering::SeqCst);
        }
    }

    /// Runs `f`, which puts or takes a message with handles, so that nobody sees it half done.
    pub(crate) fn moving_references<R>(&self, f: impl FnOnce() -> R) -> Result<R> {
        let _held = self.hold()?;
        Ok(f())
    }

    /// Forgets what an earlier process in this slot had; before the process is told to anyone.
    pub(crate) fn clear_record(&self, process: ProcessId) {
        let record = &self.header.records[process.slot() % PROCESSES];
        // First no generation's: a sweep must not see a new table under an old generation, or the other way round.
        record.generation.store(0, Ordering::SeqCst);
        for table in &record.presence {
            // The old tables are free: their holder is gone.
            table.store(0, Ordering::Relaxed);
        }
        // ORDERING(record): Release, pairs with the Acquire in `presence_word`: no old table under the new generation.
        record.generation.store(process.generation(), Ordering::Release);
    }
}

impl Cell {
    /// One more reference in a message, or one less.
    pub(crate) fn count_carried(&self, more: bool) {
        count(&self.carried, more);
    }

    /// One more reference in a result, or one less.
    pub(crate) fn count_in_results(&self, more: bool) {
        count(&self.in_results, more);
    }
}

/// Counts up or down, and never below zero, whatever a peer wrote.
fn count(word: &AtomicU32, more: bool) {
    let _ = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| {
        if more { n.checked_add(1) } else { n.checked_sub(1) }
    });
}

#[cold]
fn no_cell(index: u32) -> Error {
    Error::new(
        ErrorKind::Corrupted,
        format!("shared memory is corrupted: there is no cell {index}"),
    )
}

impl Held<'_> {
    fn free_cell(&self) -> Result<u32> {
        let arena = &self.world.header.arena;
        let live = arena.live_cells.load(Ordering::Relaxed);
        if arena.free_cell.load(Ordering::Relaxed) == 0
            && arena.fresh_cells.load(Ordering::Relaxed) > live.saturating_add(CELLS)
        {
            self.sweep();
        }
        if arena.free_cell.load(Ordering::Relaxed) == 0 {
            self.add_cells()?;
        }
        let fresh = arena.fresh_cells.load(Ordering::Relaxed);
        arena.fresh_cells.store(fresh.saturating_add(1), Ordering::Relaxed);
        arena.free_cell.load(Ordering::Relaxed).checked_sub(1).ok_or_else(|| no_cell(0))
    }

    fn add_cells(&self) -> Result<()> {
        let arena = &self.world.header.arena;
        let count = arena.cell_blocks.load(Ordering::Relaxed);
        let Some(entry) = self.world.header.cell_blocks.get(count as usize) else {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "all {} shared objects of this process tree are in use",
                    CELLS * CELL_BLOCKS as u32
                ),
            ));
        };
        let class = class_of(CELL_BLOCK - HEAD).unwrap_or(0);
        let block = self.alloc(class, CELL_BLOCK - HEAD, PERMANENT)?;
        entry.store(block.id(), Ordering::Relaxed);
        for index in (0..CELLS).rev() {
            let cell: &Cell = block.get(index as usize * size_of::<Cell>())?;
            cell.kind.store(0, Ordering::Relaxed);
            cell.payload[0]
                .store(u64::from(arena.free_cell.load(Ordering::Relaxed)), Ordering::Relaxed);
            arena.free_cell.store(count * CELLS + index + 1, Ordering::Relaxed);
        }
        // ORDERING(cells): Release, pairs with the Acquire in `cell`; the block's id before the count.
        arena.cell_blocks.store(count + 1, Ordering::Release);
        Ok(())
    }

    fn push_cell(&self, index: u32, cell: &Cell) {
        let arena = &self.world.header.arena;
        cell.kind.store(0, Ordering::Relaxed);
        cell.payload[0]
            .store(u64::from(arena.free_cell.load(Ordering::Relaxed)), Ordering::Relaxed);
        arena.free_cell.store(index + 1, Ordering::Relaxed);
        let fresh = arena.fresh_cells.load(Ordering::Relaxed);
        arena.fresh_cells.store(fresh.saturating_sub(1), Ordering::Relaxed);
    }

    fn set_presence(&self, process: ProcessId, index: u32, roles: u32) -> Result<()> {
        let table = (index / PRESENCE_CELLS) as usize;
        let record = &self.world.header.records[process.slot() % PROCESSES];
        if table >= PRESENCE_BLOCKS
            || record.generation.load(Ordering::Acquire) != process.generation()
        {
            return Err(no_cell(index));
        }
        if record.presence[table].load(Ordering::Relaxed) == 0 {
            let len = PRESENCE_BLOCK - HEAD;
            let block = self.alloc(class_of(len).unwrap_or(0), len, process.to_bits())?;
            for offset in (0..block.len()).step_by(8) {
                let word = block.word(offset)?;
                if word.load(Ordering::Relaxed) != 0 {
                    word.store(0, Ordering::Relaxed);
                }
            }
            record.presence[table].store(block.id(), Ordering::Release);
        }
        match self.world.presence_word(process, index)? {
            Some((word, shift)) => {
                word.fetch_or(u64::from(roles & 0xf) << shift, Ordering::SeqCst);
                Ok(())
            }
            None => Err(no_cell(index)),
        }
    }

    fn cells(&self) -> impl Iterator<Item = (u32, &'static Cell)> {
        let world = self.world;
        let count = world.header.arena.cell_blocks.load(Ordering::Relaxed).min(CELL_BLOCKS as u32);
        (0..count * CELLS).filter_map(move |index| Some((index, world.cell(index).ok()?)))
    }

    /// Finds every cell in use, from those that processes and results refer to through the messages of queues, and tells
    /// each reference in a message.
    pub(crate) fn references(&self, mut tell: impl FnMut(CellId, u32)) -> UsedCells {
        let world = self.world;
        let living: Vec<ProcessId> = world.living_processes().collect();
        let walk = WALK.get();
        let mut found = UsedCells { used: Vec::new(), generations: Vec::new() };
        let mut queues = Vec::new();
        for (index, cell) in self.cells() {
            let kind = cell.kind.load(Ordering::Relaxed);
            let used = kind != 0
                && (cell.in_results.load(Ordering::Relaxed) != 0
                    || (walk.is_none() && cell.carried.load(Ordering::Relaxed) != 0)
                    || living.iter().any(|&process| world.presence(process, index) != 0));
            found.used.resize(index as usize, true);
            found.generations.resize(index as usize, 0);
            found.used.push(used);
            found.generations.push(cell.generation.load(Ordering::Relaxed));
            if used && walk.is_some_and(|(carrier, _)| *carrier == kind) {
                queues.push(cell);
            }
        }
        let Some((carrier, walk)) = walk else { return found };
        while let Some(queue) = queues.pop() {
            walk(world, queue, &mut |id, roles| {
                let index = id.index as usize;
                if found.generations.get(index) != Some(&id.generation) {
                    return;
                }
                tell(id, roles);
                if !std::mem::replace(&mut found.used[index], true)
                    && let Ok(cell) = world.cell(id.index)
                    && cell.kind.load(Ordering::Relaxed) == *carrier
                {
                    queues.push(cell);
                }
            });
        }
        found
    }

    /// Derives the free list of cells and the counts of references in messages.
    pub(super) fn sweep_cells(&self) -> UsedCells {
        let world = self.world;
        let arena = &world.header.arena;
        let mut carried = Vec::new();
        let used = self.references(|id, _| carried.push(id.index));
        if WALK.get().is_some() {
            for (_, cell) in self.cells() {
                cell.carried.store(0, Ordering::Relaxed);
            }
            for index in carried {
                if let Ok(cell) = world.cell(index) {
                    cell.count_carried(true);
                }
            }
        }
        arena.free_cell.store(0, Ordering::Relaxed);
        let mut live = 0;
        for (index, cell) in self.cells() {
            if used.used.get(index as usize) == Some(&true) {
                live += 1;
            } else {
                self.push_cell(index, cell);
            }
        }
        arena.live_cells.store(live, Ordering::Relaxed);
        arena.fresh_cells.store(0, Ordering::Relaxed);
        used
    }
}
