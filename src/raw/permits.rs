//! Permits: what a semaphore is. Processes take them and give them back, and they come back from the dead.
//!
//! # Layout
//!
//! ```text
//! the semaphore's object (48 bytes of one cache line)
//! 0  8  lock       for all that follows; held for a few instructions, adopted from the dead
//! 8  4  total      permits that exist: start + released - forgotten          THE TRUTH
//! 12 4  available  total less what is held (cache)
//! 16 4  event count of permits
//! 20 4  number of the semaphore's block, once it has one
//! 24 4  most       what total may become
//! 28 4  fairness   how a waiter gets its turn ([`crate::raw::fairness`])
//! 32 16 near       two entries                                               THE TRUTH
//! the semaphore's block
//! 0  8192  far     an entry for every process slot                           THE TRUTH
//! ```
//!
//! An *entry* says how many permits a process holds: the process in the high half, the count in the low half. It counts as
//! long as that process is not gone; one that counts nothing is free. A process may have several. Most semaphores are held by
//! one or two processes at a time; only where a third comes a block is made, and given to the semaphore for life. In it
//! neighbouring slots stand on different cache lines: each process writes its own word at every turn.
//!
//! # Protocol
//!
//! Everything happens under the lock, in sections that at most read every entry once. Whoever adopts it from a dead thread
//! *recounts* `available` first: total less the sum of what processes that are not gone hold; entries of those that are gone
//! are cleared. So does whoever finds none available, before it gives up or sleeps: that is how a dead process's permits come
//! back.
//!
//! - *Acquire*: none available: sleep on the event count; the check of the sleep recounts. Or recount, and give up. Else
//!   1. one more in an entry of one's own, which may have been a free one: *the permit is taken*; 2. available - 1; 3. give the
//!      lock back.
//! - *Drop of a permit*: 1. one less in an entry of one's own: *it is given back*; 2. available + 1; 3. check for waiters;
//!   4. give the lock back; 5. wake one.
//! - *Release of n*: 1. total + n, if it may be so many: *they exist*; 2. available + n; 3. check for waiters; 4. give the lock
//!   back; 5. wake n.
//! - *Forget*: 1. total - 1; 2. one less in an entry of one's own; 3. give the lock back. Available stays.
//! - *A block*, which is made without the lock: 1. it is given to the object; 2. under the lock, if there is none: its number is
//!   stored. Who is late frees its own.
//!
//! # Why no wake is lost
//!
//! A waiter prepares on the event count, and then, in the check of its sleep ([`crate::liveness`]), takes the lock and recounts. So
//! either its check came first, and whoever gives back checks for waiters later, under the same lock; or it finds the permit. A check
//! that fails is no reason to sleep; what went wrong then comes to light in an attempt to take a permit. It waits as for a
//! baton: in slices, since the one who was woken for a permit may be stopped. It leaves without a permit only after it found
//! none, or it notifies another one if it could not check; so no wake is lost with it.
//!
//! # If a process dies
//!
//! | in | after step | the others see |
//! |---|---|---|
//! | acquire | 0 | nothing; the lock of a dead owner, which they adopt, here and below |
//! | | 1, 2 | the permit held by the dead: it comes back when the process is gone |
//! | | 3 | the same; the permit's holder died |
//! | drop | 0 | the permit held by the dead |
//! | | 1 | the permit is available, once somebody recounts |
//! | | 2, 3, 4 | the permit is available; sleepers are woken by the alarm, and recount |
//! | release | 1 to 4 | all n are available; sleepers are woken by the alarm |
//! | forget | 1 | one permit less exists; what the dead held is no longer counted against it once it is gone |
//! | | 2, 3 | one permit less exists |
//! | block | 0 | nothing: what the dead held of memory is free |
//! | | 1 | a block that nobody uses, until the semaphore is gone |
//! | | 2 | the block; its entries are free |
//!
//! A sleeper that dies leaves nothing but WAITERS of the event count. If it was woken for a permit, the alarm of its death wakes
//! the others.

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, Liveness, PROCESSES, Rhythm, Wait};
use crate::raw::event_count::EventCount;
use crate::raw::fairness::{Fairness, Patience};
use crate::raw::lock::Outcome;
use crate::raw::short_lock::{self, ShortLock};
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::shared::Shared;
use crate::sys::thread;
use std::time::Duration;

/// How long one waits at least for whoever has the lock: only who is stopped, or gets no processor, has it that long.
const PATIENCE: Duration = Duration::from_millis(100);
/// Entries on a cache line.
const LINE: usize = 8;

/// The words in the semaphore's object.
#[repr(C)]
pub(crate) struct Words {
    /// For all that follows.
    lock: ShortLock,
    /// Permits that exist: the truth. Written under the lock.
    total: AtomicU32,
    /// Total less what is held (cache). Written under the lock, read by anybody.
    available: AtomicU32,
    /// On which those sleep who want a permit. Written by waiters and notifiers.
    event_count: EventCount,
    /// The id of the semaphore's block; 0: none yet. Written once, under the lock.
    block: AtomicU32,
    /// What `total` may become. Written by the maker.
    most: AtomicU32,
    /// How a waiter gets its turn (hint).
    fairness: Fairness,
    /// Two entries: process and count. The truth of what is held. Written under the lock.
    near: [AtomicU64; 2],
}

/// An entry for every process slot: what the semaphore's block holds.
#[repr(transparent)]
pub(crate) struct Far([AtomicU64; PROCESSES]);

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for Words {}
#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: atomics only.
unsafe impl Shared for Far {}

const _: () = {
    use core::mem::offset_of;
    assert!(!NATIVE || (offset_of!(Words, block) == 20 && offset_of!(Words, near) == 32));
    assert!(PROCESSES.is_multiple_of(LINE));
};

impl Words {
    /// Begins with so many permits, which may never become more than `most`. Before anyone else sees the words.
    pub(crate) fn begin(&self, permits: u32, most: u32) {
        self.total.store(permits, Ordering::Relaxed);
        self.available.store(permits, Ordering::Relaxed);
        self.most.store(most, Ordering::Relaxed);
    }

    /// The number of the semaphore's block, if it has one. Under the lock, or by whoever has seen it there.
    pub(crate) fn block(&self) -> Option<u32> {
        // ORDERING(lock): Relaxed, as all that is done under the lock.
        Some(self.block.load(Ordering::Relaxed)).filter(|&block| block != 0)
    }

    /// How many permits exist.
    pub(crate) fn total(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }

    /// Whether someone sleeps, or slept since the last wake that found nobody.
    pub(crate) fn has_waiters(&self) -> bool {
        self.event_count.has_waiters()
    }
}

impl Far {
    /// The entry of a process slot.
    fn of(&self, slot: usize) -> &AtomicU64 {
        const LINES: usize = PROCESSES / LINE;
        &self.0[slot % LINES * LINE + slot / LINES % LINE]
    }
}

/// How an attempt to take a permit ended.
#[derive(PartialEq)]
pub(crate) enum Attempt {
    Taken,
    NoneLeft,
    /// There is one, but no free entry.
    NoEntry,
}

/// One process's view of a semaphore: the words, and what it needs of the rooms above.
pub(crate) trait Permits {
    fn words(&self) -> &'static Words;

    fn liveness(&self) -> &'static Liveness;

    /// This process, as it stands in the high half of its entries.
    fn process(&self) -> u64;

    /// The entries in the semaphore's block, if it has one.
    fn far(&self) -> Result<Option<&'static Far>>;

    /// Gives the semaphore a block, if it has none, and calls [`Permits::publish`] for it. Not under the lock.
    fn add_far(&self, me: Id, until: Deadline) -> Result<()>;

    /// Makes `block` the semaphore's, if it has none; `give` is called just before that. Whether it is.
    fn publish(&self, me: Id, until: Deadline, block: u32, give: impl FnOnce()) -> Result<bool> {
        self.lock(me, until)?;
        let words = self.words();
        let is_wanted = words.block().is_none();
        if is_wanted {
            give();
            // ORDERING(lock): the lock orders it for all who read it under the lock; a walk reads the id and nothing more.
            words.block.store(block, Ordering::Release);
        }
        words.lock.unlock();
        Ok(is_wanted)
    }

    /// Takes a permit, waiting until `until`.
    #[inline]
    fn acquire(&self, until: Deadline) -> Result<()> {
        let me = self.liveness().me()?;
        let words = self.words();
        // Loaded first, so that those who wait do not take the lock from those who give back.
        if words.available.load(Ordering::Relaxed) != 0
            && !self.yields_to_sleepers()
            && words.lock.try_lock(me)
        {
            let taken = self.take_fast() || self.take().is_ok_and(|it| it == Attempt::Taken);
            words.lock.unlock();
            if taken {
                return Ok(());
            }
        }
        self.acquire_slow(me, until)
    }

    /// Whether newcomers should leave what is available to those who sleep.
    #[inline]
    fn yields_to_sleepers(&self) -> bool {
        self.words().event_count.has_waiters() && self.words().fairness.is_open()
    }

    /// Grants them that, if they ask for it. Under the lock.
    #[inline]
    fn open_turn(&self) {
        if self.words().event_count.has_waiters() {
            self.words().fairness.open();
        }
    }

    /// Takes a permit if one is available without a recount, and an entry of this process in the object. Under the lock.
    #[inline]
    fn take_fast(&self) -> bool {
        let available = self.words().available.load(Ordering::Relaxed);
        for entry in &self.words().near {
            let held = entry.load(Ordering::Relaxed);
            if held >> 32 == self.process() && available != 0 {
                entry.store(held + 1, Ordering::Relaxed);
                self.words().available.store(available - 1, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    /// Takes a permit if there is one. Under the lock.
    #[cold]
    fn take(&self) -> Result<Attempt> {
        if self.take_fast() {
            return Ok(Attempt::Taken);
        }
        let mut available = self.words().available.load(Ordering::Relaxed);
        if available == 0 {
            available = self.recount()?;
        }
        if available == 0 {
            return Ok(Attempt::NoneLeft);
        }
        let Some((entry, held)) = self.entry_to_take()? else { return Ok(Attempt::NoEntry) };
        entry.store(self.process() << 32 | u64::from(held.wrapping_add(1)), Ordering::Relaxed);
        self.words().available.store(available - 1, Ordering::Relaxed);
        Ok(Attempt::Taken)
    }

    /// An entry of this process, or a free one, and how many permits of this process it counts. Under the lock.
    fn entry_to_take(&self) -> Result<Option<(&'static AtomicU64, u32)>> {
        for entry in &self.words().near {
            let (process, count) = split(entry.load(Ordering::Relaxed));
            let is_own = u64::from(process) == self.process();
            if is_own || count == 0 || self.is_gone(process) {
                return Ok(Some((entry, if is_own { count } else { 0 })));
            }
        }
        let Some(far) = self.far()? else { return Ok(None) };
        // What another process left there counts no longer: it is gone, as this one has its slot.
        let entry = far.of(self.liveness().this_process().slot());
        let (process, count) = split(entry.load(Ordering::Relaxed));
        Ok(Some((entry, if u64::from(process) == self.process() { count } else { 0 })))
    }

    /// Whether what the process holds counts no longer.
    fn is_gone(&self, process: u32) -> bool {
        // ORDERING(death): SeqCst in `Registry::state`: what a holder did last comes before its mark.
        Id::from_bits(process).is_none_or(|process| self.liveness().registry.is_gone(process))
    }

    #[cold]
    fn acquire_slow(&self, me: Id, until: Deadline) -> Result<()> {
        let words = self.words();
        let seen = words.event_count.word().load(Ordering::Relaxed);
        let mut spin = self.liveness().spin_for(seen, Rhythm::Signal);
        let mut patience = Patience::new();
        let mut check_failed = false;
        loop {
            let none = words.available.load(Ordering::Relaxed) == 0;
            let is_newcomer = !patience.has_waited();
            if is_newcomer && !none && !until.is_over() && self.yields_to_sleepers() {
                thread::nap();
                continue;
            }
            if none && !until.is_over() && spin.poll() {
                continue;
            }
            // Only the check of a sleep finds out what the dead had; who does not sleep checks here.
            if !none || until.is_over() || check_failed {
                match self.attempt(me, until)? {
                    Attempt::Taken => {
                        patience.end(&words.fairness);
                        return Ok(());
                    }
                    Attempt::NoEntry => {
                        self.add_far(me, until).inspect_err(|_| words.event_count.notify_one())?;
                        continue;
                    }
                    Attempt::NoneLeft if until.is_over() => {
                        return Err(Error::simple(ErrorKind::Timeout));
                    }
                    Attempt::NoneLeft => {}
                }
            }
            patience.request(&words.fairness);
            check_failed = self.sleep(me, until);
        }
    }

    /// Tries to take a permit under the lock. If that is impossible, another waiter is notified: this one may have been woken for
    /// a permit that it cannot reach.
    fn attempt(&self, me: Id, until: Deadline) -> Result<Attempt> {
        let attempt = self.lock(me, until).and_then(|()| {
            let attempt = self.take();
            self.words().lock.unlock();
            attempt
        });
        attempt.inspect_err(|_| self.words().event_count.notify_one())
    }

    /// Sleeps while there is no permit; whether it could not check.
    fn sleep(&self, me: Id, until: Deadline) -> bool {
        let words = self.words();
        let mut check_failed = false;
        let prepared = words.event_count.prepare_wait();
        self.liveness().sleep(words.event_count.word(), prepared, until, Wait::Baton, || {
            let available = self.lock(me, until).and_then(|()| {
                let available = self.recount();
                words.lock.unlock();
                available
            });
            check_failed = available.is_err();
            available.is_ok_and(|available| available == 0)
        });
        check_failed
    }

    /// Takes the lock.
    fn lock(&self, me: Id, until: Deadline) -> Result<()> {
        if self.words().lock.try_lock(me) {
            return Ok(());
        }
        // Others have it for a moment only: that much time is always left.
        let patience = until.later(Deadline::after(PATIENCE));
        match self.words().lock.lock_contended(me, self.liveness(), patience) {
            Outcome::Locked => Ok(()),
            Outcome::Adopted(_) => self.recount().map(drop).inspect_err(|_| {
                // What is available is not known: whoever comes next recounts, too.
                self.words().available.store(0, Ordering::Relaxed);
                self.words().lock.unlock();
            }),
            Outcome::TimedOut => Err(Error::of(
                ErrorKind::Timeout,
                "another process is in the middle of taking or giving back a permit, and does not go on: if it is stopped, continue or kill it",
            )),
            // A signal handler that interrupted its own thread in here.
            _ => Err(Error::simple(ErrorKind::Deadlock)),
        }
    }

    /// Counts from the truths how many are available. Under the lock.
    #[cold]
    fn recount(&self) -> Result<u32> {
        let far = self.far()?.into_iter();
        let far =
            far.flat_map(|far| (0..self.liveness().registry.processes()).map(|slot| far.of(slot)));
        let mut held = 0_u64;
        for entry in self.words().near.iter().chain(far) {
            // ORDERING(forget): Relaxed, behind the load of the dead owner's mark, which came after its stores.
            let (process, count) = split(entry.load(Ordering::Relaxed));
            if count == 0 {
                continue;
            }
            if self.is_gone(process) {
                entry.store(0, Ordering::Relaxed);
            } else {
                held += u64::from(count);
            }
        }
        let total = u64::from(self.words().total.load(Ordering::Relaxed));
        let available = total.saturating_sub(held) as u32;
        self.words().available.store(available, Ordering::Relaxed);
        Ok(available)
    }

    /// Gives a permit back.
    #[inline]
    fn give_back(&self) {
        let has_waiters = self.end(|entry, held| {
            entry.store(held - 1, Ordering::Relaxed);
            let available = self.words().available.load(Ordering::Relaxed);
            self.words().available.store(available.wrapping_add(1), Ordering::Relaxed);
            self.open_turn();
        });
        if has_waiters {
            self.words().event_count.notify_slow(1);
        }
    }

    /// Makes a permit one that nobody gives back.
    #[inline]
    fn forget(&self) {
        self.end(|entry, held| {
            let total = self.words().total.load(Ordering::Relaxed);
            self.words().total.store(total.saturating_sub(1), Ordering::Relaxed);
            // ORDERING(forget): Release, pairs with the load in `recount` of whoever adopts the lock in between; the total first.
            entry.store(held - 1, Ordering::Release);
        });
    }

    /// Does away with a permit by `end`, under the lock, waiting for it; whether it did and somebody sleeps. In a forked child,
    /// copies of its parent's permits count for nothing.
    #[inline]
    fn end(&self, end: impl Fn(&AtomicU64, u64)) -> bool {
        let words = self.words();
        let is_locked = match self.liveness().me_fast() {
            Some(me) if words.lock.try_lock(me) => true,
            _ => self.lock_to_end(),
        };
        if !is_locked {
            return false;
        }
        let mut near = words.near.iter().map(|entry| (entry, entry.load(Ordering::Relaxed)));
        let own = near.find(|&(_, held)| self.is_own(held)).or_else(|| self.far_entry_to_end());
        if let Some((entry, held)) = own {
            end(entry, held);
        }
        let has_waiters = words.event_count.has_waiters();
        words.lock.unlock();
        has_waiters
    }

    /// Whether an entry counts permits of this process.
    #[inline]
    fn is_own(&self, entry: u64) -> bool {
        entry >> 32 == self.process() && entry as u32 != 0
    }

    #[cold]
    fn far_entry_to_end(&self) -> Option<(&AtomicU64, u64)> {
        let entry = self.far().ok()??.of(self.liveness().this_process().slot());
        let held = entry.load(Ordering::Relaxed);
        self.is_own(held).then_some((entry, held))
    }

    /// Takes the lock to do away with a permit; whether it has it.
    #[cold]
    fn lock_to_end(&self) -> bool {
        // In a signal handler that interrupted its own thread in here the permit comes back with the process's end.
        short_lock::lock_surely(self.liveness(), |me| self.lock(me, Deadline::NEVER))
    }

    fn release(&self, permits: u32) -> Result<()> {
        let words = self.words();
        let me = self.liveness().me()?;
        self.lock(me, Deadline::NEVER)?;
        let total = words.total.load(Ordering::Relaxed);
        let most = words.most.load(Ordering::Relaxed);
        let new = total.checked_add(permits).filter(|&new| new <= most);
        if let Some(new) = new {
            words.total.store(new, Ordering::Relaxed);
            let available = words.available.load(Ordering::Relaxed);
            words.available.store(available.wrapping_add(permits), Ordering::Relaxed);
            self.open_turn();
        }
        let has_waiters = words.event_count.has_waiters();
        words.lock.unlock();
        if new.is_none() {
            return Err(too_many(permits, total, most));
        }
        if has_waiters {
            words.event_count.notify_slow(permits);
        }
        Ok(())
    }

    /// How many are available; the cache where it is not to be had exactly.
    fn available(&self) -> u32 {
        let exact = || {
            self.lock(self.liveness().me()?, Deadline::NOW)?;
            let available = self.recount();
            self.words().lock.unlock();
            available
        };
        exact().unwrap_or_else(|_: Error| self.words().available.load(Ordering::Relaxed))
    }
}

/// The process that an entry names, and how many permits it counts.
fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cold]
fn too_many(permits: u32, total: u32, most: u32) -> Error {
    let message = if most == u32::MAX {
        format!("{total} permits and {permits} more would be above {most}")
    } else {
        format!(
            "released too often: {total} permits and {permits} more would be above the {most} that the semaphore started with"
        )
    };
    Error::of(ErrorKind::Limit, message)
}
