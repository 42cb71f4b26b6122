//! Claims of parts: nobody else touches an element that somebody writes to, and what a dead writer left is told until it is
//! done again or settled.
//!
//! The array has two elements. Partition 1 has one in each part, partition 2 has one part with both.

use super::{check, check_deaths};
use crate::liveness::Id;
use crate::raw::claims::{Claim, Claims, Found, Outcome, Part};
use crate::raw::lock::{Outcome as Locked, Policy, RobustLock};
use crate::sim;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::world::{self, World};
use core::cell::Cell;
use loom::cell::UnsafeCell;

const FIRST: Part = Part { partition: 1, part: 0 };
const SECOND: Part = Part { partition: 1, part: 1 };
const BOTH: Part = Part { partition: 2, part: 0 };

/// Words of an entry.
const ENTRY: usize = 4;

struct Array {
    lock: [AtomicU32; 2],
    open: AtomicU32,
    frozen: AtomicU32,
    poison: AtomicU32,
    entries: [AtomicU32; 2 * ENTRY],
    elements: [UnsafeCell<u32>; 2],
}

fn array() -> &'static Array {
    sim::keep(Array {
        lock: [AtomicU32::new(0), AtomicU32::new(0)],
        open: AtomicU32::new(0),
        frozen: AtomicU32::new(0),
        poison: AtomicU32::new(0),
        entries: core::array::from_fn(|_| AtomicU32::new(0)),
        elements: [UnsafeCell::new(0), UnsafeCell::new(0)],
    })
}

/// What is known of a process by its id, as arrays ask it.
fn is_gone(world: &World) -> impl Fn(u32) -> bool + Copy {
    |owner| Id::from_bits(owner).is_none_or(|id| world.registry().is_gone(id))
}

impl Array {
    fn claims(&'static self) -> Claims<'static> {
        // SAFETY: an entry is four of these words.
        let entries = unsafe { &*core::ptr::from_ref(&self.entries).cast::<[Claim; 2]>() };
        Claims { entries, open: &self.open, frozen: &self.frozen }
    }

    /// Does something with the array's lock.
    fn locked<R>(&'static self, world: &World, f: impl FnOnce(Claims<'static>) -> R) -> R {
        // SAFETY: a RobustLock is two of these words.
        let lock = unsafe { &*core::ptr::from_ref(&self.lock).cast::<RobustLock>() };
        let me = world.me();
        let outcome = lock.lock(me, world.liveness, Deadline::NEVER, Policy::Adopt);
        assert!(matches!(outcome, Locked::Locked | Locked::Adopted(_)), "{outcome:?}");
        let result = f(self.claims());
        lock.unlock(me);
        result
    }

    /// Writes to an element, if the thread still lives.
    fn write(&self, element: usize) {
        if sim::is_alive() {
            // SAFETY: loom finds out whether another thread is here at the same time.
            self.elements[element].with_mut(|value| unsafe { *value += 1 });
        }
    }

    /// Claims a part; the entry, if that is allowed.
    fn claim(&'static self, world: &World, part: Part) -> Option<Outcome> {
        let me = world.process().to_bits();
        self.locked(world, |claims| {
            (!claims.is_frozen()).then(|| claims.claim(me, part, is_gone(world)))
        })
    }

    /// Claims a part, writes to it, gives it back. Whether it was to be had, and whether a dead process had had it.
    fn work(&'static self, world: &World, part: Part) -> Option<Outcome> {
        let outcome = self.claim(world, part)?;
        if let Outcome::Claimed(entry) | Outcome::TakenOver(entry) = outcome {
            match part {
                FIRST => self.write(0),
                SECOND => self.write(1),
                _ => [0, 1].into_iter().for_each(|element| self.write(element)),
            }
            self.claims().release(entry, world.process().to_bits());
        }
        Some(outcome)
    }

    /// What a use of the whole finds; it writes to all elements if it finds nobody.
    fn use_whole(&'static self, world: &World) -> Found {
        self.locked(world, |claims| {
            let found = claims.check(is_gone(world));
            if found == Found::Nobody && !claims.is_frozen() {
                [0, 1].into_iter().for_each(|element| self.write(element));
            }
            found
        })
    }

    /// As a use of the whole that settles what the dead left. Whether it was told of it.
    fn use_or_settle(&'static self, world: &World) -> bool {
        self.locked(world, |claims| {
            let found = claims.check(is_gone(world));
            if found == Found::Dead {
                claims.settle_dead(is_gone(world), || self.poison.store(1, Ordering::Relaxed));
            }
            found == Found::Dead || self.poison.load(Ordering::Relaxed) == 1
        })
    }
}

fn is_claimed(outcome: Option<Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Claimed(_)))
}

/// The kernel marks both words of a process of one thread.
fn dies(world: &World, thread: usize, survivor: &World) {
    world.kernel_marks(world.id_of(thread));
    world.kernel_marks(world.process());
    survivor.alarm();
}

/// Two of different processes want the same part, and a third one wants the other.
pub(super) fn three_want_two_parts() {
    let worlds = world::make(&[&[0], &[1], &[2]]);
    let array = array();
    let (first, second) = (worlds[1], worlds[2]);
    let rival = sim::spawn(1, move || {
        array.work(first, FIRST);
    });
    let other = sim::spawn(2, move || {
        assert!(is_claimed(array.work(second, SECOND)), "nobody else wants it");
    });
    array.work(worlds[0], FIRST);
    sim::join(rival);
    sim::join(other);
    assert_eq!(array.use_whole(worlds[0]), Found::Nobody);
}

pub fn a_part_is_written_to_by_one() {
    check("claims, two want one part", 2, three_want_two_parts);
}

/// Parts of two partitions, and a use of the whole.
pub(super) fn two_partitions_and_a_user() {
    let worlds = world::make(&[&[0], &[1], &[2]]);
    let array = array();
    let (first, second) = (worlds[1], worlds[2]);
    let one = sim::spawn(1, move || {
        array.work(first, FIRST);
    });
    let two = sim::spawn(2, move || {
        array.work(second, BOTH);
    });
    array.use_whole(worlds[0]);
    sim::join(one);
    sim::join(two);
    assert!(is_claimed(array.work(worlds[0], BOTH)), "all parts were given back");
    assert_eq!(array.use_whole(worlds[0]), Found::Nobody);
}

pub fn parts_of_two_partitions_and_the_whole_exclude_each_other() {
    check("claims, two partitions and the whole", 2, two_partitions_and_a_user);
}

/// One freezes the array while another writes to a part; a third reads without the lock when it is frozen.
pub(super) fn one_freezes() {
    let worlds = world::make(&[&[0], &[1], &[2]]);
    let array = array();
    let (writer, reader) = (worlds[1], worlds[2]);
    let writer = sim::spawn(1, move || {
        array.work(writer, FIRST);
        array.use_whole(writer);
    });
    let reader = sim::spawn(2, move || {
        if array.claims().is_frozen() {
            // SAFETY: loom finds out whether anybody writes at the same time.
            array.elements[0].with(|value| unsafe { *value });
            assert_eq!(array.work(reader, FIRST), None, "frozen for ever");
        }
    });
    array.locked(worlds[0], |claims| {
        if claims.check(is_gone(worlds[0])) == Found::Nobody {
            claims.freeze();
        }
    });
    sim::join(writer);
    sim::join(reader);
}

pub fn nobody_writes_to_what_is_frozen() {
    check("claims, freezing", 3, one_freezes);
}

/// A claimant dies at any step, while somebody claims the same part. Whoever claims it after that gets it, and does the work
/// again.
pub(super) fn claimant_dies(steps: u32) -> bool {
    dies_beside(steps, |array, world| _ = array.work(world, FIRST))
}

/// The same while somebody uses the whole.
pub(super) fn claimant_dies_beside_a_user(steps: u32) -> bool {
    dies_beside(steps, |array, world| _ = array.use_whole(world))
}

fn dies_beside(steps: u32, survivor: fn(&'static Array, &'static World)) -> bool {
    let worlds = world::make(&[&[0], &[1]]);
    let (world, other) = (worlds[0], worlds[1]);
    let array = array();
    let died = sim::keep(Cell::new(false));
    let victim = sim::spawn(1, move || {
        died.set(sim::dying_at(steps, || {
            array.work(other, SECOND);
            array.work(other, FIRST);
        }));
        if died.get() {
            dies(other, 1, world);
        }
    });
    survivor(array, world);
    sim::join(victim);
    let found = array.locked(world, |claims| claims.check(is_gone(world)));
    assert_ne!(found, Found::Live, "nobody is left");
    let mut taken_over = false;
    for part in [FIRST, SECOND] {
        match array.work(world, part) {
            Some(Outcome::Claimed(_)) => {}
            Some(Outcome::TakenOver(_)) => taken_over = true,
            outcome => panic!("the part of a dead process is {outcome:?}"),
        }
    }
    assert_eq!(taken_over, found == Found::Dead, "who takes a part over is told of it");
    assert_eq!(array.use_whole(world), Found::Nobody, "all parts were done again");
    assert_eq!(array.open.peek(), 0);
    died.get()
}

pub fn the_part_of_a_dead_claimant_is_done_again() {
    check_deaths("claims, a claimant dies", 2, claimant_dies);
    check_deaths("claims, a claimant dies beside a user", 2, claimant_dies_beside_a_user);
}

/// A process has died with a claimed part, and two take it over, of which one may die too, at any step.
pub(super) fn adopter_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0], &[1], &[2]]);
    let (world, other, dead) = (worlds[0], worlds[1], worlds[2]);
    let array = array();
    world::within(dead, || array.claim(dead, FIRST));
    sim::start();
    dead.kernel_marks(dead.id_of(2));
    dead.kernel_marks(dead.process());
    let died = sim::keep(Cell::new(false));
    let victim = sim::spawn(1, move || {
        died.set(sim::dying_at(steps, || {
            array.work(other, FIRST);
        }));
        if died.get() {
            dies(other, 1, world);
        }
    });
    let outcome = array.work(world, FIRST);
    assert!(!matches!(outcome, Some(Outcome::OtherPartition | Outcome::Full)), "{outcome:?}");
    sim::join(victim);
    let outcome = array.work(world, FIRST);
    assert!(matches!(outcome, Some(Outcome::Claimed(_) | Outcome::TakenOver(_))), "{outcome:?}");
    assert_eq!(array.use_whole(world), Found::Nobody, "the part was done again");
    died.get()
}

pub fn the_part_of_the_dead_is_adopted_by_one() {
    check_deaths("claims, an adopter dies", 2, adopter_dies);
}

/// A process has died with a claimed part, and whoever settles that may die too, at any step: all others are told.
pub(super) fn settler_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0], &[1], &[2]]);
    let (world, other, dead) = (worlds[0], worlds[1], worlds[2]);
    let array = array();
    world::within(dead, || array.claim(dead, FIRST));
    sim::start();
    dead.kernel_marks(dead.id_of(2));
    dead.kernel_marks(dead.process());
    let died = sim::keep(Cell::new(false));
    let victim = sim::spawn(1, move || {
        died.set(sim::dying_at(steps, || {
            array.use_or_settle(other);
        }));
        if died.get() {
            dies(other, 1, world);
        }
    });
    assert!(array.use_or_settle(world), "half written, and nobody is told");
    sim::join(victim);
    assert!(array.use_or_settle(world), "half written, and nobody is told");
    assert_eq!(array.use_whole(world), Found::Nobody, "what is settled is free");
    died.get()
}

pub fn what_a_dead_claimant_left_is_told_to_all() {
    check_deaths("claims, who settles dies", 2, settler_dies);
}
