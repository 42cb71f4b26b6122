//! Handing out and giving back: where the arena, the objects and the sweep meet.
//!
//! # Giving up an object
//!
//! 1. Under the arena lock: if this very object is there and somebody else refers to it, this process's presence goes, and that is
//!    all. If it is another object by now, its presence is somebody else's.
//! 2. Without the lock: the walk through what the object has. It may be long.
//! 3. Under the lock: if this very object is still there, what its messages referred to is counted down, and *the object is free*.
//! 4. Its blocks are freed, as far as they are still its own. What only its messages referred to goes the same way, from 1 on.
//!
//! Why 3 asks again: to an object of step 4 no process has a presence, so a sweep may free it between 1 and 3, and somebody may
//! have it already. Whoever is killed between the steps leaves everything to the sweep.

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, ProcessId};
use crate::memory::block::{Block, NOT_LISTED, PERMANENT, class_of};
use crate::memory::id::ObjectId;
use crate::memory::objects::{OBJECT_BLOCK, Object};
use crate::memory::presence::TABLE;
use crate::memory::store::{Held, Memory};
use crate::memory::walk::{self, Met};
use crate::sys::atomic::Ordering;

/// What queues hold may take this part of the memory.
const CEILING: u64 = 4;
/// How many blocks are given back under the arena lock at a time.
const BATCH: usize = 64;

impl Memory {
    /// Takes the arena lock; from a dead holder with a sweep.
    pub(crate) fn hold(&self) -> Result<Held<'_>> {
        let (held, adopted) = self.lock_arena()?;
        if adopted {
            held.sweep();
        }
        Ok(held)
    }

    /// A block for `len` bytes, freed by [`Memory::free`] or when `holder` is dead.
    pub(crate) fn alloc(&self, len: usize, holder: Id) -> Result<Block> {
        let class = class_of(len as u64).filter(|_| len as u64 <= self.limit);
        let class = class.ok_or_else(|| self.too_large(len))?;
        self.take(&self.hold()?, class, len as u64, holder.to_bits())
    }

    #[cold]
    fn too_large(&self, len: usize) -> Error {
        Error::of(
            ErrorKind::TooLarge,
            format!(
                "{len} bytes are more than this machine or control group has memory for ({} bytes)",
                self.limit
            ),
        )
    }

    /// Bytes in free blocks that keep their pages.
    #[cfg(feature = "testing")]
    pub(crate) fn pooled(&self) -> u64 {
        self.table.arena.pooled.load(Ordering::Relaxed)
    }

    /// Like [`Memory::alloc`], but only below a quarter of the memory: for what messages hold.
    pub(crate) fn alloc_for_message(&self, len: usize, holder: Id) -> Result<Block> {
        self.check_message(len)?;
        let class = class_of(len as u64).ok_or_else(|| Error::simple(ErrorKind::TooLarge))?;
        let held = self.hold()?;
        let ceiling = self.limit / CEILING;
        let used = || self.table.arena.bytes.load(Ordering::Relaxed);
        if used().saturating_add(len as u64) > ceiling {
            held.sweep();
            let used = used();
            if used.saturating_add(len as u64) > ceiling {
                return Err(Error::of(
                    ErrorKind::OutOfMemory,
                    format!(
                        "shared memory holds {used} bytes and {len} more would pass the ceiling of {ceiling} (a quarter of the memory of this machine or control group): get messages faster, or bound the queue"
                    ),
                ));
            }
        }
        self.take(&held, class, len as u64, holder.to_bits())
    }

    /// Like [`Memory::alloc`], but only what the limit leaves beside all that is in use: for data that lasts.
    pub(crate) fn alloc_lasting(&self, len: usize, holder: Id) -> Result<Block> {
        let used = || self.table.arena.bytes.load(Ordering::Relaxed);
        let Some(class) = class_of(len as u64).filter(|_| len as u64 <= self.limit) else {
            return Err(self.no_room(len, used()));
        };
        let held = self.hold()?;
        let is_too_much = || used().saturating_add(len as u64) > self.limit;
        if is_too_much() {
            held.sweep();
            if is_too_much() {
                return Err(self.no_room(len, used()));
            }
        }
        self.take(&held, class, len as u64, holder.to_bits())
    }

    #[cold]
    fn no_room(&self, len: usize, used: u64) -> Error {
        Error::of(
            ErrorKind::TooLarge,
            format!(
                "{len} bytes are more than this machine or control group has memory for ({} bytes, {used} of them in use by shared objects)",
                self.limit
            ),
        )
    }

    /// Makes the first `len` bytes of a block zero, which the caller alone has. Large ones give their pages back for it, so that
    /// pages that nobody touches cost nothing.
    pub(crate) fn clear(&self, block: &Block, len: usize) -> Result<()> {
        const WRITTEN: usize = 64 << 10;
        if len <= WRITTEN {
            return block.write(0, &vec![0; len]);
        }
        let (segment, offset, spare) = block.spare_pages();
        block.write(0, &vec![0; block.len() - spare as usize])?;
        self.segments.punch(segment, offset, spare);
        Ok(())
    }

    /// Whether a message of `len` bytes is more than messages may hold, so that it need not be encoded first.
    pub(crate) fn check_message(&self, len: usize) -> Result<()> {
        let ceiling = self.limit / CEILING;
        if len as u64 <= ceiling {
            return Ok(());
        }
        Err(Error::of(
            ErrorKind::TooLarge,
            format!(
                "a message of {len} bytes is larger than the {ceiling} bytes that messages may take (a quarter of the memory of this machine or control group): send it in parts"
            ),
        ))
    }

    /// A block from the free list, or a new one.
    fn take(&self, held: &Held<'_>, class: u32, len: u64, holder: u32) -> Result<Block> {
        if let Some(block) = held.take_free(class, len, holder)? {
            return Ok(block);
        }
        if self.is_sweep_due() {
            // What the dead left may serve.
            held.sweep();
            if let Some(block) = held.take_free(class, len, holder)? {
                return Ok(block);
            }
        }
        let full = held.carve(class).err();
        if full.is_some() {
            held.sweep();
        }
        let block = held.take_free(class, len, holder)?;
        block.ok_or_else(|| full.unwrap_or_else(|| Error::simple(ErrorKind::Corrupted)))
    }

    /// Gives a block back at once, unless a sweep has done so already.
    pub(crate) fn free(&self, block: Block) {
        self.free_all(&[block], |_| true);
    }

    /// Gives back those blocks that are in use by nobody but the caller.
    fn free_all(&self, blocks: &[Block], is_callers: impl Fn(&Block) -> bool) {
        let mut above_pool = Vec::new();
        for batch in blocks.chunks(BATCH) {
            // Without the lock a block stays in use until its holder, owner or position ends that, and a sweep finds it.
            let Ok(held) = self.hold() else { return };
            for block in batch.iter().filter(|block| is_in_use(block) && is_callers(block)) {
                if held.pool_is_full_for(block) {
                    // Its pages go back to the system without the lock; meanwhile the block is this thread's.
                    block.set_holder(self.liveness.me_fast());
                    block.head.owner.store(0, Ordering::Relaxed);
                    above_pool.push(*block);
                } else {
                    held.give_back(block, true);
                }
            }
        }
        for block in &above_pool {
            let (segment, offset, len) = block.spare_pages();
            self.segments.punch(segment, offset, len);
        }
        for batch in above_pool.chunks(BATCH) {
            let Ok(held) = self.hold() else { return };
            for block in batch.iter().filter(|block| is_in_use(block)) {
                held.give_back(block, false);
            }
        }
    }

    /// A fresh object of `kind`, with the presence bits `roles` for this process.
    pub(crate) fn alloc_object(
        &self,
        kind: u32,
        roles: u32,
    ) -> Result<(ObjectId, &'static Object)> {
        let held = self.hold()?;
        let index = match held.free_object() {
            Some(index) => index,
            None => self.more_objects(&held)?,
        };
        // Presence first: it needs memory and may fail.
        self.set_presence(&held, self.liveness.this_process(), index, roles)?;
        held.begin_object(index, kind)
    }

    #[cold]
    fn more_objects(&self, held: &Held<'_>) -> Result<u32> {
        if self.is_sweep_due() || held.check_objects().is_err() {
            held.sweep();
        }
        if held.free_object().is_none() {
            held.check_objects()?;
            let class = class_of(OBJECT_BLOCK).unwrap_or(0);
            held.add_objects(&self.take(held, class, OBJECT_BLOCK, PERMANENT)?)?;
        }
        held.free_object().ok_or_else(|| Error::simple(ErrorKind::Corrupted))
    }

    fn set_presence(
        &self,
        held: &Held<'_>,
        process: ProcessId,
        index: u32,
        roles: u32,
    ) -> Result<()> {
        if !held.set_presence(process, index, roles)? {
            let class = class_of(TABLE).unwrap_or(0);
            let block = self.take(held, class, TABLE, process.to_bits())?;
            held.add_presence_table(process, index, &block)?;
            held.set_presence(process, index, roles)?;
        }
        Ok(())
    }

    /// Adds presence bits for a process: for this one, or for a child that has not started.
    pub(crate) fn add_presence(&self, process: ProcessId, index: u32, roles: u32) -> Result<()> {
        self.set_presence(&self.hold()?, process, index, roles)
    }

    /// Has this process be present at an object that something names which it was sent; an error if that object is no more.
    pub(crate) fn find_object(&self, id: ObjectId, roles: u32) -> Result<&'static Object> {
        let held = self.hold()?;
        let object = self.object(id.index)?;
        if !object.is(id) {
            return Err(Error::of(
                ErrorKind::Corrupted,
                "a handle refers to a shared object that is gone",
            ));
        }
        self.set_presence(&held, self.liveness.this_process(), id.index, roles)?;
        Ok(object)
    }

    /// Begins the record of a process that has just taken its slot, before the process is told to anyone.
    pub(crate) fn begin_process(&self, process: ProcessId) {
        let old = self.begin_record(process);
        let old: Vec<Block> = old.into_iter().filter_map(|id| self.block(id).ok()).collect();
        // Tables of an earlier process in this slot, unless a sweep found them first.
        self.free_all(&old, |block| {
            let holder = Id::from_bits(block.head.holder.load(Ordering::Relaxed));
            holder.is_some_and(|id| id.slot() == process.slot() && id != process)
        });
    }

    /// Gives up this process's last handle to an object. If nobody else refers to the object, it is free there and then, and what
    /// it had is given to the caller, to be freed by [`Memory::free_released`]. The caller sees to it that this process gets no new
    /// handle meanwhile.
    pub(crate) fn release_object(&self, id: ObjectId) -> Released {
        self.release(id, None)
    }

    /// The same for an object to which at most this process and that one can refer: nobody else is asked.
    pub(crate) fn release_object_of_two(&self, id: ObjectId, other: ProcessId) -> Released {
        self.release(id, Some(other))
    }

    fn release(&self, id: ObjectId, other: Option<ProcessId>) -> Released {
        let mut released = Released::default();
        let Ok(object) = self.object(id.index) else { return released };
        if !self.give_up_presence(id, object, other) {
            return released;
        }
        let mut objects = self.free_object(id, object, &mut released);
        // To these this process refers no more than any other: it has no presence there to take away.
        while let Some(id) = objects.pop() {
            if let Ok(object) = self.object(id.index)
                && self.hold().is_ok_and(|_held| self.is_last_reference(id, object, None))
            {
                objects.append(&mut self.free_object(id, object, &mut released));
            }
        }
        released
    }

    /// Frees the blocks of released objects.
    pub(crate) fn free_released(&self, released: Released) {
        for (id, blocks) in released.blocks {
            let owner = id.to_bits();
            self.free_all(&blocks, |block| block.head.owner.load(Ordering::Relaxed) == owner);
        }
    }

    /// Takes this process's presence away, unless nobody else refers to the object: that is the answer.
    fn give_up_presence(&self, id: ObjectId, object: &Object, other: Option<ProcessId>) -> bool {
        // In doubt the object stays.
        let Ok(_held) = self.hold() else { return false };
        let is_last = self.is_last_reference(id, object, other);
        // What has become another object has the presence of somebody else here.
        if !is_last && object.is(id) {
            self.remove_presence(id.index, u32::MAX);
        }
        is_last
    }

    /// Whether nobody but this process refers to the object. Then nobody ever will again. Under the arena lock. `other` is the one
    /// other process that can, if there is but one.
    fn is_last_reference(&self, id: ObjectId, object: &Object, other: Option<ProcessId>) -> bool {
        if !object.is(id) {
            return false;
        }
        if object.in_flight() != 0 {
            // Perhaps in its own messages alone.
            self.ask_for_sweep();
            return false;
        }
        let this = self.liveness.this_process();
        let refers = |process| process != this && self.presence(process, id.index) != 0;
        match other {
            Some(other) => !refers(other) || self.liveness.registry.is_gone(other),
            None => !self.living_processes().any(refers),
        }
    }

    /// Frees an object to which only this process refers; the objects to which its messages alone referred.
    fn free_object(
        &self,
        id: ObjectId,
        object: &'static Object,
        released: &mut Released,
    ) -> Vec<ObjectId> {
        let mut blocks = Vec::new();
        let mut references = Vec::new();
        if let Some(walker) = walk::of(object.kind.load(Ordering::Relaxed)) {
            (walker.walk)(self, object, &mut |met| match met {
                Met::Block(block) => blocks.extend(self.block(block)),
                Met::Reference(id, _) => references.push(id),
            });
        }
        {
            let Ok(held) = self.hold() else { return Vec::new() };
            if !object.is(id) {
                // Nothing but messages referred to it, and a sweep was sooner.
                return Vec::new();
            }
            for reference in &references {
                if let Ok(object) = self.object(reference.index)
                    && object.is(*reference)
                {
                    object.count_in_flight(false);
                }
            }
            self.remove_presence(id.index, u32::MAX);
            held.list_object(id.index, object);
        }
        released.blocks.push((id, blocks));
        released.had_references |= !references.is_empty();
        let this = self.liveness.this_process();
        // To those that this process refers to itself it goes on referring.
        references.retain(|reference| self.presence(this, reference.index) == 0);
        references
    }

    /// Whether one of `roles` is in a process, or under way to one. Exact.
    pub(crate) fn is_role_anywhere(&self, id: ObjectId, roles: u32) -> Result<bool> {
        let held = self.hold()?;
        if self.is_role_in_process(id.index, roles) {
            return Ok(true);
        }
        if self.object(id.index)?.in_flight() == 0 {
            return Ok(false);
        }
        Ok(held.is_under_way(id, roles))
    }

    /// Runs `f`, which puts or takes a message with references in an object of kind `carrier`, so that nobody sees it half done.
    pub(crate) fn moving_references<R>(&self, carrier: u32, f: impl FnOnce() -> R) -> Result<R> {
        let _held = self.hold()?;
        self.table.arena.carriers.fetch_or(1 << (carrier % u32::BITS), Ordering::Relaxed);
        Ok(f())
    }

    /// Makes the next allocation that needs new memory sweep. Under the arena lock.
    fn ask_for_sweep(&self) {
        let other = self.liveness.registry.losses().wrapping_sub(1);
        self.table.arena.losses.store(other, Ordering::Relaxed);
    }

    /// Sweeps, if something may have been left by the dead.
    pub(crate) fn sweep_if_due(&self) -> Result<()> {
        let held = self.hold()?;
        if self.is_sweep_due() {
            held.sweep();
        }
        Ok(())
    }

    /// How much shared memory is in use, in bytes, after a sweep.
    #[cfg(test)]
    pub(crate) fn sweep(&self) -> Result<u64> {
        self.hold()?.sweep();
        Ok(self.table.arena.bytes.load(Ordering::Relaxed))
    }
}

/// What objects had that are free now.
#[derive(Default)]
pub(crate) struct Released {
    blocks: Vec<(ObjectId, Vec<Block>)>,
    /// Messages in them referred to other objects; roles may have ended with them.
    pub(crate) had_references: bool,
}

/// Whether a block was not freed since it was met.
fn is_in_use(block: &Block) -> bool {
    block.head.listed.load(Ordering::Relaxed) == NOT_LISTED && !block.is_reused()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::block::HEAD;
    use crate::world::world;

    /// A sweep looks at every block there is, under the lock of all: growth must not wait for one.
    #[test]
    fn memory_grows_without_a_sweep_and_in_few_segments() {
        const KEY: &str = "MULTIPROC_TEST_GROWTH";
        const BLOCKS: usize = 2000;
        const CHUNK: usize = 64 << 10;
        // In a process of its own: others would sweep.
        if std::env::var_os(KEY).is_none() {
            let name = "memory::alloc::tests::memory_grows_without_a_sweep_and_in_few_segments";
            let mut again = std::process::Command::new("/proc/self/exe");
            let output = again.args([name, "--exact"]).env(KEY, "1").output().unwrap();
            return assert!(output.status.success(), "{output:?}");
        }
        let world = world().unwrap();
        let (memory, me) = (&world.memory, world.liveness.me().unwrap());
        // A sweep would find that objects are free.
        let free_object = &memory.table.arena.free_object;
        memory.hold().unwrap().forget_free_objects();
        let before = memory.segments.count();
        for n in 0..BLOCKS {
            memory.alloc_for_message(CHUNK - HEAD as usize, me).unwrap();
            assert_eq!(free_object.load(Ordering::Relaxed), 0, "a sweep at block {n}");
        }
        // Two that are smaller than the largest size, and one that was begun before.
        let segments = memory.segments.count() - before;
        assert!(segments <= BLOCKS * CHUNK / (16 << 20) + 5, "{segments} segments");
        memory.alloc_object(1, 1).unwrap();
        memory.sweep().unwrap();
        assert_ne!(free_object.load(Ordering::Relaxed), 0, "and that is what a sweep does");
    }
}
