//! Objects: 64 bytes for every lock, event and queue.
//!
//! ```text
//! 0  48  payload     up to the kind; while the object is free, the first word holds the next free one plus one
//! 48  4  generation  how often the object was made
//! 52  4  kind        what it is; 0: free
//! 56  4  in flight   references to it in messages and results (cache)
//! 60  4  unused
//! ```
//!
//! Objects stand in blocks of 1,023, which are the arena's for ever. What is free is found out by the sweep ([`crate::memory::sweep`]); the free
//! list is a cache. Everything here but reading happens under the arena lock.

#![allow(unsafe_code, reason = "a view of an object's payload")]

use crate::error::{Error, ErrorKind, Result};
use crate::memory::block::{Block, HEAD};
use crate::memory::id::ObjectId;
use crate::memory::store::{Held, Memory, OBJECT_BLOCKS};
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::shared::Shared;

/// Objects of a block. Under a model checker, where every word counts, a few.
pub(crate) const OBJECTS: u32 = if NATIVE { 1023 } else { 4 };
/// Bytes of payload of a block of objects.
pub(crate) const OBJECT_BLOCK: u64 = (64 << 10) - HEAD;
/// 64-bit words of an object's payload. Under a model checker smaller words take as much.
pub(crate) const PAYLOAD: usize = if NATIVE { 6 } else { 11 };

/// An object; see the module.
#[repr(C, align(64))]
pub(crate) struct Object {
    /// Up to the kind. While the object is free, the first word holds the next free one plus one.
    pub(crate) payload: [AtomicU64; PAYLOAD],
    /// How often the object was made. Written under the arena lock.
    pub(crate) generation: AtomicU32,
    /// What it is; 0: free. Written under the arena lock.
    pub(crate) kind: AtomicU32,
    /// References to it in messages and results (cache). Written under the arena lock.
    in_flight: AtomicU32,
    reserved: AtomicU32,
}

// SAFETY: a structure of atomics only.
unsafe impl Shared for Object {}

const _: () = {
    assert!(!NATIVE || size_of::<Object>() == 64);
    assert!(!NATIVE || OBJECTS as u64 * 64 == OBJECT_BLOCK);
};

impl Object {
    /// The payload as a structure of atomics.
    pub(crate) fn view<T: Shared>(&'static self) -> &'static T {
        const { assert!(size_of::<T>() <= size_of::<[AtomicU64; PAYLOAD]>() && align_of::<T>() <= 8) };
        let address = core::ptr::from_ref(&self.payload).cast::<T>();
        // SAFETY:
        // - the payload is as large as `T`, 8-aligned, in a mapping that is never unmapped;
        // - `T: Shared`: any bytes are a value, all access is atomic, whatever a peer writes.
        unsafe { &*address }
    }

    /// References to it in messages and results.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// One more reference in a message or result, or one less; never below zero, whatever a peer wrote.
    pub(crate) fn count_in_flight(&self, more: bool) {
        let _ = self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| {
            if more { n.checked_add(1) } else { n.checked_sub(1) }
        });
    }

    /// Forgets the count, which is about to be made anew.
    pub(crate) fn reset_in_flight(&self) {
        self.in_flight.store(0, Ordering::Relaxed);
    }

    /// Begins a new life as `kind`, with a payload of zeroes; the generation.
    fn begin(&self, kind: u32) -> u32 {
        let generation = self.generation.load(Ordering::Relaxed).wrapping_add(1).max(1);
        for word in &self.payload {
            word.store(0, Ordering::Relaxed);
        }
        self.reset_in_flight();
        self.generation.store(generation, Ordering::Relaxed);
        // ORDERING(object): Release, pairs with the Acquire in `is`; the payload before the kind.
        self.kind.store(kind, Ordering::Release);
        generation
    }

    /// Whether it is the object that `id` names, alive.
    pub(crate) fn is(&self, id: ObjectId) -> bool {
        // ORDERING(object): Acquire, pairs with the Release in `begin`.
        self.kind.load(Ordering::Acquire) != 0
            // Relaxed would do, behind the kind.
            && self.generation.load(Ordering::Acquire) == id.generation
    }
}

impl Memory {
    /// The object with this index, free or not.
    pub(crate) fn object(&self, index: u32) -> Result<&'static Object> {
        let number = (index / OBJECTS) as usize;
        let block = (number < self.object_blocks())
            .then(|| self.table.object_blocks[number].load(Ordering::Relaxed));
        let block = block.ok_or_else(|| no_object(index))?;
        self.block(block)?.get((index % OBJECTS) as usize * size_of::<Object>())
    }

    fn object_blocks(&self) -> usize {
        // ORDERING(objects): Acquire, pairs with the Release in `add_objects`.
        (self.table.arena.object_blocks.load(Ordering::Acquire) as usize).min(OBJECT_BLOCKS)
    }
}

impl Held<'_> {
    /// The first free object, if there is one, which stays free until [`Held::begin_object`].
    pub(crate) fn free_object(&self) -> Option<u32> {
        self.memory.table.arena.free_object.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Makes the first free object one of `kind`.
    pub(crate) fn begin_object(
        &self,
        index: u32,
        kind: u32,
    ) -> Result<(ObjectId, &'static Object)> {
        let object = self.memory.object(index)?;
        let next = object.payload[0].load(Ordering::Relaxed) as u32;
        self.memory.table.arena.free_object.store(next, Ordering::Relaxed);
        let generation = object.begin(kind);
        Ok((ObjectId { index, generation }, object))
    }

    /// Whether there may be another block of objects.
    pub(crate) fn check_objects(&self) -> Result<()> {
        if self.memory.object_blocks() < OBJECT_BLOCKS {
            return Ok(());
        }
        Err(Error::of(
            ErrorKind::Limit,
            format!(
                "all {} shared objects of this process tree are in use: drop some first",
                OBJECTS as usize * OBJECT_BLOCKS
            ),
        ))
    }

    /// Makes a block of objects, all free. The block is the arena's from now on.
    pub(crate) fn add_objects(&self, block: &Block) -> Result<()> {
        let count = self.memory.object_blocks();
        let Some(entry) = self.memory.table.object_blocks.get(count) else {
            return self.check_objects();
        };
        entry.store(block.id(), Ordering::Relaxed);
        for index in (0..OBJECTS).rev() {
            let object: &Object = block.get(index as usize * size_of::<Object>())?;
            self.list_object(count as u32 * OBJECTS + index, object);
        }
        // ORDERING(objects): Release, pairs with the Acquire in `object_blocks`; the block's id before the count.
        self.memory.table.arena.object_blocks.store(count as u32 + 1, Ordering::Release);
        Ok(())
    }

    /// Ends an object, which is first in the free list then.
    pub(crate) fn list_object(&self, index: u32, object: &Object) {
        let first = &self.memory.table.arena.free_object;
        object.kind.store(0, Ordering::Relaxed);
        object.payload[0].store(u64::from(first.load(Ordering::Relaxed)), Ordering::Relaxed);
        first.store(index + 1, Ordering::Relaxed);
    }

    /// Empties the free list, which is about to be made anew.
    pub(crate) fn forget_free_objects(&self) {
        self.memory.table.arena.free_object.store(0, Ordering::Relaxed);
    }

    /// All objects, free ones included, as far as their blocks can be read. `for_each` over them is two plain loops; `for` is not.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (u32, &'static Object)> {
        self.blocks_of_objects().flat_map(|(number, block)| {
            (0..OBJECTS).filter_map(move |index| {
                let object = block.get(index as usize * size_of::<Object>()).ok()?;
                Some((number * OBJECTS + index, object))
            })
        })
    }

    /// Above the index of every object.
    pub(crate) fn end_of_objects(&self) -> u32 {
        self.blocks_of_objects().count() as u32 * OBJECTS
    }

    /// The blocks of objects with their numbers. A scribbled count names blocks that there are not.
    fn blocks_of_objects(&self) -> impl Iterator<Item = (u32, Block)> {
        let memory = self.memory;
        (0..memory.object_blocks() as u32).map_while(|number| {
            let id = memory.table.object_blocks[number as usize].load(Ordering::Relaxed);
            let block = memory.block(id).ok()?;
            (block.len() as u64 >= OBJECT_BLOCK).then_some((number, block))
        })
    }
}

#[cold]
pub(crate) fn no_object(index: u32) -> Error {
    Error::of(
        ErrorKind::Corrupted,
        format!("shared memory is corrupted: there is no object {index}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::alone;
    use crate::world::world;

    #[test]
    fn a_scribbled_count_adds_no_objects_to_a_sweep() {
        alone(|| {
            let memory = &world().unwrap().memory;
            let (id, _) = memory.alloc_object(1, 1).unwrap();
            let visited = || memory.hold().unwrap().objects().count() as u32;
            assert_eq!(visited(), OBJECTS);
            let count = &memory.table.arena.object_blocks;
            for scribbled in [2, 703, 704, 705, u32::MAX] {
                count.store(scribbled, Ordering::Relaxed);
                assert_eq!(visited(), OBJECTS, "{scribbled}");
                assert_eq!(memory.hold().unwrap().end_of_objects(), OBJECTS);
                memory.sweep().unwrap();
                assert!(memory.object(id.index).unwrap().is(id), "the sweep took it");
            }
            // Numbers that name no block of objects end the list, too.
            count.store(3, Ordering::Relaxed);
            memory.table.object_blocks[1].store(0xffff_ffff, Ordering::Relaxed);
            assert_eq!(visited(), OBJECTS);
            count.store(0, Ordering::Relaxed);
            assert_eq!(visited(), 0);
        });
    }

    /// A number is given again; a generation is not.
    #[test]
    fn a_reference_to_an_earlier_life_finds_nothing() {
        let memory = &world().unwrap().memory;
        let (earlier, object) = memory.alloc_object(1, 1).unwrap();
        assert!(object.is(earlier) && memory.find_object(earlier, 1).is_ok());
        memory.free_released(memory.release_object(earlier));
        // Other tests of this process may be first to get the number.
        let (later, _) = (0..10_000).map(|_| memory.alloc_object(1, 1).unwrap()).last().unwrap();
        assert_ne!(later, earlier);
        let error = memory.find_object(earlier, 1).map(drop).unwrap_err();
        assert!(error.is_corrupted(), "{error:?}");
    }
}
