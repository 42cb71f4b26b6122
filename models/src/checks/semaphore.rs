//! The semaphore: never more inside than permits, every permit comes back, nobody sleeps while there is one.

use super::{check, check_deaths, check_some};
use crate::sim;
use crate::sync::Semaphore;
use crate::sys::atomic::Ordering;
use crate::world::{self, World, first};
use loom::cell::UnsafeCell;

/// A semaphore with so many permits, as each of `worlds` sees it.
pub(super) fn semaphore(worlds: &[&'static World], permits: u32) -> Vec<&'static Semaphore> {
    let semaphore = sim::keep(Semaphore::new(permits).expect("a semaphore"));
    world::only_object(worlds[0]);
    worlds.iter().map(|world| world::seen_by(semaphore, world)).collect()
}

/// How many permits exist, and how many are available.
fn counts(world: &World, semaphore: &Semaphore) -> (u32, u32) {
    let available = semaphore.available();
    (world.object()[2].load(Ordering::SeqCst) as u32, available)
}

/// What the one permit guards.
fn data() -> &'static UnsafeCell<u32> {
    sim::keep(UnsafeCell::new(0))
}

/// Takes the permit, looks whether it is alone, gives it back.
fn use_once(permits: &Semaphore, data: &UnsafeCell<u32>) {
    let permit = permits.acquire().expect("a permit");
    if sim::is_alive() {
        // SAFETY: loom finds out whether anybody else is here.
        data.with_mut(|data| unsafe { *data += 1 });
    }
    drop(permit);
}

pub(super) fn three_share_one() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let permits = semaphore(&worlds, 1);
    let (data, ours, theirs) = (data(), permits[0], permits[1]);
    let one = sim::spawn(1, move || use_once(ours, data));
    let two = sim::spawn(2, move || use_once(theirs, data));
    use_once(permits[0], data);
    sim::join(one);
    sim::join(two);
    assert_eq!(counts(worlds[0], permits[0]), (1, 1));
}

pub fn three_share_one_permit() {
    check("semaphore, three share one permit", 1, three_share_one);
    check_some("the same, with more preemptions", 2, 40_000, three_share_one);
}

pub(super) fn one_of_two_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0], &[2]]);
    let (world, other) = (worlds[0], worlds[1]);
    let permits = semaphore(&worlds, 1);
    let (data, theirs) = (data(), permits[1]);
    let died = sim::keep(core::cell::Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || use_once(theirs, data)));
        if died.get() {
            other.kernel_marks(first(1));
            other.kernel_marks(id);
            world.alarm();
        }
    });
    use_once(permits[0], data);
    sim::join(victim);
    assert_eq!(counts(worlds[0], permits[0]), (1, 1));
    died.get()
}

pub fn the_permit_of_the_dead_comes_back() {
    check_deaths("semaphore, one of two dies", 2, one_of_two_dies);
}

/// One of two who release dies at any step; one waits.
pub(super) fn releaser_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other) = (worlds[0], worlds[1]);
    let permits = semaphore(&worlds, 0);
    let (ours, theirs) = (permits[0], permits[1]);
    let died = sim::keep(core::cell::Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || theirs.release(1).expect("not too many")));
        if died.get() {
            other.kernel_marks(first(1));
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let releaser = sim::spawn(1, move || ours.release(1).expect("not too many"));
    let permit = ours.acquire().expect("a permit");
    sim::join(victim);
    sim::join(releaser);
    let (total, available) = counts(worlds[0], permits[0]);
    assert_eq!(available + 1, total);
    assert!(total == 2 || died.get());
    drop(permit);
    died.get()
}

pub fn a_releaser_that_dies_leaves_no_sleeper() {
    check_deaths("semaphore, a releaser dies", 1, releaser_dies);
}
