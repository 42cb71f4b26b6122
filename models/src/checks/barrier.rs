//! The barrier: all of a round go on together and see what the others did before, or all are told that it is broken.

use super::{check, check_deaths};
use crate::error::Result;
use crate::sim;
use crate::sync::{Barrier, BarrierWait};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::world::{self, World, first};
use core::cell::Cell;
use loom::cell::UnsafeCell;

/// Words of the object: the state, and the number of the block.
const STATE: usize = 2;
const BLOCK: usize = 4;
/// Process slots that a model uses.
const MEMBERS: usize = 2;

/// A barrier for so many, as each of `worlds` sees it.
fn barrier(worlds: &[&'static World], parties: usize) -> Vec<&'static Barrier> {
    let barrier = sim::keep(Barrier::new(parties).expect("a barrier"));
    let words = world::only_object(worlds[0]);
    let block = words[BLOCK].load(Ordering::Relaxed) as u32;
    let block = worlds[0].memory.block(block).expect("the barrier's block");
    sim::exist(block.payload().cast::<AtomicU64>(), MEMBERS);
    worlds.iter().map(|world| world::seen_by(barrier, world)).collect()
}

fn until_one_waits(world: &World) {
    while world.object()[STATE].peek() >> 32 != 1 {
        crate::sys::thread::yield_now();
    }
}

fn is_through(outcome: Result<BarrierWait>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_broken(), "{error}");
            false
        }
    }
}

pub(super) fn two_in_step() {
    let worlds = world::make(&[&[0], &[2]]);
    let barriers = barrier(&worlds, 2);
    let data = sim::keep([UnsafeCell::new(0), UnsafeCell::new(0)]);
    let run = |barrier: &'static Barrier, own: usize| {
        move || {
            for round in 1..=2 {
                // SAFETY: loom finds out whether anybody reads meanwhile.
                data[own].with_mut(|it| unsafe { *it = round });
                barrier.wait().expect("nobody dies");
                // SAFETY: as above.
                assert_eq!(data[1 - own].with(|it| unsafe { *it }), round);
                barrier.wait().expect("nobody dies");
            }
        }
    };
    let other = sim::spawn(2, run(barriers[1], 1));
    run(barriers[0], 0)();
    sim::join(other);
}

pub fn two_stay_in_step() {
    check("barrier, two in step", 2, two_in_step);
}

pub(super) fn three_at_once() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let barriers = barrier(&worlds, 3);
    let numbers = sim::keep(Cell::new(0));
    let wait = |barrier: &'static Barrier| {
        move || {
            let index = barrier.wait().expect("nobody dies").index();
            numbers.set(numbers.get() | 1 << index);
        }
    };
    let one = sim::spawn(1, wait(barriers[0]));
    let two = sim::spawn(2, wait(barriers[1]));
    wait(barriers[0])();
    sim::join(one);
    sim::join(two);
    assert_eq!(numbers.get(), 0b111);
}

pub fn three_have_a_number_each() {
    check("barrier, three at once", 2, three_at_once);
}

/// One of two dies at any step of its wait, having said that it will come.
pub(super) fn party_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0], &[2]]);
    let (world, other, barriers) = (worlds[0], worlds[1], barrier(&worlds, 2));
    let (ours, theirs) = (barriers[0], barriers[1]);
    let died = sim::keep(Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        theirs.party().expect("a member");
        died.set(sim::dying_at(steps, || _ = is_through(theirs.wait())));
        if died.get() {
            other.kernel_marks(first(1));
            other.kernel_marks(id);
            world.alarm();
        }
    });
    is_through(ours.wait_with(|| ()));
    sim::join(victim);
    died.get()
}

pub fn a_party_that_dies_stops_nobody() {
    check_deaths("barrier, one of two dies", 2, party_dies);
}

/// One waits, for two, while another one resets, and then breaks it for whoever comes late.
pub(super) fn reset_under_a_waiter() {
    let worlds = world::make(&[&[0, 1]]);
    let barrier = barrier(&worlds, 2)[0];
    let waiter = sim::spawn(1, || assert!(!is_through(barrier.wait()), "passed alone"));
    until_one_waits(worlds[0]);
    barrier.reset().expect("a thread of the model");
    barrier.abort().expect("a thread of the model");
    sim::join(waiter);
}

pub fn a_reset_is_told_to_those_who_arrived_before_it() {
    check("barrier, reset under a waiter", 3, reset_under_a_waiter);
}

/// Two complete a round; another one waits in the next, which is reset before the first has looked.
pub(super) fn reset_behind_a_round() {
    let worlds = world::make(&[&[0, 1, 2]]);
    let barrier = barrier(&worlds, 2)[0];
    let slow = sim::spawn(1, || assert!(is_through(barrier.wait()), "its round was complete"));
    until_one_waits(worlds[0]);
    assert!(is_through(barrier.wait()));
    let late = sim::spawn(2, || assert!(!is_through(barrier.wait())));
    until_one_waits(worlds[0]);
    barrier.reset().expect("a thread of the model");
    barrier.abort().expect("a thread of the model");
    sim::join(slow);
    sim::join(late);
}

pub fn a_reset_is_not_told_to_those_who_are_through() {
    check("barrier, reset behind a round", 2, reset_behind_a_round);
}

/// Whoever resets under a waiter dies at any step; another one does it again.
pub(super) fn resetter_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other, barriers) = (worlds[0], worlds[1], barrier(&worlds, 2));
    let (ours, theirs) = (barriers[0], barriers[1]);
    let died = sim::keep(Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || theirs.reset().expect("a thread of the model")));
        if died.get() {
            other.kernel_marks(first(1));
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let waiter = sim::spawn(1, move || assert!(!is_through(ours.wait()), "passed alone"));
    ours.reset().expect("a thread of the model");
    sim::join(victim);
    ours.abort().expect("a thread of the model");
    sim::join(waiter);
    ours.reset().expect("a thread of the model");
    assert!(!ours.is_broken());
    died.get()
}

pub fn a_resetter_that_dies_stops_nobody() {
    check_deaths("barrier, whoever resets dies", 1, resetter_dies);
}
