//! The poison: what a dead holder left half written is seen by nobody but who recovers, one at a time, until it is whole again.

use super::{check, check_deaths};
use crate::sim;
use crate::sync::Lock;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::futex;
use crate::world::{self, World};
use loom::cell::UnsafeCell;
use std::rc::Rc;

/// Two halves that a lock guards: equal, unless someone is between them or died there.
pub(super) struct Halves(UnsafeCell<[u32; 2]>);

impl Halves {
    pub(super) fn new() -> &'static Halves {
        sim::keep(Halves(UnsafeCell::new([0, 0])))
    }

    pub(super) fn are_whole(&self) -> bool {
        // SAFETY: loom finds out whether anybody writes meanwhile.
        self.0.with(|halves| unsafe { (*halves)[0] == (*halves)[1] })
    }

    /// Changes one half and, a step later, the other; from any state.
    pub(super) fn write(&self) {
        self.begin();
        sim::step(|| ());
        self.end();
    }

    pub(super) fn begin(&self) {
        // SAFETY: loom finds out whether anybody else is here at the same time.
        self.0.with_mut(|halves| unsafe { (*halves)[0] += 1 });
    }

    pub(super) fn end(&self) {
        // SAFETY: as above.
        self.0.with_mut(|halves| unsafe { (*halves)[1] = (*halves)[0] });
    }
}

/// A lock, as each of `worlds` sees it, and what it guards.
fn lock(worlds: &[&'static World]) -> Vec<&'static Lock> {
    let lock = sim::keep(Lock::new().expect("a lock"));
    world::only_object(worlds[0]);
    worlds.iter().map(|world| world::seen_by(lock, world)).collect()
}

/// Whether the lock of the model is poisoned, as its holder sees it: so long as that is recovering.
pub(super) fn is_poisoned() -> bool {
    let world = world::world().expect("a world");
    world.object()[0].peek() & 1 << 30 != 0
}

/// Locks as a user does who can repair what the lock guards; whether it had to.
fn use_or_recover(lock: &Lock, halves: &Halves) -> bool {
    match lock.lock() {
        Ok(_guard) => {
            assert!(halves.are_whole(), "locked over something half written");
            halves.write();
            return false;
        }
        Err(error) => assert!(error.is_owner_died(), "{error}"),
    }
    let guard = lock.recover().expect("not by this thread");
    let recovered = is_poisoned();
    assert!(recovered || halves.are_whole(), "no poison on something half written");
    halves.write();
    drop(guard);
    recovered
}

/// Nobody is left, and all is well.
fn assert_is_well(lock: &Lock, halves: &Halves) {
    let guard = lock.try_lock().expect("free, and not poisoned");
    assert!(halves.are_whole());
    drop(guard);
}

/// Two survivors while `victim` dies at its step number `steps`, as the last of `deaths`; the others share `lock`.
fn someone_dies(
    worlds: &[&'static World],
    steps: u32,
    deaths: u32,
    locks: &[&'static Lock],
    victim: fn(&Lock, &Halves),
    halves: &'static Halves,
) -> bool {
    let (world, other) = (worlds[0], worlds[1]);
    let repairs = Rc::new(core::cell::Cell::new(0));
    let died = sim::keep(core::cell::Cell::new(false));
    let (lock, theirs) = (locks[0], locks[1]);
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || victim(theirs, halves)));
        if died.get() {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let count = repairs.clone();
    let survivor = sim::spawn(1, move || {
        count.set(count.get() + u32::from(use_or_recover(lock, halves)));
    });
    repairs.set(repairs.get() + u32::from(use_or_recover(lock, halves)));
    sim::join(survivor);
    sim::join(victim);
    if died.get() && lock.lock().is_err_and(|error| error.is_owner_died()) {
        // It died after the others were through.
        repairs.set(repairs.get() + u32::from(use_or_recover(lock, halves)));
    }
    assert!(repairs.get() <= deaths, "recovered more often than left");
    assert_is_well(lock, halves);
    died.get()
}

/// The holder lets go and dies after that: it did not die with the lock, and nobody is told that it did.
pub(super) fn lets_go_and_dies() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other) = (worlds[0], worlds[1]);
    let locks = lock(&worlds);
    let (lock, theirs) = (locks[0], locks[1]);
    let holder = sim::spawn(2, move || {
        drop(theirs.lock().expect("nobody died with it"));
        other.kernel_marks(other.me());
        world.alarm();
    });
    drop(lock.lock().expect("nobody died with it"));
    sim::join(holder);
}

pub fn who_let_go_did_not_die_with_the_lock() {
    check("recover, the holder lets go and dies", 3, lets_go_and_dies);
}

pub(super) fn holder_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let locks = lock(&worlds);
    let victim = |lock: &Lock, halves: &Halves| {
        let guard = lock.lock().expect("nobody died before");
        assert!(halves.are_whole());
        halves.write();
        drop(guard);
    };
    someone_dies(&worlds, steps, 1, &locks, victim, Halves::new())
}

pub fn what_a_dead_holder_left_is_recovered_once() {
    check_deaths("recover, the holder dies", 2, holder_dies);
}

/// A lock whose holder, thread 3 of the last of `worlds`, died between the halves.
fn left_half_written(worlds: &[&'static World]) -> (Vec<&'static Lock>, &'static Halves) {
    let (locks, halves) = (lock(worlds), Halves::new());
    let last = *worlds.last().expect("a world");
    let theirs = *locks.last().expect("a lock");
    let id = sim::as_thread(3, || {
        core::mem::forget(theirs.lock().expect("it is new"));
        halves.begin();
        last.me()
    });
    last.kernel_marks(id);
    (locks, halves)
}

/// The one that recovers dies too.
pub(super) fn recoverer_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2], &[3]]);
    let (locks, halves) = left_half_written(&worlds);
    let victim = |lock: &Lock, halves: &Halves| _ = use_or_recover(lock, halves);
    someone_dies(&worlds, steps, 2, &locks, victim, halves)
}

pub fn the_poison_outlives_a_recoverer_that_dies() {
    check_deaths("recover, the recoverer dies", 2, recoverer_dies);
}

/// The one that recovers panics in the middle: the poison stays, and those who wait are woken.
pub(super) fn recoverer_panics() {
    let worlds = world::make(&[&[0, 1, 2], &[3]]);
    let (locks, halves) = left_half_written(&worlds);
    let lock = locks[0];
    let panicking = sim::spawn(1, move || {
        let guard = lock.recover().expect("not by this thread");
        if is_poisoned() {
            halves.begin();
        }
        sim::unwinding(|| drop(guard));
    });
    let other = sim::spawn(2, move || _ = use_or_recover(lock, halves));
    use_or_recover(lock, halves);
    sim::join(panicking);
    sim::join(other);
    assert_is_well(lock, halves);
}

pub fn a_panic_keeps_the_poison() {
    check("recover, the recoverer panics", 2, recoverer_panics);
}

/// What one thread of a model waits for until another has come so far.
struct Flag(AtomicU32);

impl Flag {
    fn new() -> &'static Flag {
        sim::keep(Flag(AtomicU32::new(0)))
    }

    fn set(&self) {
        self.0.swap(1, Ordering::Release);
        futex::wake_all(&self.0);
    }

    fn wait(&self) {
        while self.0.load(Ordering::Acquire) == 0 {
            futex::wait(&self.0, 0, Deadline::NEVER);
        }
    }
}

/// While one recovers, locking answers that the owner died, at once; another that would recover waits and finds no poison.
pub(super) fn answers_while_recovered() {
    let worlds = world::make(&[&[0, 1, 2], &[3]]);
    let (lock, halves) = (left_half_written(&worlds).0[0], Halves::new());
    let (inside, answered) = (Flag::new(), Flag::new());
    let recoverer = sim::spawn(1, move || {
        let _guard = lock.recover().expect("not by this thread");
        assert!(is_poisoned(), "nobody else recovers before this one");
        inside.set();
        answered.wait();
        halves.write();
    });
    let second = sim::spawn(2, move || {
        inside.wait();
        let _guard = lock.recover().expect("not by this thread");
        assert!(!is_poisoned(), "recovered twice");
        assert!(halves.are_whole());
    });
    inside.wait();
    assert!(lock.lock().is_err_and(|error| error.is_owner_died()), "locked under a recoverer");
    assert!(lock.try_lock().is_err_and(|error| error.is_owner_died()), "not free but poisoned");
    answered.set();
    sim::join(recoverer);
    sim::join(second);
    assert_is_well(lock, halves);
}

pub fn a_lock_answers_that_its_owner_died_until_it_is_recovered() {
    check("recover, answers meanwhile", 3, answers_while_recovered);
}
