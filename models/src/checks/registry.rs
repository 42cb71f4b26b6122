//! Taking slots and telling the dead: no id is given twice, and what is gone writes no more.

use super::{check, check_deaths};
use crate::liveness::Id;
use crate::sim;
use crate::sys::robust::List;
use crate::world::{self, World, first};
use loom::cell::UnsafeCell;
use std::rc::Rc;

/// Takes a slot as a new thread of the world's process does.
fn take(world: &World) -> Id {
    world.registry().take_thread(Some(&List), world.process(), 1).expect("a free slot")
}

/// Two take slots while an earlier owner's slot may be taken again.
pub(super) fn two_take() {
    let worlds = world::make(&[&[0], &[2]]);
    let world = worlds[0];
    let old = worlds[1].id_of(2);
    world.kernel_marks(old);
    let ids = sim::keep(core::cell::RefCell::new(vec![old]));
    let take_one = move |world: &World| {
        let id = take(world);
        assert!(world.registry().is_dead(old), "{old:?} came back");
        assert!(!world.registry().is_dead(id), "{id:?} is dead at once");
        ids.borrow_mut().push(id);
    };
    // So that the search begins at the dead one's slot.
    world.set_cursor(1);
    let other = sim::spawn(1, move || take_one(world));
    take_one(world);
    sim::join(other);
    let ids: Vec<Id> = ids.borrow().clone();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
}

pub fn no_id_is_given_twice() {
    check("registry, two take", 3, two_take);
}

/// A thread of a process whose keeper is dead already writes until it is marked itself.
pub(super) fn gone_writes_no_more() {
    let worlds = world::make(&[&[0], &[1]]);
    let (world, other) = (worlds[0], worlds[1]);
    let thread = other.id_of(1);
    let data = sim::keep(UnsafeCell::new(0));
    let keeper = sim::spawn(2, move || other.kernel_marks(first(1)));
    let dying = sim::spawn(1, move || {
        // SAFETY: loom finds out whether anybody else is here.
        data.with_mut(|data| unsafe { *data += 1 });
        other.kernel_marks(thread);
    });
    if world.registry().is_gone(first(1)) {
        // SAFETY: as above.
        data.with_mut(|data| unsafe { *data += 1 });
    }
    sim::join(keeper);
    sim::join(dying);
    assert!(world.registry().is_gone(first(1)));
}

pub fn what_is_gone_writes_no_more() {
    check("registry, gone", 3, gone_writes_no_more);
}

/// A taker that dies at any step leaves a slot that can be taken, and its id to nobody.
pub(super) fn taker_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0], &[]]);
    let (world, other) = (worlds[0], worlds[1]);
    let died = Rc::new(core::cell::Cell::new(false));
    let tell = died.clone();
    let victim = sim::spawn(2, move || {
        let before = slots(other);
        tell.set(sim::dying_at(steps, || {
            take(other);
        }));
        if tell.get() {
            // The kernel marks what was pending or linked: the slot whose state the victim had changed.
            for (index, state) in slots(other).into_iter().enumerate() {
                let slot = world::FIRST_THREAD + index;
                let taken = other.registry().state(slot);
                if state != before[index] && taken.word() & 0xff == 3 {
                    other.registry().mark(slot, taken);
                }
            }
        }
    });
    let id = take(world);
    assert!(!world.registry().is_dead(id));
    sim::join(victim);
    let next = take(world);
    assert!(next != id && !world.registry().is_dead(id) && !world.registry().is_dead(next));
    died.get()
}

/// A parent gives a child up while the child, which ran alone, takes its slot after all: one of the two is told that it is too late.
pub(super) fn given_up_while_taken() {
    let worlds = world::make(&[&[0], &[1], &[]]);
    let (parent, child) = (worlds[0], worlds[1]);
    parent.kernel_marks(first(2));
    let id = parent.registry().reserve_process(parent.process()).expect("a free slot");
    let taken = Rc::new(core::cell::Cell::new(false));
    let tell = taken.clone();
    let taker = sim::spawn(1, move || {
        let registry = child.registry();
        let ran = registry.run_reserved(id, 7, true) && registry.run_reserved(id, 7, false);
        tell.set(ran && registry.take_reserved(None, id, 7));
    });
    let state = parent.registry().state(id.slot());
    let given_up = state.is_embryo() && parent.registry().mark(id.slot(), state);
    sim::join(taker);
    assert!(given_up != taken.get(), "given up: {given_up}, taken: {}", taken.get());
    assert_eq!(parent.registry().is_dead(id), given_up);
}

pub fn a_child_that_is_given_up_takes_no_slot() {
    check("registry, given up while taken", 3, given_up_while_taken);
}

fn slots(world: &World) -> Vec<u64> {
    (0..3)
        .map(|index| {
            let state = world.registry().state(world::FIRST_THREAD + index);
            u64::from(state.generation()) << 32 | u64::from(state.word())
        })
        .collect()
}

pub fn a_taker_that_dies_leaves_the_slot() {
    check_deaths("registry, a taker dies", 2, taker_dies);
}
