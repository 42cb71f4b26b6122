//! Data under a lock and a word that says what is done to it: what may be half written is seen by nobody but who repairs it, and
//! what a dead reader had is whole.

use super::recover::{Halves, is_poisoned};
use super::{check, check_some_deaths};
use crate::error::Result;
use crate::shared::borrow::{Borrow, Guarded, Purpose};
use crate::sim;
use crate::sync::RLock;
use crate::sys::atomic::AtomicU32;
use crate::sys::clock::Deadline;
use crate::world::{self, World};
use core::cell::Cell;

/// Executions for each step of a death: the first in loom's order.
const MOST: usize = 100;

/// Guarded data, as one process sees it.
#[derive(Clone, Copy)]
struct Data {
    guarded: &'static Guarded,
    halves: &'static Halves,
}

/// Data as each of `worlds` sees it: under a lock of its own, or under one of the user's.
fn data(worlds: &[&'static World], is_given: bool) -> Vec<Data> {
    let words = sim::keep([AtomicU32::new(0), AtomicU32::new(0)]);
    // SAFETY: a Borrow is two of these words.
    let borrow: &'static Borrow = unsafe { &*core::ptr::from_ref(words).cast() };
    let given = is_given.then(|| RLock::new().expect("a lock"));
    let first = sim::keep(Guarded::create(borrow, given).expect("a lock"));
    world::only_object(worlds[0]);
    let halves = Halves::new();
    let there = |world: &&'static World| {
        let lock = world::seen_by(first.lock(), world).clone();
        let guarded = sim::keep(Guarded::attach(borrow, lock).expect("the lock it was made with"));
        Data { guarded, halves }
    };
    worlds.iter().map(there).collect()
}

impl Data {
    /// Enters a section, in which the data must be whole unless the purpose takes anything.
    fn within(self, purpose: Purpose, f: impl FnOnce(&Halves)) -> Result<()> {
        let (section, ()) = self.guarded.enter(purpose, Deadline::NEVER, || Ok(()))?;
        assert!(purpose.takes_all() || self.halves.are_whole(), "half written, and nobody is told");
        f(self.halves);
        drop(section);
        Ok(())
    }

    fn read(self) -> Result<()> {
        self.within(Purpose::Read, |_| sim::step(|| ()))
    }

    fn write(self) -> Result<()> {
        self.within(Purpose::Write, Halves::write)
    }

    /// Borrows the data in a guard and writes to it.
    fn borrow(self, purpose: Purpose) -> Result<()> {
        let (section, ()) = self.guarded.enter(purpose, Deadline::NEVER, || Ok(()))?;
        let hold = section.hold()?;
        assert!(purpose.takes_all() || self.halves.are_whole(), "half written, and nobody is told");
        assert!(self.read().is_err_and(|error| error.is_already_borrowed()), "borrowed twice");
        self.halves.write();
        hold.end(|| ());
        Ok(())
    }

    /// What a user does under the lock: one half in each of two sections, and a look at the data in between.
    fn write_under_the_lock(self) -> Result<()> {
        let _held = self.guarded.lock().lock()?;
        self.within(Purpose::Write, Halves::begin)?;
        let (section, ()) = self.guarded.enter(Purpose::Read, Deadline::NEVER, || Ok(()))?;
        sim::step(|| ());
        drop(section);
        let (section, ()) = self.guarded.enter(Purpose::Write, Deadline::NEVER, || Ok(()))?;
        self.halves.end();
        drop(section);
        Ok(())
    }

    /// Writes, after a repair if one is called for; whether it was told.
    fn write_or_repair(self) -> bool {
        let Err(error) = self.write() else { return false };
        assert!(error.is_owner_died(), "{error}");
        self.borrow(Purpose::Recover).expect("nothing is in its way");
        true
    }

    /// Nobody is left, and all is well.
    fn assert_is_well(self) {
        self.read().expect("free, and whole");
        assert!(!is_poisoned(), "whole, and still poisoned");
    }
}

/// One reads, one writes, and one borrows.
pub(super) fn three_use_it() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let all = data(&worlds, false);
    let (mine, theirs) = (all[0], all[1]);
    let reader = sim::spawn(1, move || mine.read().expect("whole"));
    let writer = sim::spawn(2, move || theirs.write().expect("whole"));
    mine.borrow(Purpose::Guard).expect("whole");
    sim::join(reader);
    sim::join(writer);
    mine.assert_is_well();
}

pub fn users_exclude_each_other() {
    check("guarded, three use it", 2, three_use_it);
}

/// Two survivors while another process's thread dies at its step number `steps`; whether it did, and whether anybody was told.
fn dies_beside_two(
    steps: u32,
    worlds: &[&'static World],
    all: &[Data],
    victim: impl FnOnce(Data) + 'static,
) -> (bool, bool) {
    let (world, other) = (worlds[0], worlds[1]);
    let (mine, theirs) = (all[0], all[1]);
    let (died, told) = (sim::keep(Cell::new(false)), sim::keep(Cell::new(false)));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || victim(theirs)));
        if died.get() {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let survivor = sim::spawn(1, move || told.set(mine.write_or_repair() || told.get()));
    told.set(mine.write_or_repair() || told.get());
    sim::join(survivor);
    sim::join(victim);
    // It may have died after the others were through.
    told.set(mine.write_or_repair() || told.get());
    mine.assert_is_well();
    (died.get(), told.get())
}

fn user_dies(steps: u32, user: fn(Data) -> Result<()>) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let all = data(&worlds, false);
    let (died, told) = dies_beside_two(steps, &worlds, &all, move |data| {
        user(data).expect("nobody died before");
    });
    assert!(died || !told, "told of a death that was none");
    died
}

pub(super) fn writer_dies(steps: u32) -> bool {
    user_dies(steps, Data::write)
}

pub(super) fn borrower_dies(steps: u32) -> bool {
    user_dies(steps, |data| data.borrow(Purpose::Guard))
}

pub(super) fn user_of_the_lock_dies(steps: u32) -> bool {
    user_dies(steps, Data::write_under_the_lock)
}

pub fn what_a_dead_user_left_is_told_until_it_is_repaired() {
    check_some_deaths("guarded, a writer dies", 1, MOST, writer_dies);
    check_some_deaths("guarded, a borrower dies", 1, MOST, borrower_dies);
    check_some_deaths("guarded, a user of the lock dies", 1, MOST, user_of_the_lock_dies);
}

/// A reader that dies while it reads has left nothing that anybody is told of.
pub(super) fn reader_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let all = data(&worlds, false);
    let is_reading = sim::keep(Cell::new(false));
    let (died, told) = dies_beside_two(steps, &worlds, &all, move |data| {
        let read = data.within(Purpose::Read, |_| {
            is_reading.set(true);
            sim::step(|| ());
            is_reading.set(!sim::is_alive());
        });
        read.expect("nobody died before");
    });
    assert!(!(told && (is_reading.get() || !died)), "told of a death that harmed nothing");
    died
}

pub fn a_dead_reader_leaves_nothing() {
    check_some_deaths("guarded, a reader dies", 1, MOST, reader_dies);
}

/// Data whose writer, thread 3 of the last of `worlds`, died between the halves.
fn left_half_written(worlds: &[&'static World]) -> Vec<Data> {
    let all = data(worlds, false);
    let last = *worlds.last().expect("a world");
    let theirs = *all.last().expect("the data");
    let id = sim::as_thread(3, || {
        let entered = theirs.guarded.enter(Purpose::Write, Deadline::NEVER, || Ok(()));
        core::mem::forget(entered.expect("it is new"));
        theirs.halves.begin();
        last.me()
    });
    last.kernel_marks(id);
    all
}

/// The one that repairs it dies too.
pub(super) fn repairer_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2], &[3]]);
    let all = left_half_written(&worlds);
    dies_beside_two(steps, &worlds, &all, |data| _ = data.write_or_repair()).0
}

pub fn what_is_half_written_outlives_a_repairer_that_dies() {
    check_some_deaths("guarded, the repairer dies", 1, MOST, repairer_dies);
}

/// The lock is recovered by itself, and a part is claimed: the data stays half written for all others.
pub(super) fn the_lock_alone_is_recovered() {
    let worlds = world::make(&[&[0, 1, 2], &[3]]);
    let mine = left_half_written(&worlds)[0];
    let recoverer = sim::spawn(1, move || {
        drop(mine.guarded.lock().recover().expect("not so often"));
    });
    let claimant = sim::spawn(2, move || {
        mine.within(Purpose::Claim, |_| ()).expect("a claim takes anything");
    });
    assert!(mine.read().is_err_and(|error| error.is_owner_died()), "half written, and not told");
    sim::join(recoverer);
    sim::join(claimant);
    assert!(mine.write_or_repair(), "half written, and not told");
    mine.assert_is_well();
}

pub fn half_written_data_stays_so_without_its_lock() {
    check("guarded, the lock alone is recovered", 3, the_lock_alone_is_recovered);
}

/// A guard is dropped by a panic.
pub(super) fn borrower_panics() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let all = data(&worlds, false);
    let (mine, theirs) = (all[0], all[1]);
    let borrower = sim::spawn(2, move || {
        let entered = theirs.guarded.enter(Purpose::Guard, Deadline::NEVER, || Ok(()));
        let hold = entered.expect("whole").0.hold().expect("not so often");
        theirs.halves.begin();
        sim::unwinding(|| hold.end(|| ()));
    });
    // Before or after.
    let _ = mine.read();
    sim::join(borrower);
    assert!(mine.read().is_err_and(|error| error.is_owner_died()), "half written, and not told");
    assert!(mine.write_or_repair());
    mine.assert_is_well();
}

pub fn a_panic_marks_like_a_death() {
    check("guarded, a borrower panics", 3, borrower_panics);
}

/// Under a lock of the user's, a thread has died in the middle of something else: neither who overwrites this data, nor that a reader
/// of it died before, takes the poison away.
pub(super) fn other_data_under_the_lock() {
    let worlds = world::make(&[&[0, 1], &[2, 3]]);
    let all = data(&worlds, true);
    let (mine, theirs, last) = (all[0], all[1], worlds[1]);
    let reader = sim::as_thread(3, || {
        let entered = theirs.guarded.enter(Purpose::Read, Deadline::NEVER, || Ok(()));
        core::mem::forget(entered.expect("it is new"));
        last.me()
    });
    last.kernel_marks(reader);
    let user = sim::as_thread(2, || {
        core::mem::forget(theirs.guarded.lock().recover().expect("not so often"));
        last.me()
    });
    last.kernel_marks(user);
    let writer = sim::spawn(1, move || {
        mine.within(Purpose::Overwrite, Halves::write).expect("it overwrites anything");
    });
    let told = |result: Result<()>| assert!(result.is_err_and(|error| error.is_owner_died()));
    told(mine.read());
    sim::join(writer);
    told(mine.read());
    told(mine.guarded.lock().lock().map(drop));
    drop(mine.guarded.lock().recover().expect("not so often"));
    mine.assert_is_well();
}

pub fn the_lock_tells_of_other_data() {
    check("guarded, other data under the lock", 3, other_data_under_the_lock);
}
