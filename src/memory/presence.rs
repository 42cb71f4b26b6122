//! Presence: which process has to do with which object.
//!
//! Each process has four *presence bits* for each object, in tables of its own that die with it:
//!
//! ```text
//! the record of a process slot
//! 0    4  generation  the life of the slot for which the record counts; 0: none     the process, or its parent before it starts
//! 4  368  tables      the block of each table of presence bits; 0: none yet         holders of the arena lock
//! a table: a block of 4 KiB; 16 objects in each 64-bit word, 4 bits each, for 8,064 objects
//! ```
//!
//! Bits are set under the arena lock only, and taken away by their process at any time. So under the lock references may go, but
//! none appears. When a process is gone with all its threads, its bits count no longer.

use crate::error::Result;
use crate::liveness::{PROCESSES, ProcessId};
use crate::memory::block::{Block, HEAD, PAGE};
use crate::memory::objects::no_object;
use crate::memory::record::ProcessRecord;
use crate::memory::store::{Held, Memory};
use crate::sys::atomic::{AtomicU64, Ordering};

/// Bytes of payload of a table.
pub(crate) const TABLE: u64 = PAGE - HEAD;
/// Objects for which a table has bits.
const OBJECTS_IN_TABLE: usize = (TABLE * 2) as usize;
const OBJECTS_IN_WORD: usize = 16;
const ALL: u32 = 0xf;

/// The word that holds an object's presence bits for a process, and how far they are shifted in it.
struct Bits {
    word: &'static AtomicU64,
    shift: u32,
}

impl Memory {
    fn record(&self, process: ProcessId) -> &'static ProcessRecord {
        &self.table.processes[process.slot() % PROCESSES]
    }

    /// The processes that are not gone, children about to start included.
    pub(crate) fn living_processes(&self) -> impl Iterator<Item = ProcessId> {
        let registry = self.liveness.registry;
        (0..registry.processes())
            .filter_map(move |index| registry.process_at(index))
            .filter(move |&process| !registry.is_gone(process))
    }

    /// What `process` has to do with the object: its presence bits, 0 for nothing. What cannot be read counts as all.
    pub(crate) fn presence(&self, process: ProcessId, index: u32) -> u32 {
        match self.bits(process, index) {
            Ok(Some(bits)) => (bits.word.load(Ordering::SeqCst) >> bits.shift) as u32 & ALL,
            Ok(None) => 0,
            Err(_) => ALL,
        }
    }

    /// Whether a process that is not gone has one of `roles`. Without the arena lock a role that moves may be missed.
    pub(crate) fn is_role_in_process(&self, index: u32, roles: u32) -> bool {
        let registry = self.liveness.registry;
        // Bits first: whether a process is gone is the longer question.
        (0..registry.processes())
            .filter_map(|slot| registry.process_at(slot))
            .any(|process| self.presence(process, index) & roles != 0 && !registry.is_gone(process))
    }

    fn bits(&self, process: ProcessId, index: u32) -> Result<Option<Bits>> {
        let record = self.record(process);
        // ORDERING(record): Acquire, pairs with the Release in `begin_record`.
        if record.generation.load(Ordering::Acquire) != process.generation() {
            return Ok(None);
        }
        let table = index as usize / OBJECTS_IN_TABLE;
        // ORDERING(table): Acquire, pairs with the Release in `add_presence_table`.
        let id = record.tables.get(table).map_or(0, |id| id.load(Ordering::Acquire));
        if id == 0 {
            return Ok(None);
        }
        let within = index as usize % OBJECTS_IN_TABLE;
        let word = self.block(id)?.word(within / OBJECTS_IN_WORD * 8)?;
        Ok(Some(Bits { word, shift: (within % OBJECTS_IN_WORD) as u32 * 4 }))
    }

    /// Takes presence bits of this process away.
    pub(crate) fn remove_presence(&self, index: u32, roles: u32) {
        if let Ok(Some(bits)) = self.bits(self.liveness.this_process(), index) {
            bits.word.fetch_and(!(u64::from(roles & ALL) << bits.shift), Ordering::SeqCst);
        }
    }

    /// Begins the record of a process that has just taken its slot, before the process is told to anyone. Gives the tables of
    /// whoever had the slot before; they are free, since their holder is gone.
    pub(crate) fn begin_record(&self, process: ProcessId) -> Vec<u32> {
        let record = self.record(process);
        // First no generation's: a sweep must not see a new table under an old generation, or the other way round.
        record.generation.store(0, Ordering::SeqCst);
        let old = record.tables.iter().map(|table| table.swap(0, Ordering::Relaxed));
        let old = old.filter(|&id| id != 0).collect();
        // ORDERING(record): Release, pairs with the Acquire in `bits`: no old table under the new generation.
        record.generation.store(process.generation(), Ordering::Release);
        old
    }
}

impl Held<'_> {
    /// For each object below `end`, the presence bits that processes have for it that are not gone. Table by table: where there are
    /// many objects and many processes, most words are 0.
    pub(crate) fn presences(&self, end: u32) -> Vec<u8> {
        let mut found = vec![0; end as usize];
        for process in self.memory.living_processes() {
            let record = self.memory.record(process);
            // ORDERING(record): Acquire, pairs with the Release in `begin_record`.
            if record.generation.load(Ordering::Acquire) != process.generation() {
                continue;
            }
            for (table, part) in record.tables.iter().zip(found.chunks_mut(OBJECTS_IN_TABLE)) {
                // ORDERING(table): Acquire, pairs with the Release in `add_presence_table`.
                self.add_presences(table.load(Ordering::Acquire), part);
            }
        }
        found
    }

    /// Adds the bits of the table in this block.
    fn add_presences(&self, table: u32, found: &mut [u8]) {
        if table == 0 {
            return;
        }
        let Ok(block) = self.memory.block(table) else {
            // What cannot be read counts as all.
            return found.fill(ALL as u8);
        };
        for (number, part) in found.chunks_mut(OBJECTS_IN_WORD).enumerate() {
            let word = block.word(number * 8).map_or(u64::MAX, |word| word.load(Ordering::SeqCst));
            if word != 0 {
                for (place, bits) in part.iter_mut().enumerate() {
                    *bits |= (word >> (place * 4)) as u8 & ALL as u8;
                }
            }
        }
    }

    /// Adds presence bits for a process; false if it needs a table first.
    pub(crate) fn set_presence(&self, process: ProcessId, index: u32, roles: u32) -> Result<bool> {
        match self.memory.bits(process, index)? {
            Some(bits) => {
                bits.word.fetch_or(u64::from(roles & ALL) << bits.shift, Ordering::SeqCst);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Gives a process the table that has the bits for an object. The process holds the block.
    pub(crate) fn add_presence_table(
        &self,
        process: ProcessId,
        index: u32,
        block: &Block,
    ) -> Result<()> {
        let record = self.memory.record(process);
        let table = record.tables.get(index as usize / OBJECTS_IN_TABLE);
        let is_its = record.generation.load(Ordering::Relaxed) == process.generation();
        let Some(table) = table.filter(|_| is_its) else { return Err(no_object(index)) };
        for offset in (0..TABLE as usize).step_by(8) {
            block.word(offset)?.store(0, Ordering::Relaxed);
        }
        // ORDERING(table): Release, pairs with the Acquire in `bits`; the zeroes before the id.
        table.store(block.id(), Ordering::Release);
        Ok(())
    }
}
