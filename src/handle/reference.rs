//! References: what a `Lock` or `Queue` value holds.
//!
//! A handle refers to an object in one of its lives. Per process and object there is one [`ObjectRef`], shared by all handles.
//! While it lives, the process's presence bit keeps the object. Roles (producer, consumer) are counted by handle in private
//! memory; the process has the role's bit in shared memory while the count is not zero.
//!
//! # If a process dies
//!
//! - Its presence bits, roles included, count no longer once it is gone. The private counts go with it.
//! - Making an object, after the bit and before the object's kind: the object is free, and the bit counts for nothing.
//! - Giving an object up, after it was freed and before its blocks were: their owner is gone, and the next sweep finds them.

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, PROCESSES};
use crate::memory::walk;
use crate::memory::{Block, Object, ObjectId};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::world::{Kind, World};
use std::any::Any;
use std::sync::{Arc, Weak};

/// Presence: this process has a handle.
pub(crate) const PRESENT: u32 = 1;
/// It has one that can put.
pub(crate) const PRODUCER: u32 = 2;
/// It has one that can get.
pub(crate) const CONSUMER: u32 = 4;
const ROLES: [u32; 2] = [PRODUCER, CONSUMER];

/// This process's one reference to an object.
pub(crate) struct ObjectRef {
    pub(crate) world: &'static World,
    pub(crate) id: ObjectId,
    pub(crate) object: &'static Object,
    roles: [AtomicU32; 2],
}

impl ObjectRef {
    fn new(world: &'static World, id: ObjectId, object: &'static Object) -> Arc<ObjectRef> {
        Arc::new(ObjectRef { world, id, object, roles: Default::default() })
    }

    /// Makes an object of `kind`.
    pub(crate) fn create(world: &'static World, kind: Kind, roles: u32) -> Result<Arc<ObjectRef>> {
        let (id, object) = world.memory.alloc_object(kind as u32, PRESENT | roles)?;
        let reference = ObjectRef::new(world, id, object);
        world.references().insert(id.index, weak(&reference));
        Ok(reference)
    }

    /// The reference to an object for which this process has, or has been given, a presence bit.
    pub(crate) fn find(world: &'static World, id: ObjectId) -> Result<Arc<ObjectRef>> {
        // Dropped behind the table's lock, which it may need for that: it may be the last reference to an earlier object.
        let known: Option<Arc<ObjectRef>>;
        let mut table = world.references();
        let entry = table.get(&id.index).and_then(Weak::upgrade);
        known = entry.and_then(|entry| entry.downcast().ok());
        if let Some(found) = known.as_ref().filter(|found| found.id == id) {
            return Ok(found.clone());
        }
        let object = world.memory.find_object(id, PRESENT)?;
        let reference = ObjectRef::new(world, id, object);
        table.insert(id.index, weak(&reference));
        Ok(reference)
    }

    /// Makes the object's block, which is its for life: a structure of atomics, whatever is in them. Its number is stored in `word`.
    /// Before anybody else has a handle.
    pub(crate) fn make_block(&self, word: &AtomicU32, len: usize) -> Result<Block> {
        let block = self.world.memory.alloc_lasting(len, self.world.liveness.me()?)?;
        block.give_for_life(self.id);
        word.store(block.id(), Ordering::Relaxed);
        Ok(block)
    }

    /// One more handle with `roles` in this process.
    pub(crate) fn add_roles(&self, roles: u32) -> Result<()> {
        if !self.world.is_current() {
            return Err(Error::simple(ErrorKind::Foreign));
        }
        let _table = self.world.references();
        let this = self.world.liveness.this_process();
        for (role, count) in ROLES.iter().zip(&self.roles) {
            if roles & role != 0 && count.fetch_add(1, Ordering::Relaxed) == 0 {
                self.world.memory.add_presence(this, self.id.index, *role)?;
            }
        }
        Ok(())
    }

    /// One handle with `roles` less; the roles that this process has no longer. Who waits for a role to end is for the caller to
    /// wake. If this process is killed before that, its death is an alarm.
    pub(crate) fn remove_roles(&self, roles: u32) -> u32 {
        if !self.world.is_current() {
            return 0;
        }
        let mut ended = 0;
        let _table = self.world.references();
        for (role, count) in ROLES.iter().zip(&self.roles) {
            if roles & role != 0 && count.fetch_sub(1, Ordering::Relaxed) == 1 {
                ended |= role;
            }
        }
        if ended != 0 {
            self.world.memory.remove_presence(self.id.index, ended);
        }
        ended
    }

    /// Whether this process itself has a handle with the role.
    fn has_role(&self, role: u32) -> bool {
        ROLES
            .iter()
            .zip(&self.roles)
            .any(|(r, count)| r & role != 0 && count.load(Ordering::Relaxed) > 0)
    }

    /// Where a handle with the role is; exact.
    pub(crate) fn find_role(&self, role: u32) -> Found {
        let memory = &self.world.memory;
        if self.has_role(role) || memory.is_role_in_process(self.id.index, role) {
            return Found::InProcess;
        }
        match memory.is_role_anywhere(self.id, role) {
            Ok(false) => Found::Nowhere,
            // In doubt, a wait goes on; the next alarm asks again.
            Ok(true) | Err(_) => Found::UnderWay,
        }
    }

    /// Whether a block, or a word of the payload, may say that this process holds something: a lock, a permit. Any word that names a thread of
    /// this process counts, or the process itself.
    fn may_be_held_here(&self) -> bool {
        let liveness = self.world.liveness;
        let this = liveness.this_process();
        let is_ours = |half: u32| {
            let id = Id::from_bits(half & Id::MASK);
            id.is_some_and(|id| {
                id == this || (id.slot() >= PROCESSES && !liveness.registry.is_dead(id))
            })
        };
        let kind = self.object.kind.load(Ordering::Relaxed);
        let in_block = walk::of(kind).is_some_and(|walker| (walker.may_hold)(self.object));
        in_block
            || self.object.payload.iter().any(|word| {
                let word = word.load(Ordering::Relaxed);
                is_ours(word as u32) || is_ours((word >> 32) as u32)
            })
    }
}

fn weak(reference: &Arc<ObjectRef>) -> Weak<dyn Any + Send + Sync> {
    let reference: Arc<dyn Any + Send + Sync> = reference.clone();
    Arc::downgrade(&reference)
}

/// Where a role is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    InProcess,
    /// In a message or a result; it may end without an alarm of its own.
    UnderWay,
    Nowhere,
}

impl Drop for ObjectRef {
    fn drop(&mut self) {
        let world = self.world;
        if !world.is_current() {
            // A forked child's copy: the reference is the parent's.
            return;
        }
        let mut table = world.references();
        // Only the table's own entry gives the bits back: another may have taken the object's place in the table by now.
        let entry = table.get(&self.id.index);
        if !entry.is_some_and(|entry| core::ptr::addr_eq(entry.as_ptr(), core::ptr::from_ref(self)))
        {
            return;
        }
        table.remove(&self.id.index);
        if self.may_be_held_here() {
            world.liveness.be_untidy();
        }
        let released = world.memory.release_object(self.id);
        drop(table);
        let alarm = released.had_references;
        world.memory.free_released(released);
        if alarm {
            // Roles in its messages may have ended with it.
            world.liveness.raise_alarm();
        }
    }
}
