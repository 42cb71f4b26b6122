//! The mark: what a dead holder left half written is seen by nobody but who recovers, one at a time, until it is whole again.

use super::{check, check_deaths};
use crate::sim;
use crate::sync::lock::Lock;
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

    fn end(&self) {
        // SAFETY: as above.
        self.0.with_mut(|halves| unsafe { (*halves)[1] = (*halves)[0] });
    }
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
    let recovered = guard.has_recovered();
    assert!(recovered || halves.are_whole(), "no mark on something half written");
    halves.write();
    drop(guard);
    recovered
}

/// Nobody is left, and all is well.
fn assert_is_well(lock: &Lock, halves: &Halves) {
    let guard = lock.try_lock().expect("free, and without a mark");
    assert!(halves.are_whole());
    drop(guard);
}

/// Two survivors while `victim` dies at its step number `steps`, as the last of `deaths`; the others share `lock`.
fn someone_dies(
    worlds: &[&'static World],
    steps: u32,
    deaths: u32,
    lock: Lock,
    victim: fn(&Lock, &Halves),
    halves: &'static Halves,
) -> bool {
    let (world, other) = (worlds[0], worlds[1]);
    let repairs = Rc::new(core::cell::Cell::new(0));
    let died = sim::keep(core::cell::Cell::new(false));
    let theirs = lock.seen_by(other);
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || victim(&theirs, halves)));
        if died.get() {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let (ours, count) = (lock.clone(), repairs.clone());
    let survivor = sim::spawn(1, move || {
        count.set(count.get() + u32::from(use_or_recover(&ours, halves)));
    });
    repairs.set(repairs.get() + u32::from(use_or_recover(&lock, halves)));
    sim::join(survivor);
    sim::join(victim);
    if died.get() && lock.lock().is_err_and(|error| error.is_owner_died()) {
        // It died after the others were through.
        repairs.set(repairs.get() + u32::from(use_or_recover(&lock, halves)));
    }
    assert!(repairs.get() <= deaths, "recovered more often than left");
    assert_is_well(&lock, halves);
    died.get()
}

/// The holder lets go and dies after that: it did not die with the lock, and nobody is told that it did.
pub(super) fn lets_go_and_dies() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other) = (worlds[0], worlds[1]);
    let lock = Lock::new().expect("a lock");
    let theirs = lock.seen_by(other);
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
    let lock = Lock::new().expect("a lock");
    let victim = |lock: &Lock, halves: &Halves| {
        let guard = lock.lock().expect("nobody died before");
        assert!(halves.are_whole());
        halves.write();
        drop(guard);
    };
    someone_dies(&worlds, steps, 1, lock, victim, Halves::new())
}

pub fn what_a_dead_holder_left_is_recovered_once() {
    check_deaths("recover, the holder dies", 2, holder_dies);
}

/// A lock whose holder, thread 3 of the last of `worlds`, died between the halves.
fn left_half_written(worlds: &[&'static World]) -> (Lock, &'static Halves) {
    let (lock, halves) = (Lock::new().expect("a lock"), Halves::new());
    let last = *worlds.last().expect("a world");
    let theirs = lock.seen_by(last);
    let id = sim::as_thread(3, || {
        core::mem::forget(theirs.lock().expect("it is new"));
        halves.begin();
        last.me()
    });
    last.kernel_marks(id);
    (lock, halves)
}

/// The one that recovers dies too.
pub(super) fn recoverer_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2], &[3]]);
    let (lock, halves) = left_half_written(&worlds);
    let victim = |lock: &Lock, halves: &Halves| _ = use_or_recover(lock, halves);
    someone_dies(&worlds, steps, 2, lock, victim, halves)
}

pub fn the_mark_outlives_a_recoverer_that_dies() {
    check_deaths("recover, the recoverer dies", 2, recoverer_dies);
}

/// The one that recovers panics in the middle: the mark stays, and those who wait are woken.
pub(super) fn recoverer_panics() {
    let worlds = world::make(&[&[0, 1, 2], &[3]]);
    let (lock, halves) = left_half_written(&worlds);
    let (one, two) = (lock.clone(), lock.clone());
    let panicking = sim::spawn(1, move || {
        let guard = one.recover().expect("not by this thread");
        if guard.has_recovered() {
            halves.begin();
        }
        sim::unwinding(|| drop(guard));
    });
    let other = sim::spawn(2, move || _ = use_or_recover(&two, halves));
    use_or_recover(&lock, halves);
    sim::join(panicking);
    sim::join(other);
    assert_is_well(&lock, halves);
}

pub fn a_panic_keeps_the_mark() {
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

/// While one recovers, locking answers that the owner died, at once; another that would recover waits and finds no mark.
pub(super) fn answers_while_recovered() {
    let worlds = world::make(&[&[0, 1, 2], &[3]]);
    let (lock, halves) = (left_half_written(&worlds).0, Halves::new());
    let (inside, answered) = (Flag::new(), Flag::new());
    let (one, two) = (lock.clone(), lock.clone());
    let recoverer = sim::spawn(1, move || {
        let guard = one.recover().expect("not by this thread");
        assert!(guard.has_recovered(), "nobody else recovers before this one");
        inside.set();
        answered.wait();
        halves.write();
    });
    let second = sim::spawn(2, move || {
        inside.wait();
        let guard = two.recover().expect("not by this thread");
        assert!(!guard.has_recovered(), "recovered twice");
        assert!(halves.are_whole());
    });
    inside.wait();
    assert!(lock.lock().is_err_and(|error| error.is_owner_died()), "locked under a recoverer");
    assert!(lock.try_lock().is_err_and(|error| error.is_owner_died()), "not free but marked");
    answered.set();
    sim::join(recoverer);
    sim::join(second);
    assert_is_well(&lock, halves);
}

pub fn a_lock_answers_that_its_owner_died_until_it_is_recovered() {
    check("recover, answers meanwhile", 3, answers_while_recovered);
}
