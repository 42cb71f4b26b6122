//! One cell, with the bits of bookkeeping that the arena asks for.

use crate::error::Result;
use crate::sim;
use crate::sys::atomic::AtomicU64;
use crate::world::{Shared, World};

/// The payload of a cell; a structure with more than 6 words finds room too, since loom's atomics are all 8 bytes.
pub(crate) struct Cell {
    pub(crate) payload: [AtomicU64; 16],
}

impl Cell {
    /// A cell of zeroes.
    pub(crate) fn new() -> &'static Cell {
        let memory = sim::memory(16);
        // SAFETY: as large as a Cell; zero is a value.
        let cell: &'static Cell = unsafe { &*memory.cast::<Cell>() };
        for word in &cell.payload {
            sim::create(word, 0);
        }
        cell
    }

    /// The payload as a structure.
    pub(crate) fn view<T: Shared>(&self) -> &T {
        self.line()
    }

    /// The same for a structure of a model.
    pub(crate) fn line<T>(&self) -> &T {
        const { assert!(size_of::<T>() <= size_of::<Cell>()) };
        // SAFETY: a structure of atomics, which all have one form, over as many.
        unsafe { &*core::ptr::from_ref(&self.payload).cast::<T>() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CellId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl CellId {
    pub(crate) const ONLY: CellId = CellId { index: 0, generation: 1 };

    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_bits(bits: u64) -> CellId {
        CellId { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// The only cell is in use.
pub(crate) struct UsedCells;

impl UsedCells {
    pub(crate) fn has(&self, id: CellId) -> bool {
        id == CellId::ONLY
    }
}

/// The only cell of the running model.
pub(crate) static ONLY: sim::Local<core::cell::Cell<Option<&'static Cell>>> =
    sim::Local::new(|| core::cell::Cell::new(None));

impl World {
    pub(crate) fn cell(&self, _: u32) -> Result<&'static Cell> {
        Ok(ONLY.get().expect("the model gives each thread that asks the cell"))
    }
}
