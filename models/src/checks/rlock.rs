//! The lock that its holder enters again: depth is right for whoever holds it, whatever the last holder left there.

use super::recover::{Halves, is_poisoned};
use super::{check, check_deaths};
use crate::sim;
use crate::sync::RLock;
use crate::sys::atomic::AtomicU64;
use crate::world::{self, World};

/// A lock, as each of `worlds` sees it, and what it guards.
fn lock(worlds: &[&'static World]) -> (Vec<&'static RLock>, &'static Halves) {
    let lock = sim::keep(RLock::new().expect("a lock"));
    world::only_object(worlds[0]);
    (worlds.iter().map(|world| world::seen_by(lock, world)).collect(), Halves::new())
}

/// A word of the lock's object: the lock itself, its fairness, the depth.
fn word(index: usize) -> &'static AtomicU64 {
    &world::world().expect("a world").object()[index]
}

fn raw_depth() -> u64 {
    word(2).load(crate::sys::atomic::Ordering::Relaxed)
}

fn is_mine() -> bool {
    let me = world::world().expect("a world").me();
    word(0).peek() as u32 & crate::liveness::Id::MASK == me.to_bits()
}

/// Locks once more and drops that guard; the depth at each step.
fn enter_again(lock: &RLock) {
    assert_eq!(raw_depth(), 1, "just taken");
    let poisoned = is_poisoned();
    let inner = lock.lock().expect("the caller holds it");
    assert_eq!(raw_depth(), 2);
    drop(inner);
    assert_eq!(raw_depth(), 1);
    assert!(is_mine(), "an inner guard released it");
    assert_eq!(is_poisoned(), poisoned, "an inner guard took the poison away");
}

/// Locks twice, or recovers and locks inside of that.
fn use_twice(lock: &RLock, halves: &Halves) {
    match lock.lock() {
        Ok(_guard) => {
            enter_again(lock);
            assert!(halves.are_whole(), "locked over something half written");
            halves.write();
            return;
        }
        Err(error) => assert!(error.is_owner_died(), "{error}"),
    }
    let _guard = lock.recover().expect("not so often");
    assert!(is_poisoned() || halves.are_whole(), "no poison on something half written");
    enter_again(lock);
    halves.write();
}

/// Nobody is left, and all is well.
fn assert_is_well(lock: &RLock, halves: &Halves) {
    assert_eq!(lock.depth(), 0);
    let guard = lock.try_lock().expect("free, and not poisoned");
    assert!(halves.are_whole());
    assert_eq!(lock.depth(), 1);
    drop(guard);
}

pub(super) fn three_enter_twice() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (locks, halves) = lock(&worlds);
    let (lock, theirs) = (locks[0], locks[1]);
    let one = sim::spawn(1, move || use_twice(lock, halves));
    let two = sim::spawn(2, move || use_twice(theirs, halves));
    use_twice(lock, halves);
    sim::join(one);
    sim::join(two);
    assert_is_well(lock, halves);
}

pub fn three_enter_twice_each() {
    check("rlock, three enter twice each", 2, three_enter_twice);
}

/// Two survivors while another process's thread dies at its step number `steps`.
fn someone_dies(
    worlds: &[&'static World],
    steps: u32,
    locks: &[&'static RLock],
    halves: &'static Halves,
) -> bool {
    let (world, other) = (worlds[0], worlds[1]);
    let died = sim::keep(core::cell::Cell::new(false));
    let (lock, theirs) = (locks[0], locks[1]);
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || use_twice(theirs, halves)));
        if died.get() {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let survivor = sim::spawn(1, move || use_twice(lock, halves));
    use_twice(lock, halves);
    sim::join(survivor);
    sim::join(victim);
    // It may have died after the others were through.
    use_twice(lock, halves);
    assert_is_well(lock, halves);
    died.get()
}

pub(super) fn holder_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (locks, halves) = lock(&worlds);
    someone_dies(&worlds, steps, &locks, halves)
}

pub fn whoever_takes_over_starts_at_depth_one() {
    check_deaths("rlock, the holder dies", 1, holder_dies);
}

/// A lock whose holder, thread 3 of the last of `worlds`, died between the halves at depth 2, with an inner panic.
fn left_deep(worlds: &[&'static World]) -> (Vec<&'static RLock>, &'static Halves) {
    let (locks, halves) = lock(worlds);
    let last = *worlds.last().expect("a world");
    let theirs = *locks.last().expect("a lock");
    let id = sim::as_thread(3, || {
        core::mem::forget(theirs.lock().expect("it is new"));
        core::mem::forget(theirs.lock().expect("once more"));
        let third = theirs.lock().expect("once more");
        sim::unwinding(|| drop(third));
        halves.begin();
        last.me()
    });
    last.kernel_marks(id);
    (locks, halves)
}

/// The one that recovers dies too.
pub(super) fn recoverer_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2], &[3]]);
    let (locks, halves) = left_deep(&worlds);
    someone_dies(&worlds, steps, &locks, halves)
}

pub fn the_poison_outlives_a_recoverer_that_dies() {
    check_deaths("rlock, the recoverer dies", 1, recoverer_dies);
}

/// Recovers, if there is something to recover, with a panic that drops the inner guard and no other: the poison stays.
fn recover_with_a_panic(lock: &RLock, halves: &Halves) {
    let _outer = lock.recover().expect("not so often");
    let inner = lock.lock().expect("the caller holds it");
    if is_poisoned() {
        halves.begin();
    }
    sim::unwinding(|| drop(inner));
    assert_eq!(raw_depth(), 1);
}

pub(super) fn recoverer_panics() {
    let worlds = world::make(&[&[0, 1], &[3]]);
    let (locks, halves) = left_deep(&worlds);
    let lock = locks[0];
    let panicking = sim::spawn(1, move || recover_with_a_panic(lock, halves));
    use_twice(lock, halves);
    sim::join(panicking);
    assert_is_well(lock, halves);
}

pub(super) fn one_of_three_panics() {
    let worlds = world::make(&[&[0, 1, 2], &[3]]);
    let (locks, halves) = left_deep(&worlds);
    let lock = locks[0];
    let panicking = sim::spawn(1, move || recover_with_a_panic(lock, halves));
    let other = sim::spawn(2, move || use_twice(lock, halves));
    use_twice(lock, halves);
    sim::join(panicking);
    sim::join(other);
    assert_is_well(lock, halves);
}

pub fn an_inner_panic_keeps_the_poison() {
    check("rlock, a guard is dropped by a panic", 3, recoverer_panics);
    check("rlock, a guard is dropped by a panic, of three", 2, one_of_three_panics);
}
