//! A block and what tells whether it is in use; allocation and the walk over all blocks are not here.

use crate::sim;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::world::World;
use crate::world::cells::{CellId, UsedCells};
use crate::world::header::PROCESSES;
use crate::world::registry::Id;

pub(crate) const HEAD: u64 = 64;
const PERMANENT: u32 = 1;
const FOR_LIFE: u32 = 1;

/// The words of a block's head that its protocol is about.
pub(crate) struct Head {
    holder: AtomicU32,
    owner: AtomicU64,
    until: AtomicU32,
    link: AtomicU32,
}

#[derive(Clone, Copy)]
pub(crate) struct Block {
    id: u32,
    head: &'static Head,
    payload: *mut u8,
    len: usize,
}

/// Whoever sweeps.
pub(crate) struct Held<'a> {
    pub(crate) world: &'a World,
}

#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
mod copy {
    use super::*;
    copied!("arena");
}

impl Block {
    /// A block held by `holder`, with so many words of payload that can be used as atomics.
    pub(crate) fn held_by(holder: Id, len: usize, words: usize) -> Block {
        let payload = sim::memory(len / 8);
        for word in 0..words {
            sim::create(payload.wrapping_add(word), 0);
        }
        let head = sim::keep(Head {
            holder: AtomicU32::new(holder.to_bits()),
            owner: AtomicU64::new(0),
            until: AtomicU32::new(0),
            link: AtomicU32::new(0),
        });
        Block { id: 1, head, payload: payload.cast(), len }
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
}

/// The only block that can be looked up in the running model.
pub(crate) static ONLY: sim::Local<core::cell::Cell<Option<Block>>> =
    sim::Local::new(|| core::cell::Cell::new(None));

impl World {
    pub(crate) fn extent(&self, _: u32) -> crate::Result<Block> {
        Ok(ONLY.get().expect("the model says which block it is"))
    }

    pub(crate) fn moving_references<R>(&self, f: impl FnOnce() -> R) -> crate::Result<R> {
        Ok(f())
    }
}
