//! The robust lock: one inside at a time, what the one wrote is seen by the next, nobody sleeps for ever.

use super::{check, check_deaths, check_some};
use crate::raw::lock::{Outcome, Policy, RobustLock};
use crate::sim;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::world::{self, World};
use loom::cell::UnsafeCell;

#[repr(C)]
pub(super) struct Guarded {
    lock: [AtomicU32; 2],
    data: UnsafeCell<u32>,
}

pub(super) fn guarded() -> &'static Guarded {
    sim::keep(Guarded { lock: [AtomicU32::new(0), AtomicU32::new(0)], data: UnsafeCell::new(0) })
}

impl Guarded {
    pub(super) fn lock(&'static self) -> &'static RobustLock {
        // SAFETY: a RobustLock is two of these words.
        unsafe { &*core::ptr::from_ref(&self.lock).cast::<RobustLock>() }
    }

    /// Locks, looks whether it is alone, unlocks.
    pub(super) fn use_once(&'static self, world: &World) {
        let me = world.me();
        let outcome = self.lock().lock(me, world.liveness, Deadline::NEVER, Policy::Adopt);
        assert!(matches!(outcome, Outcome::Locked | Outcome::Adopted(_)), "{outcome:?}");
        if sim::is_alive() {
            // SAFETY: loom finds out whether another thread is here at the same time.
            self.data.with_mut(|data| unsafe { *data += 1 });
        }
        self.lock().unlock(me);
    }
}

pub(super) fn three_lock_once() {
    let worlds = world::make(&[&[0, 1, 2]]);
    let (world, guarded) = (worlds[0], guarded());
    let one = sim::spawn(1, move || guarded.use_once(world));
    let two = sim::spawn(2, move || guarded.use_once(world));
    guarded.use_once(world);
    sim::join(one);
    sim::join(two);
    // SAFETY: the others have ended.
    assert_eq!(guarded.data.with(|data| unsafe { *data }), 3);
}

pub fn three_exclude_each_other_and_all_come_through() {
    check("lock, three once each", 2, three_lock_once);
}

/// The holder unlocks a lock on which someone slept who is gone, while three lock it: a waker that finds nobody clears
/// WAITERS under two who came meanwhile.
pub(super) fn left_with_waiters() {
    let worlds = world::make(&[&[0, 1, 2, 3]]);
    let (world, guarded) = (worlds[0], guarded());
    let me = world.me();
    guarded.lock[0].store(me.to_bits() | 1 << 31, Ordering::Relaxed);
    let others = [1, 2, 3].map(|number| sim::spawn(number, move || guarded.use_once(world)));
    guarded.lock().unlock(me);
    others.into_iter().for_each(sim::join);
}

pub fn a_waker_that_finds_nobody_strands_nobody() {
    // All 366,135 were checked once; without the second wake it fails at 14,162.
    check_some("lock, left with WAITERS to three", 3, 60_000, left_with_waiters);
}

/// Waiters that have waited long request their turn, and newcomers leave them the free lock.
pub fn fairness_stops_nobody() {
    check("lock, with fairness", 2, || {
        sim::set_tick(2_000_000);
        three_lock_once();
    });
}

/// Two survivors of one process and one of another that dies at its step number `steps`.
pub(super) fn one_of_three_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other, guarded) = (worlds[0], worlds[1], guarded());
    let died = sim::keep(core::cell::Cell::new(false));
    let victim = sim::spawn(2, move || {
        died.set(sim::dying_at(steps, || guarded.use_once(other)));
        if died.get() {
            other.kernel_marks(other.id_of(2));
            world.alarm();
        }
    });
    let survivor = sim::spawn(1, move || guarded.use_once(world));
    guarded.use_once(world);
    sim::join(survivor);
    sim::join(victim);
    died.get()
}

pub fn a_death_at_any_step_stops_nobody() {
    check_deaths("lock, one of three dies", 2, one_of_three_dies);
}
