//! Handing a block over: from a putter to the queue, from the queue to a getter, under the eyes of a sweep.

use super::{check, check_deaths};
use crate::liveness::Id;
use crate::memory::{Block, Object, ObjectId};
use crate::sim;
use crate::sys::atomic::Ordering;
use crate::world::{self, Kind, World};
use loom::cell::UnsafeCell;

/// The queue's head before the message, the message's position, and the head after it.
const BEFORE: u64 = 8;
const POSITION: u32 = 9;
const PAST: u64 = 10;

struct Shared {
    block: Block,
    owner: ObjectId,
    object: &'static Object,
    /// Stands for the bytes of the block.
    data: UnsafeCell<u32>,
}

/// A block that `holder` holds, and an object that may become its owner. The object is none that is walked.
fn shared(world: &'static World, holder: Id) -> &'static Shared {
    let (owner, object) = world.memory.alloc_object(Kind::Lock as u32, 1).expect("memory");
    object.payload[0].store(BEFORE, Ordering::Relaxed);
    let block = world.memory.alloc(64, holder).expect("memory");
    world::name_memory(world, |_| false);
    sim::keep(Shared { block, owner, object, data: UnsafeCell::new(0) })
}

impl Shared {
    /// Sweeps; if the block is free somebody else gets it and writes.
    fn sweep(&self, world: &World) -> bool {
        let held = world.memory.hold().expect("the arena");
        held.sweep();
        let free = self.block.head.listed.load(Ordering::Relaxed) != 0;
        if free && sim::is_alive() {
            // SAFETY: loom finds out whether anybody else is at the bytes.
            self.data.with_mut(|data| unsafe { *data = 99 });
        }
        free
    }

    /// Gives the block to the object, until its position is past the message.
    fn give(&self) {
        self.block.give_until(self.owner, 0, POSITION);
    }

    /// A getter's steps with a large record.
    fn get(&self, me: Id) {
        self.block.set_holder(Some(me));
        // The head: the record is taken.
        self.object.payload[0].store(PAST, Ordering::Release);
        self.copy();
    }

    fn copy(&self) {
        if sim::is_alive() {
            // SAFETY: as above.
            assert_ne!(self.data.with(|data| unsafe { *data }), 99, "foreign bytes");
        }
    }
}

pub(super) fn a_getter_takes_it() {
    let worlds = world::make(&[&[0, 1]]);
    let world = worlds[0];
    let me = world.me();
    let shared = shared(world, me);
    shared.give();
    let sweeper =
        sim::spawn(1, move || assert!(!shared.sweep(world), "free in a living getter's hands"));
    shared.get(me);
    sim::join(sweeper);
}

pub fn a_sweep_leaves_what_a_getter_takes() {
    check("arena, a getter takes a block", 4, a_getter_takes_it);
}

pub(super) fn a_putter_gives_it() {
    let worlds = world::make(&[&[0, 1]]);
    let world = worlds[0];
    let me = world.me();
    let shared = shared(world, me);
    let sweeper =
        sim::spawn(1, move || assert!(!shared.sweep(world), "free on its way to the queue"));
    shared.give();
    shared.copy();
    sim::join(sweeper);
}

pub fn a_sweep_leaves_what_a_putter_gives() {
    check("arena, a putter gives a block", 4, a_putter_gives_it);
}

/// The getter dies at any step: the block is the queue's still, or free once the getter is known to be dead.
pub(super) fn the_getter_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other) = (worlds[0], worlds[1]);
    let victim_id = other.id_of(2);
    let shared = shared(world, victim_id);
    shared.give();
    let died = sim::keep(core::cell::Cell::new(false));
    let victim = sim::spawn(2, move || {
        died.set(sim::dying_at(steps, || shared.get(victim_id)));
        if died.get() {
            other.kernel_marks(victim_id);
        }
    });
    // If this finds it free, nobody may be at the bytes any more.
    shared.sweep(world);
    sim::join(victim);
    let taken = shared.object.payload[0].load(Ordering::SeqCst) == PAST;
    let free = shared.sweep(world);
    assert_eq!(free, taken && died.get(), "taken: {taken}, died: {}", died.get());
    died.get()
}

pub fn a_getter_that_dies_leaves_the_block_to_the_queue_or_to_nobody() {
    check_deaths("arena, a getter dies", 3, the_getter_dies);
}
