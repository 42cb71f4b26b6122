//! The sweep: what is in use is found out, never stored.
//!
//! # What is true
//!
//! An object is in use while
//!
//! - a process that is not gone has one of its presence bits for it ([`crate::memory::presence`]): it has a handle, and perhaps a
//!   role; or
//! - a message that carries a reference to it stands in an object that is in use (a queue, the result of a process).
//!
//! A block is in use while
//!
//! - its *holder*, a thread or process, is alive, or it is one of the arena's own; or
//! - its *owner*, an object in one of its lives, is in use, and the block's position is not behind the position that the owner's
//!   payload holds. A queue puts there up to where it was read: so a block full of messages, and one that a queued message names,
//!   become free by the one store that moves the queue's head.
//!
//! Whoever becomes holder of an owned block does so before it moves the position. So a sweep checks the holder again after the
//! position. What it could not check (a segment that it cannot map) it takes for used.
//!
//! Presence bits are set, and messages with references put and taken, only under the arena lock. So under it references may go,
//! but none appears, and none moves from one object to another past whoever checks. `in flight` counts the references in messages
//! (a cache, never too low, exact after a sweep), so that they need to be searched for only where the count is not zero.
//!
//! # When
//!
//! Whoever adopts the arena lock from a dead holder sweeps. So does an allocation that finds no memory, and one that would need
//! new memory while something may have been left by the dead. When processes have died, one of the living sweeps soon, though
//! nobody allocates.
//!
//! # If a process dies
//!
//! - Its presence bits count no longer once it is gone, all its threads included.
//! - In the middle of putting or taking a message with references: the arena lock's successor sweeps, and what the message
//!   carries counts or does not, by the positions.
//! - Handing a block over (owner and position are set first, then the holder is cleared): at every step one of the two holds.
//! - Sweeping: the successor sweeps again.

use crate::liveness::{Id, PROCESSES};
use crate::memory::block::{Block, PERMANENT, Term};
use crate::memory::id::ObjectId;
use crate::memory::objects::Object;
use crate::memory::store::Held;
use crate::memory::walk::{self, Met};
use crate::sys::atomic::Ordering;

/// The objects that were in use during a sweep, under the arena lock.
struct Used {
    used: Vec<bool>,
    generations: Vec<u32>,
}

impl Used {
    fn has(&self, id: ObjectId) -> bool {
        let index = id.index as usize;
        self.used.get(index) == Some(&true) && self.generations.get(index) == Some(&id.generation)
    }

    fn set(&mut self, index: u32, used: bool, generation: u32) {
        self.used.resize(index as usize, true);
        self.generations.resize(index as usize, 0);
        self.used.push(used);
        self.generations.push(generation);
    }

    /// Notes an object as used; whether it was not before.
    fn add(&mut self, id: ObjectId) -> bool {
        let index = id.index as usize;
        self.generations.get(index) == Some(&id.generation)
            && !std::mem::replace(&mut self.used[index], true)
    }
}

impl Held<'_> {
    /// Makes every cache anew from the truths.
    pub(crate) fn sweep(&self) {
        // First: what dies from now on asks for another sweep.
        let losses = self.memory.liveness.registry.losses();
        self.memory.table.arena.losses.store(losses, Ordering::Relaxed);
        let mut in_flight = Vec::new();
        let used = self.used_objects(|id| in_flight.push(id.index));
        if self.knows_all_carriers() {
            self.objects().for_each(|(_, object)| object.reset_in_flight());
            for index in in_flight {
                if let Ok(object) = self.memory.object(index) {
                    object.count_in_flight(true);
                }
            }
        }
        self.forget_free_objects();
        self.objects().for_each(|(index, object)| {
            if used.used.get(index as usize) != Some(&true) {
                self.list_object(index, object);
            }
        });
        self.rebuild_arena(|block| self.is_block_used(block, &used));
    }

    /// Finds every object in use, from those that processes refer to through the messages in them, and tells each reference in
    /// a message.
    fn used_objects(&self, mut tell: impl FnMut(ObjectId)) -> Used {
        let memory = self.memory;
        let presences = self.presences(self.end_of_objects());
        let mut found = Used { used: Vec::new(), generations: Vec::new() };
        let mut carriers = Vec::new();
        self.objects().for_each(|(index, object)| {
            let kind = object.kind.load(Ordering::Relaxed);
            // In flight, and this process cannot find out where: used.
            let is_unknown = object.in_flight() != 0 && !self.knows_all_carriers();
            let used = kind != 0
                && (is_unknown || presences.get(index as usize).is_none_or(|&bits| bits != 0));
            found.set(index, used, object.generation.load(Ordering::Relaxed));
            if used && is_walked(object) {
                carriers.push(object);
            }
        });
        while let Some(carrier) = carriers.pop() {
            self.references_in(carrier, |id, _| {
                tell(id);
                if found.add(id)
                    && let Ok(object) = memory.object(id.index)
                    && is_walked(object)
                {
                    carriers.push(object);
                }
            });
        }
        found
    }

    /// Whether this process knows how to walk every kind of object that had a reference in flight so far.
    fn knows_all_carriers(&self) -> bool {
        let carriers = self.memory.table.arena.carriers.load(Ordering::Relaxed);
        (0..u32::BITS).all(|kind| carriers >> kind & 1 == 0 || walk::of(kind).is_some())
    }

    /// Tells the references in the messages of an object.
    fn references_in(&self, carrier: &'static Object, mut tell: impl FnMut(ObjectId, u32)) {
        if let Some(walker) = walk::of(carrier.kind.load(Ordering::Relaxed))
            && (walker.may_carry)(carrier)
        {
            (walker.walk)(self.memory, carrier, &mut |met| {
                if let Met::Reference(id, roles) = met {
                    tell(id, roles);
                }
            });
        }
    }

    /// Whether one of `roles` of an object is under way to somebody: in a message that a living process can take out, be it
    /// by a handle that is under way itself. A message that nobody can take out, such as one in a queue of which the only
    /// consumer stands in the queue's own messages, brings nothing to anybody.
    pub(crate) fn is_under_way(&self, id: ObjectId, roles: u32) -> bool {
        let memory = self.memory;
        let presences = self.presences(self.end_of_objects());
        let mut open = Vec::new();
        let mut seen = std::collections::HashSet::new();
        self.objects().for_each(|(index, object)| {
            let Some(walker) = walk::of(object.kind.load(Ordering::Relaxed)) else { return };
            let bits = presences.get(index as usize).map_or(walker.takers, |&bits| bits.into());
            if bits & walker.takers != 0 {
                seen.insert(index);
                open.push(object);
            }
        });
        let mut found = !self.knows_all_carriers();
        while let Some(carrier) = open.pop().filter(|_| !found) {
            self.references_in(carrier, |met, its_roles| {
                found |= met == id && its_roles & roles != 0;
                if let Ok(object) = memory.object(met.index)
                    && object.is(met)
                    && let Some(walker) = walk::of(object.kind.load(Ordering::Relaxed))
                    && its_roles & walker.takers != 0
                    && seen.insert(met.index)
                {
                    open.push(object);
                }
            });
        }
        found
    }

    /// Whether a block is in use: the truth about it. `objects` are the objects in use.
    fn is_block_used(&self, block: &Block, objects: &Used) -> bool {
        let registry = self.memory.liveness.registry;
        // ORDERING(hand over): Acquire in the reverse order of `give_until`.
        let holder = block.head.holder.load(Ordering::Acquire);
        let owner = ObjectId::from_bits(block.head.owner.load(Ordering::Acquire));
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
        if owner.generation == 0 || !objects.has(owner) {
            return false;
        }
        let Term::Until { floor, position } = block.term() else { return true };
        let Ok(object) = self.memory.object(owner.index) else { return true };
        let Some(floor) = object.payload.get(floor) else { return true };
        let floor = floor.load(Ordering::SeqCst) as u32;
        position.wrapping_sub(floor) as i32 >= 0
            // ORDERING(claim): Acquire, pairs with the Release in `set_holder`: who moved the floor past it may have become its
            // holder before that.
            || block.head.holder.load(Ordering::Acquire) != holder
    }
}

/// Whether this process knows how to walk the object.
fn is_walked(object: &Object) -> bool {
    walk::of(object.kind.load(Ordering::Relaxed)).is_some()
}
