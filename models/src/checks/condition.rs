//! The condition: each notification lets exactly one live waiter go on, whoever dies.

use super::{check, check_deaths};
use crate::sim;
use crate::sync::{Condition, Guard, Lock};
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::world::{self, World};
use core::cell::Cell;
use loom::cell::UnsafeCell;

/// Words of the condition's object: what was given, how many entries are used, the number of the block.
const GIVEN: usize = 2;
const USED: usize = 3;
const BLOCK: usize = 6;
/// Entries that a model uses.
const ENTRIES: usize = 2;

/// A lock and a condition as one process sees them.
#[derive(Clone, Copy)]
pub(super) struct View {
    lock: &'static Lock,
    condition: &'static Condition,
    words: &'static [AtomicU64],
}

/// What each of `worlds` sees.
fn views(worlds: &[&'static World]) -> Vec<View> {
    let lock = sim::keep(Lock::new().expect("a lock"));
    world::only_object(worlds[0]);
    let condition = sim::keep(Condition::new().expect("a condition"));
    let words = &worlds[0].memory.object(1).expect("the condition").payload;
    sim::exist(words.as_ptr(), words.len());
    let block = words[BLOCK].load(Ordering::Relaxed) as u32;
    let block = worlds[0].memory.block(block).expect("the condition's block");
    sim::exist(block.payload().cast::<AtomicU64>(), ENTRIES);
    let view = |world: &&'static World| View {
        lock: world::seen_by(lock, world),
        condition: world::seen_by(condition, world),
        words,
    };
    worlds.iter().map(view).collect()
}

impl View {
    /// The lock, repaired if its owner died.
    fn guard(self) -> Guard<'static, Lock> {
        self.lock.lock().unwrap_or_else(|_| self.lock.recover().expect("nobody else may"))
    }

    /// Waits once; the death of a holder of the lock ends no wait, but is told.
    fn wait(self) {
        let mut guard = self.guard();
        if let Err(error) = self.condition.wait(&mut guard) {
            assert!(error.is_owner_died(), "{error}");
        }
    }

    /// How many entries may be in use: so many have entered, if none has left.
    fn used(self) -> u32 {
        self.words[USED].peek() as u32
    }

    fn given(self) -> u32 {
        self.words[GIVEN].load(Ordering::SeqCst) as u32
    }
}

fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        crate::sys::thread::yield_now();
    }
}

pub(super) fn two_wait_for_two() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let views = views(&worlds);
    let (sent, got) = (sim::keep(Cell::new(0)), sim::keep(Cell::new(0)));
    let wait = |view: View| {
        move || {
            view.wait();
            got.set(got.get() + 1);
            assert!(got.get() <= sent.get(), "more went on than were notified");
        }
    };
    let one = sim::spawn(1, wait(views[0]));
    let two = sim::spawn(2, wait(views[1]));
    until(|| views[0].used() == 2);
    for _ in 0..2 {
        sent.set(sent.get() + 1);
        views[0].condition.notify_one();
    }
    sim::join(one);
    sim::join(two);
    assert_eq!((got.get(), views[0].given()), (2, 0));
}

pub fn each_notification_wakes_one() {
    check("condition, two wait for two", 2, two_wait_for_two);
}

/// Two wait until something has changed; whoever changes it notifies all behind the lock.
pub(super) fn changed_under_the_lock() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let views = views(&worlds);
    let changed = sim::keep(UnsafeCell::new(false));
    // SAFETY: loom finds out whether anybody writes meanwhile.
    let has_changed = || changed.with(|it| unsafe { *it });
    let wait = |view: View| {
        move || {
            let mut guard = view.guard();
            view.condition.wait_while(&mut guard, |()| !has_changed()).expect("nobody dies");
        }
    };
    let one = sim::spawn(1, wait(views[0]));
    let two = sim::spawn(2, wait(views[1]));
    let guard = views[0].guard();
    // SAFETY: as above.
    changed.with_mut(|it| unsafe { *it = true });
    drop(guard);
    views[0].condition.notify_all();
    sim::join(one);
    sim::join(two);
}

pub fn what_is_changed_under_the_lock_is_seen() {
    check("condition, changed under the lock", 2, changed_under_the_lock);
}

/// Of two who wait one dies at any step. There is one notification; whoever lives and gets it passes it on.
pub(super) fn waiter_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other, views) = (worlds[0], worlds[1], views(&worlds));
    let (ours, theirs) = (views[0], views[1]);
    let (died, is_over) = (sim::keep(Cell::new(false)), sim::keep(Cell::new(false)));
    let is_through = sim::keep(Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || theirs.wait()));
        if died.get() {
            other.kernel_marks(id);
            is_over.set(true);
            world.alarm();
        } else {
            is_over.set(true);
            theirs.condition.notify_one();
        }
    });
    let survivor = sim::spawn(1, move || {
        ours.wait();
        is_through.set(true);
        ours.condition.notify_one();
    });
    until(|| is_over.get() || ours.used() == 2);
    let both_wait = !is_over.get();
    ours.condition.notify_one();
    sim::join(victim);
    // If it died before both waited, or when it had used the notification up, nobody can know.
    let is_gone = died.get() && (!both_wait || ours.given() == 0);
    while is_gone && !is_through.get() {
        ours.condition.notify_one();
        crate::sys::thread::yield_now();
    }
    sim::join(survivor);
    died.get()
}

pub fn a_waiter_that_dies_swallows_nothing() {
    check_deaths("condition, one of two waiters dies", 1, waiter_dies);
}

/// Whoever notifies dies at any step. If it had given the notification, the waiter needs no other one.
pub(super) fn notifier_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other, views) = (worlds[0], worlds[1], views(&worlds));
    let (ours, theirs) = (views[0], views[1]);
    let (died, is_over) = (sim::keep(Cell::new(false)), sim::keep(Cell::new(false)));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        until(|| theirs.used() == 1);
        died.set(sim::dying_at(steps, || theirs.condition.notify_one()));
        if died.get() {
            other.kernel_marks(id);
            world.alarm();
        }
        is_over.set(true);
    });
    let helper = sim::spawn(1, move || {
        until(|| is_over.get());
        // Who looks first sees who waits.
        if ours.used() != 0 && ours.given() == 0 {
            ours.condition.notify_one();
        }
    });
    ours.wait();
    sim::join(victim);
    sim::join(helper);
    died.get()
}

pub fn a_notifier_that_dies_leaves_no_sleeper() {
    check_deaths("condition, the notifier dies", 2, notifier_dies);
}
