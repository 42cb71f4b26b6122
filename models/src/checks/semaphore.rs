//! The semaphore: never more inside than permits, every permit comes back, nobody sleeps while there is one.

use super::{check, check_deaths, check_some};
use crate::sim;
use crate::sync::semaphore::Permits;
use crate::world;
use crate::world::first;
use loom::cell::UnsafeCell;
use std::rc::Rc;

/// What the one permit guards.
fn data() -> &'static UnsafeCell<u32> {
    sim::keep(UnsafeCell::new(0))
}

/// Takes the permit, looks whether it is alone, gives it back.
fn use_once(permits: &Permits, data: &UnsafeCell<u32>) {
    permits.take_one();
    if sim::is_alive() {
        // SAFETY: loom finds out whether anybody else is here.
        data.with_mut(|data| unsafe { *data += 1 });
    }
    permits.give_back();
}

pub(super) fn three_share_one() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let permits = Rc::new(Permits::make(&worlds, 1));
    let (data, p1, p2) = (data(), permits.clone(), permits.clone());
    let one = sim::spawn(1, move || use_once(&p1[0], data));
    let two = sim::spawn(2, move || use_once(&p2[1], data));
    use_once(&permits[0], data);
    sim::join(one);
    sim::join(two);
    assert_eq!(permits[0].counts(), (1, 1));
}

pub fn three_share_one_permit() {
    check("semaphore, three share one permit", 1, three_share_one);
    check_some("the same, with more preemptions", 2, 150_000, three_share_one);
}

pub(super) fn one_of_two_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0], &[2]]);
    let (world, other) = (worlds[0], worlds[1]);
    let permits = Rc::new(Permits::make(&worlds, 1));
    let (data, theirs) = (data(), permits.clone());
    let died = sim::keep(core::cell::Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || use_once(&theirs[1], data)));
        if died.get() {
            other.kernel_marks(first(1));
            other.kernel_marks(id);
            world.alarm();
        }
    });
    use_once(&permits[0], data);
    sim::join(victim);
    assert_eq!(permits[0].counts(), (1, 1));
    died.get()
}

pub fn the_permit_of_the_dead_comes_back() {
    check_deaths("semaphore, one of two dies", 2, one_of_two_dies);
}

/// One of two who release dies at any step; one waits.
pub(super) fn releaser_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other) = (worlds[0], worlds[1]);
    let permits = Rc::new(Permits::make(&worlds, 0));
    permits[0].set_most(9);
    let (ours, theirs) = (permits.clone(), permits.clone());
    let died = sim::keep(core::cell::Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || theirs[1].release(1).expect("not too many")));
        if died.get() {
            other.kernel_marks(first(1));
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let releaser = sim::spawn(1, move || ours[0].release(1).expect("not too many"));
    permits[0].take_one();
    sim::join(victim);
    sim::join(releaser);
    let (total, available) = permits[0].counts();
    assert_eq!(available + 1, total);
    assert!(total == 2 || died.get());
    died.get()
}

pub fn a_releaser_that_dies_leaves_no_sleeper() {
    check_deaths("semaphore, a releaser dies", 1, releaser_dies);
}
