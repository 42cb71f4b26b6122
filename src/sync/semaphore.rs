//! Semaphores: permits that processes take and give back, as `multiprocessing.Semaphore`, and that come back from the dead.
//!
//! # Layout
//!
//! ```text
//! the semaphore's cell (one cache line)
//! 0  8  lock       for all that follows; held for a few instructions, adopted from the dead
//! 8  4  total      permits that exist: start + released - forgotten          THE TRUTH
//! 12 4  available  total less what is held (cache)
//! 16 4  news of permits
//! 20 4  number of the semaphore's block, once it has one
//! 24 4  most       what total may become
//! 28 4  restraint  asked of newcomers ([`crate::world::restraint`])
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
//! Everything happens under the lock, in sections that at most look once at every entry. Whoever adopts it from a dead thread
//! *derives* `available` first: total less the sum of what processes that are not gone hold; entries of those that are gone
//! are cleared. So does whoever finds none available, before it gives up or sleeps: that is how a dead process's permits come
//! back.
//!
//! - *Acquire*: none available: sleep on the news; its look derives. Or derive, and give up. Else
//!   1. one more in an entry of one's own, which may have been a free one: *the permit is taken*; 2. available - 1; 3. give the
//!      lock back.
//! - *Drop of a permit*: 1. one less in an entry of one's own: *it is given back*; 2. available + 1; 3. look for sleepers;
//!   4. give the lock back; 5. wake one.
//! - *Release of n*: 1. total + n, if it may be so many: *they exist*; 2. available + n; 3. look for sleepers; 4. give the lock
//!   back; 5. wake n.
//! - *Forget*: 1. total - 1; 2. one less in an entry of one's own; 3. give the lock back. Available stays.
//! - *A block*, which is made without the lock: 1. it is given to the cell; 2. under the lock, if there is none: its number is
//!   stored. Who is late frees its own.
//!
//! # Why no wake is lost
//!
//! A sleeper arms the news, and then, in the look of its sleep ([`crate::world::wait`]), takes the lock and derives. So either
//! its look came first, and whoever gives back looks for sleepers later, under the same lock; or it finds the permit. A look
//! that fails is no reason to sleep; what went wrong then comes to light in an attempt to take a permit. It waits as for a
//! baton: in slices, since the one who was woken for a permit may be stopped. It leaves without a permit only after it found
//! none, or tells the news if it could not look; so no wake is lost with it.
//!
//! # If a process dies
//!
//! | in | after step | the others see |
//! |---|---|---|
//! | acquire | 0 | nothing; the lock of a dead owner, which they adopt, here and below |
//! | | 1, 2 | the permit held by the dead: it comes back when the process is gone |
//! | | 3 | the same; the permit's holder died |
//! | drop | 0 | the permit held by the dead |
//! | | 1 | the permit is available, once somebody derives |
//! | | 2, 3, 4 | the permit is available; sleepers are woken by the alarm, and derive |
//! | release | 1 to 4 | all n are available; sleepers are woken by the alarm |
//! | forget | 1 | one permit less exists; what the dead held is no longer counted against it once it is gone |
//! | | 2, 3 | one permit less exists |
//! | block | 0 | nothing: what the dead held of memory is free |
//! | | 1 | a block that nobody uses, until the semaphore is gone |
//! | | 2 | the block; its entries are free |
//!
//! A sleeper that dies leaves nothing but an armed word of news. If it was woken for a permit, the alarm of its death wakes
//! the others.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::forms::{forms, travels};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::thread;
use crate::world::brief_lock::BriefLock;
use crate::world::handle::{CellRef, Kind};
use crate::world::news::News;
use crate::world::registry::Id;
use crate::world::restraint::Restraint;
use crate::world::wait::{Wait, me};
use crate::world::word_lock::Outcome;
use crate::world::{PROCESSES, Shared, World};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Looks before sleeping, about 5 us.
const LOOKS: u32 = 28;
/// How long one waits at least for whoever has the lock: only who is stopped, or gets no processor, has it that long.
const PATIENCE: Duration = Duration::from_millis(100);
/// Entries on a cache line.
const LINE: usize = 8;

#[repr(C)]
struct SemaphoreCell {
    lock: BriefLock,
    total: AtomicU32,
    available: AtomicU32,
    news: News,
    block: AtomicU32,
    most: AtomicU32,
    restraint: Restraint,
    near: [AtomicU64; 2],
}

#[repr(transparent)]
struct Far([AtomicU64; PROCESSES]);

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for SemaphoreCell {}
#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: atomics only.
unsafe impl Shared for Far {}

const _: () = {
    assert!(core::mem::offset_of!(SemaphoreCell, block) == 20);
    assert!(core::mem::offset_of!(SemaphoreCell, near) == 32);
    assert!(PROCESSES.is_multiple_of(LINE));
};

impl Far {
    /// The entry of a process slot.
    fn of(&self, slot: usize) -> &AtomicU64 {
        const LINES: usize = PROCESSES / LINE;
        &self.0[slot % LINES * LINE + slot / LINES % LINE]
    }
}

/// The machine behind both kinds of semaphores: this process's view of one.
#[derive(Clone)]
struct Permits {
    reference: Arc<CellRef>,
    world: &'static World,
    cell: &'static SemaphoreCell,
    /// The semaphore's block, once it was needed here.
    far: OnceLock<&'static Far>,
    /// This process, as it stands in the high half of its entries.
    process: u64,
}

/// How an attempt to take a permit ended.
#[derive(PartialEq)]
enum Attempt {
    Taken,
    NoneLeft,
    /// There is one, but no free entry.
    NoEntry,
}

impl Permits {
    fn new(kind: Kind, permits: u32, most: u32) -> Result<Permits> {
        let reference = CellRef::create(crate::world::world()?, kind, 0)?;
        let cell: &SemaphoreCell = reference.cell.view();
        cell.total.store(permits, Ordering::Relaxed);
        cell.available.store(permits, Ordering::Relaxed);
        cell.most.store(most, Ordering::Relaxed);
        Ok(Permits::from_reference(reference))
    }

    fn from_reference(reference: Arc<CellRef>) -> Permits {
        let (world, cell) = (reference.world, reference.cell.view());
        let process = u64::from(world.this_process().to_bits());
        Permits { reference, world, cell, far: OnceLock::new(), process }
    }

    /// The entries in the semaphore's block, if it has one.
    fn far(&self) -> Result<Option<&'static Far>> {
        if let Some(far) = self.far.get() {
            return Ok(Some(far));
        }
        // ORDERING(lock): Relaxed, here and below, as all that is done under the lock.
        let block = self.cell.block.load(Ordering::Relaxed);
        if block == 0 {
            return Ok(None);
        }
        let far = self.world.extent(block)?.get(0)?;
        Ok(Some(self.far.get_or_init(|| far)))
    }

    /// Gives the semaphore a block. Not under the lock.
    #[cold]
    fn add_block(&self, me: Id, until: Deadline) -> Result<()> {
        let block = self.world.alloc(size_of::<Far>(), me)?;
        block.write(0, &[0; size_of::<Far>()])?;
        let locked = self.lock(me, until);
        let is_wanted = locked.is_ok() && self.cell.block.load(Ordering::Relaxed) == 0;
        if is_wanted {
            block.give_for_life(self.reference.id);
            self.cell.block.store(block.id(), Ordering::Release);
        }
        if locked.is_ok() {
            self.cell.lock.unlock();
        }
        if !is_wanted {
            self.world.free(block);
        }
        locked
    }

    /// Takes a permit, waiting until `until`.
    #[inline]
    fn acquire(&self, until: Deadline) -> Result<()> {
        let me = self.world.me()?;
        let cell = self.cell;
        // Looked at first, so that those who wait do not take the lock from those who give back.
        if cell.available.load(Ordering::Relaxed) != 0
            && !self.is_left_to_sleepers()
            && cell.lock.try_lock(me)
        {
            let taken = self.take_at_hand() || self.take().is_ok_and(|it| it == Attempt::Taken);
            cell.lock.unlock();
            if taken {
                return Ok(());
            }
        }
        self.acquire_slowly(me, until)
    }

    /// Whether newcomers should leave what is available to those who sleep.
    #[inline]
    fn is_left_to_sleepers(&self) -> bool {
        self.cell.news.has_sleepers() && self.cell.restraint.is_granted()
    }

    /// Grants them that, if they ask for it. Under the lock.
    #[inline]
    fn leave_to_sleepers(&self) {
        if self.cell.news.has_sleepers() {
            self.cell.restraint.grant();
        }
    }

    /// Takes a permit if one is available without deriving, and an entry at hand. Under the lock.
    #[inline]
    fn take_at_hand(&self) -> bool {
        let available = self.cell.available.load(Ordering::Relaxed);
        for entry in &self.cell.near {
            let held = entry.load(Ordering::Relaxed);
            if held >> 32 == self.process && available != 0 {
                entry.store(held + 1, Ordering::Relaxed);
                self.cell.available.store(available - 1, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    /// Takes a permit if there is one. Under the lock.
    #[cold]
    fn take(&self) -> Result<Attempt> {
        if self.take_at_hand() {
            return Ok(Attempt::Taken);
        }
        let mut available = self.cell.available.load(Ordering::Relaxed);
        if available == 0 {
            available = self.derive()?;
        }
        if available == 0 {
            return Ok(Attempt::NoneLeft);
        }
        let Some((entry, held)) = self.entry_to_take()? else { return Ok(Attempt::NoEntry) };
        entry.store(self.process << 32 | u64::from(held.wrapping_add(1)), Ordering::Relaxed);
        self.cell.available.store(available - 1, Ordering::Relaxed);
        Ok(Attempt::Taken)
    }

    /// An entry of this process, or a free one, and how many permits of this process it counts. Under the lock.
    fn entry_to_take(&self) -> Result<Option<(&'static AtomicU64, u32)>> {
        for entry in &self.cell.near {
            let (process, count) = split(entry.load(Ordering::Relaxed));
            let is_own = u64::from(process) == self.process;
            if is_own || count == 0 || self.is_gone(process) {
                return Ok(Some((entry, if is_own { count } else { 0 })));
            }
        }
        let Some(far) = self.far()? else { return Ok(None) };
        // What another process left there counts no longer: it is gone, as this one has its slot.
        let entry = far.of(self.world.this_process().slot());
        let (process, count) = split(entry.load(Ordering::Relaxed));
        Ok(Some((entry, if u64::from(process) == self.process { count } else { 0 })))
    }

    /// Whether what the process holds counts no longer.
    fn is_gone(&self, process: u32) -> bool {
        // ORDERING(lock): what a holder did last comes before its mark, which `is_gone` loaded.
        Id::from_bits(process).is_none_or(|process| self.world.registry.is_gone(process))
    }

    #[cold]
    fn acquire_slowly(&self, me: Id, until: Deadline) -> Result<()> {
        let (cell, world) = (self.cell, self.world);
        let mut looks = if world.spins() { 0 } else { LOOKS };
        let mut since = None;
        let mut look_failed = false;
        loop {
            let none = cell.available.load(Ordering::Relaxed) == 0;
            if since.is_none() && !none && !until.is_over() && self.is_left_to_sleepers() {
                thread::yield_now();
                continue;
            }
            if looks < LOOKS && none && !until.is_over() {
                world.pause_for_news(looks);
                looks += 1;
                continue;
            }
            // Only the look of a sleep finds out what the dead had; who does not sleep looks here.
            if !none || until.is_over() || look_failed {
                // It may have been woken for a permit at which it cannot look: then somebody else is to.
                let attempt = self.lock(me, until).and_then(|()| {
                    let attempt = self.take();
                    cell.lock.unlock();
                    attempt
                });
                match attempt.inspect_err(|_| cell.news.tell())? {
                    Attempt::Taken => {
                        if since.is_some() {
                            cell.restraint.end();
                        }
                        return Ok(());
                    }
                    Attempt::NoEntry => {
                        self.add_block(me, until).inspect_err(|_| cell.news.tell())?;
                        continue;
                    }
                    Attempt::NoneLeft if until.is_over() => {
                        return Err(Error::simple(ErrorKind::Timeout));
                    }
                    Attempt::NoneLeft => {}
                }
            }
            cell.restraint.ask(&mut since);
            let armed = cell.news.arm();
            world.sleep(cell.news.word(), armed, until, Wait::Baton, || {
                let available = self.lock(me, until).and_then(|()| {
                    let available = self.derive();
                    cell.lock.unlock();
                    available
                });
                look_failed = available.is_err();
                available.is_ok_and(|available| available == 0)
            });
        }
    }

    /// Takes the lock.
    fn lock(&self, me: Id, until: Deadline) -> Result<()> {
        if self.cell.lock.try_lock(me) {
            return Ok(());
        }
        // Others have it for a moment only: that much time is always left.
        let patience = until.later(Deadline::after(PATIENCE));
        match self.cell.lock.lock(me, self.world, patience) {
            Outcome::Locked => Ok(()),
            Outcome::Adopted(_) => self.derive().map(drop).inspect_err(|_| {
                // What is available is not known: whoever comes next derives, too.
                self.cell.available.store(0, Ordering::Relaxed);
                self.cell.lock.unlock();
            }),
            Outcome::TimedOut => Err(Error::new(
                ErrorKind::Timeout,
                "another process is in the middle of taking or giving back a permit, and does not go on: if it is stopped, continue or kill it",
            )),
            // A signal handler that interrupted its own thread in here.
            _ => Err(Error::simple(ErrorKind::Deadlock)),
        }
    }

    /// Derives from the truths how many are available. Under the lock.
    #[cold]
    fn derive(&self) -> Result<u32> {
        let far = self.far()?.into_iter();
        let far = far.flat_map(|far| (0..self.world.registry.processes()).map(|slot| far.of(slot)));
        let mut held = 0_u64;
        for entry in self.cell.near.iter().chain(far) {
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
        let total = u64::from(self.cell.total.load(Ordering::Relaxed));
        let available = total.saturating_sub(held) as u32;
        self.cell.available.store(available, Ordering::Relaxed);
        Ok(available)
    }

    /// Gives a permit back.
    #[inline]
    fn give_back(&self) {
        let has_sleepers = self.end(|entry, held| {
            entry.store(held - 1, Ordering::Relaxed);
            let available = self.cell.available.load(Ordering::Relaxed);
            self.cell.available.store(available.wrapping_add(1), Ordering::Relaxed);
            self.leave_to_sleepers();
        });
        if has_sleepers {
            self.cell.news.wake(1);
        }
    }

    /// Makes a permit one that nobody gives back.
    #[inline]
    fn forget(&self) {
        self.end(|entry, held| {
            let total = self.cell.total.load(Ordering::Relaxed);
            self.cell.total.store(total.saturating_sub(1), Ordering::Relaxed);
            // ORDERING(forget): Release: in this order also for whoever adopts the lock in between.
            entry.store(held - 1, Ordering::Release);
        });
    }

    /// Does away with a permit by `end`, under the lock, waiting for it; whether it did and somebody sleeps. In a forked child,
    /// copies of its parent's permits count for nothing.
    #[inline]
    fn end(&self, end: impl Fn(&AtomicU64, u64)) -> bool {
        let cell = self.cell;
        let is_locked = match self.world.me_at_hand() {
            Some(me) if cell.lock.try_lock(me) => true,
            _ => self.lock_to_end(),
        };
        if !is_locked {
            return false;
        }
        let mut near = cell.near.iter().map(|entry| (entry, entry.load(Ordering::Relaxed)));
        let own = near.find(|&(_, held)| self.is_own(held)).or_else(|| self.far_entry_to_end());
        if let Some((entry, held)) = own {
            end(entry, held);
        }
        let has_sleepers = cell.news.has_sleepers();
        cell.lock.unlock();
        has_sleepers
    }

    /// Whether an entry counts permits of this process.
    #[inline]
    fn is_own(&self, entry: u64) -> bool {
        entry >> 32 == self.process && entry as u32 != 0
    }

    #[cold]
    fn far_entry_to_end(&self) -> Option<(&AtomicU64, u64)> {
        let entry = self.far().ok()??.of(self.world.this_process().slot());
        let held = entry.load(Ordering::Relaxed);
        self.is_own(held).then_some((entry, held))
    }

    /// Takes the lock to do away with a permit; whether it has it.
    #[cold]
    fn lock_to_end(&self) -> bool {
        if !self.world.is_current() {
            return false;
        }
        // A thread for which there is no place any more does it in the name of its process. (Should that be killed just then,
        // its keeper's word may be marked some instructions before this thread ends: the one hole in "a live holder".)
        let process = self.world.this_process();
        let me = me().unwrap_or(process);
        let patience = Deadline::after(PATIENCE);
        while let Err(error) = self.lock(me, Deadline::NEVER) {
            if error.is_deadlock() && (me != process || patience.is_over()) {
                // A signal handler that interrupted its own thread in here: the permit comes back with the process's end.
                return false;
            }
            thread::yield_now();
        }
        true
    }

    fn release(&self, permits: u32) -> Result<()> {
        let cell = self.cell;
        let me = self.world.me()?;
        self.lock(me, Deadline::NEVER)?;
        let total = cell.total.load(Ordering::Relaxed);
        let most = cell.most.load(Ordering::Relaxed);
        let new = total.checked_add(permits).filter(|&new| new <= most);
        if let Some(new) = new {
            cell.total.store(new, Ordering::Relaxed);
            let available = cell.available.load(Ordering::Relaxed);
            cell.available.store(available.wrapping_add(permits), Ordering::Relaxed);
            self.leave_to_sleepers();
        }
        let has_sleepers = cell.news.has_sleepers();
        cell.lock.unlock();
        if new.is_none() {
            return Err(too_many(permits, total, most));
        }
        if has_sleepers {
            cell.news.wake(permits);
        }
        Ok(())
    }

    /// How many are available; the cache where it is not to be had exactly.
    fn available(&self) -> u32 {
        let exact = || {
            self.lock(self.world.me()?, Deadline::NOW)?;
            let available = self.derive();
            self.cell.lock.unlock();
            available
        };
        exact().unwrap_or_else(|_: Error| self.cell.available.load(Ordering::Relaxed))
    }

    fn fmt(&self, name: &str, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct(name)
            .field("available", &self.available())
            .field("permits", &self.cell.total.load(Ordering::Relaxed))
            .field("waiters", &self.cell.news.has_sleepers())
            .finish()
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
    Error::new(ErrorKind::Limit, message)
}

/// What both kinds of semaphores can do.
macro_rules! semaphore {
    ($semaphore:ident) => {
        impl $semaphore {
            /// Waits for a permit and takes it.
            ///
            /// Blocks while none is available; woken when one is given back or released, or when a process that holds some is
            /// dead.
            ///
            /// # Errors
            ///
            /// [`is_foreign`](Error::is_foreign) in a process made by a plain `fork` that inherited the handle;
            /// [`is_limit`](Error::is_limit) or [`is_out_of_memory`](Error::is_out_of_memory) if there is no room left for
            /// this thread, or for a third process to hold permits at the same time.
            #[inline]
            pub fn acquire(&self) -> Result<Permit<'_>> {
                self.acquire_until(Deadline::NEVER)
            }

            forms!(
                acquire_until -> Permit<'_>: acquire, try_acquire, acquire_timeout, acquire_deadline;
                "none is available"
            );

            #[inline]
            fn acquire_until(&self, until: Deadline) -> Result<Permit<'_>> {
                self.permits.acquire(until)?;
                Ok(Permit { permits: &self.permits })
            }

            #[doc = concat!("As [`acquire`](", stringify!($semaphore), "::acquire), with a permit that owns a handle to the")]
            /// semaphore and can be kept in a structure.
            ///
            /// # Errors
            ///
            #[doc = concat!("As [`acquire`](", stringify!($semaphore), "::acquire).")]
            pub fn acquire_owned(&self) -> Result<OwnedPermit> {
                self.acquire_owned_until(Deadline::NEVER)
            }

            forms!(
                acquire_owned_until -> OwnedPermit:
                acquire_owned, try_acquire_owned, acquire_owned_timeout, acquire_owned_deadline;
                "none is available"
            );

            fn acquire_owned_until(&self, until: Deadline) -> Result<OwnedPermit> {
                self.permits.acquire(until)?;
                Ok(OwnedPermit { permits: self.permits.clone(), is_held: true })
            }

            /// How many permits are available at this moment, those of the dead included.
            pub fn available(&self) -> u32 {
                self.permits.available()
            }

            fn from_reference(reference: Arc<CellRef>) -> Result<$semaphore> {
                Ok($semaphore { permits: Permits::from_reference(reference) })
            }

            fn reference(&self) -> &Arc<CellRef> {
                &self.permits.reference
            }
        }

        impl core::fmt::Debug for $semaphore {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.permits.fmt(stringify!($semaphore), f)
            }
        }

        travels!($semaphore);
    };
}

/// A number of permits that the processes of a tree share, as Python's `multiprocessing.Semaphore`.
///
/// Cloning gives another handle to the same semaphore; handles travel to other processes in the arguments of
/// [`Process::spawn`](crate::Process::spawn) and through a [`Queue`](crate::Queue). While a permit is available, taking it and
/// giving it back makes no system call; a waiter spins for some microseconds, where there is another processor, and then
/// sleeps.
///
/// It is used in two ways. To let so many in at a time: [`acquire`](Semaphore::acquire) gives a [`Permit`], and dropping it
/// gives it back. To count signals from one process to another: the one calls [`release`](Semaphore::release), the other
/// acquires and [`forget`](Permit::forget)s.
///
/// # When a holder dies
///
/// A permit belongs to the process that acquired it. When the process has ended, been killed or replaced by `exec`, its
/// permits are available again, and waiters get them at once; those that it forgot are not. A waiter that dies or is stopped
/// holds nobody up for longer than a moment. Only a process that is stopped in the very middle of taking or giving back holds
/// up the others, until it goes on or is killed; forms without waiting, and with a time, give up 100 ms later than usual then.
///
/// # Differences from Python
///
/// Permits come back from the dead; in Python the count stays low for ever. A pair of acquire and release in different
/// processes is therefore written with [`forget`](Permit::forget): a permit that is not forgotten is given back when it is
/// dropped. Timeouts are measured on the monotonic clock.
///
/// # In a signal handler
///
/// Not to be used there. An [`Event`](crate::Event) can be set in one.
///
/// # Examples
///
/// At most two at a time:
///
/// ```
/// use multiproc::{Process, Semaphore};
///
/// fn download(slots: Semaphore, number: u32) -> multiproc::Result<()> {
///     let _slot = slots.acquire()?;
///     println!("downloading {number}");
///     Ok(())
/// }
///
/// let slots = Semaphore::new(2)?;
/// let children: Vec<_> =
///     (0..4).map(|number| Process::spawn(download, (&slots, number))).collect::<Result<_, _>>()?;
/// for child in children {
///     child.join()??;
/// }
/// assert_eq!(slots.available(), 2);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// Signals that are counted:
///
/// ```
/// use multiproc::{Process, Semaphore};
///
/// fn work(done: Semaphore) -> multiproc::Result<()> {
///     (0..3).try_for_each(|_| done.release(1))
/// }
///
/// let done = Semaphore::new(0)?;
/// let child = Process::spawn(work, (&done,))?;
/// for _ in 0..3 {
///     done.acquire()?.forget();
/// }
/// child.join()??;
/// assert_eq!(done.available(), 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct Semaphore {
    permits: Permits,
}

impl Semaphore {
    /// Makes a semaphore with so many permits available, gone with its last user. No system call once the process uses shared
    /// objects at all.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new(permits: u32) -> Result<Semaphore> {
        Ok(Semaphore { permits: Permits::new(Kind::Semaphore, permits, u32::MAX)? })
    }

    /// Adds permits, and wakes as many waiters. From any thread of any process, with or without a permit.
    ///
    /// # Errors
    ///
    /// [`is_limit`](Error::is_limit) if there would be more than 4,294,967,295 permits, those that are held included; nothing
    /// is added then. [`is_foreign`](Error::is_foreign) in a process made by a plain `fork`.
    pub fn release(&self, permits: u32) -> Result<()> {
        self.permits.release(permits)
    }
}

semaphore!(Semaphore);

/// A [`Semaphore`] that never has more permits than at the start, as Python's `multiprocessing.BoundedSemaphore`: releasing
/// one too often, which is mostly a mistake in the program, is an error.
///
/// Everything else is as for a [`Semaphore`].
///
/// # Differences from Python
///
/// A permit that someone holds counts, since it will be given back: only for one that was [forgotten](Permit::forget) is
/// there anything to release. The permits of a dead process come back by themselves; releasing in its stead is an error.
///
/// # Examples
///
/// ```
/// use multiproc::BoundedSemaphore;
///
/// let semaphore = BoundedSemaphore::new(1)?;
/// semaphore.acquire()?.forget();
/// semaphore.release(1)?;
/// assert!(semaphore.release(1).unwrap_err().is_limit());
/// assert_eq!(semaphore.available(), 1);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct BoundedSemaphore {
    permits: Permits,
}

impl BoundedSemaphore {
    /// Makes a semaphore with so many permits available, and never more.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::new`].
    pub fn new(permits: u32) -> Result<BoundedSemaphore> {
        Ok(BoundedSemaphore { permits: Permits::new(Kind::BoundedSemaphore, permits, permits)? })
    }

    /// Gives back permits that were [forgotten](Permit::forget), and wakes as many waiters. From any thread of any process.
    ///
    /// # Errors
    ///
    /// [`is_limit`](Error::is_limit) if there would be more permits than at the start, those that are held included; nothing
    /// is added then. [`is_foreign`](Error::is_foreign) in a process made by a plain `fork`.
    pub fn release(&self, permits: u32) -> Result<()> {
        self.permits.release(permits)
    }
}

semaphore!(BoundedSemaphore);

/// A permit of a [`Semaphore`] or [`BoundedSemaphore`]; dropping it gives it back and wakes a waiter.
///
/// It belongs to the process, not to the thread: it can go to another thread and be dropped there. When the process ends, by
/// whatever death, all its permits are given back. In a child made by a plain `fork`, the copy of a permit counts for
/// nothing.
#[must_use = "the permit is given back as soon as it is dropped"]
pub struct Permit<'a> {
    permits: &'a Permits,
}

impl Permit<'_> {
    /// Uses the permit up: it is not given back, by nobody and no death. [`release`](Semaphore::release) makes a new one.
    pub fn forget(self) {
        self.permits.forget();
        core::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.permits.give_back();
    }
}

impl core::fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.permits.fmt("Permit", f)
    }
}

/// A [`Permit`] with a handle to its semaphore, for keeping in a structure.
#[must_use = "the permit is given back as soon as it is dropped"]
pub struct OwnedPermit {
    permits: Permits,
    is_held: bool,
}

impl OwnedPermit {
    /// As [`Permit::forget`].
    pub fn forget(mut self) {
        self.permits.forget();
        self.is_held = false;
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if self.is_held {
            self.permits.give_back();
        }
    }
}

impl core::fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.permits.fmt("OwnedPermit", f)
    }
}
