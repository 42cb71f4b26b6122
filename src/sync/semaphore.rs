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
//! 20 4  number of the semaphore's block
//! 24 4  most       what total may become
//! the semaphore's block
//! 0  8192  holders: a word for every process slot: the process (high half), how many it holds (low half)
//!                                                                            THE TRUTH
//! ```
//!
//! A holder's word counts as long as the process that it names is not gone. Neighbouring slots stand on different cache
//! lines: each process writes its own word at every turn.
//!
//! # Protocol
//!
//! Everything happens under the lock. Whoever adopts it from a dead thread *derives* `available` first: total less the sum of
//! what processes that are not gone hold; words of those that are gone are cleared. So does whoever finds none available,
//! before it gives up or sleeps: that is how a dead process's permits come back.
//!
//! - *Acquire*: none available: derive. Still none: give the lock back and sleep on the news, or give up. Else
//!   1. own word + 1: *the permit is taken*; 2. available - 1; 3. give the lock back.
//! - *Drop of a permit*: 1. own word - 1: *it is given back*; 2. available + 1; 3. give the lock back; 4. tell the news.
//! - *Release of n*: 1. total + n, if it may be so many: *they exist*; 2. available + n; 3. give the lock back; 4. tell the
//!   news, n times.
//! - *Forget*: 1. total - 1; 2. own word - 1; 3. give the lock back. Available stays.
//!
//! A sleeper arms the news, and in the look of its sleep ([`crate::world::wait`]) derives: after it has acknowledged the
//! alarm. It waits as for a baton: in slices, since the one who was woken for a permit may be stopped. It leaves without a
//! permit only after it found none, or tells the news if it could not look; so no wake is lost with it.
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
//! | | 2, 3 | the permit is available; sleepers are woken by the alarm, and derive |
//! | release | 1, 2, 3 | all n are available; sleepers are woken by the alarm |
//! | forget | 1 | one permit less exists; what the dead held is no longer counted against it once it is gone |
//! | | 2, 3 | one permit less exists |
//!
//! A sleeper that dies leaves nothing but an armed word of news. If it was woken for a permit, the alarm of its death wakes
//! the others.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::forms::{forms, travels};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::thread;
use crate::world::handle::{CellRef, Kind};
use crate::world::news::News;
use crate::world::registry::Id;
use crate::world::wait::{Wait, me};
use crate::world::word_lock::{Outcome, Policy, WordLock};
use crate::world::{PROCESSES, Shared, World};
use std::sync::Arc;
use std::time::Duration;

/// Looks before sleeping, 250 ns apart.
const LOOKS: u32 = 20;
/// How long a look without waiting waits for whoever has the lock: only a stopped one has it that long.
const PATIENCE: Duration = Duration::from_millis(100);
/// Words of holders on a cache line.
const LINE: usize = 8;

#[repr(C)]
struct SemaphoreCell {
    lock: WordLock,
    total: AtomicU32,
    available: AtomicU32,
    news: News,
    block: AtomicU32,
    most: AtomicU32,
}

#[repr(transparent)]
struct Holders([AtomicU64; PROCESSES]);

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for SemaphoreCell {}
#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: atomics only.
unsafe impl Shared for Holders {}

const _: () = {
    assert!(core::mem::offset_of!(SemaphoreCell, block) == 20);
    assert!(size_of::<SemaphoreCell>() <= 40, "the last word of a cell is not ours");
    assert!(PROCESSES.is_multiple_of(LINE));
};

impl Holders {
    /// The word of a process slot.
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
    holders: &'static Holders,
    /// This process's word, and what stands in its high half.
    own: &'static AtomicU64,
    process: u64,
}

impl Permits {
    fn new(kind: Kind, permits: u32, most: u32) -> Result<Permits> {
        let world = crate::world::world()?;
        let me = world.me()?;
        let reference = CellRef::create(world, kind, 0)?;
        let block = world.alloc(size_of::<Holders>(), me)?;
        block.write(0, &[0; size_of::<Holders>()])?;
        let cell: &SemaphoreCell = reference.cell.view();
        cell.total.store(permits, Ordering::Relaxed);
        cell.available.store(permits, Ordering::Relaxed);
        cell.most.store(most, Ordering::Relaxed);
        cell.block.store(block.id(), Ordering::Relaxed);
        block.give_for_life(reference.id);
        Permits::from_reference(reference)
    }

    fn from_reference(reference: Arc<CellRef>) -> Result<Permits> {
        let (world, cell) = (reference.world, reference.cell.view::<SemaphoreCell>());
        let holders: &Holders = world.extent(cell.block.load(Ordering::Relaxed))?.get(0)?;
        let process = world.this_process();
        let own = holders.of(process.slot());
        Ok(Permits { reference, world, cell, holders, own, process: u64::from(process.to_bits()) })
    }

    /// Takes a permit, waiting until `until`.
    #[inline]
    fn acquire(&self, until: Deadline) -> Result<()> {
        let me = self.world.me()?;
        // Looked at first, so that those who wait do not take the lock from those who give back.
        if self.cell.available.load(Ordering::Relaxed) != 0 && self.cell.lock.try_lock(me) {
            let taken = self.take_at_hand();
            self.cell.lock.unlock(me);
            if taken {
                return Ok(());
            }
        }
        self.acquire_slowly(me, until)
    }

    /// Takes a permit if one is available without deriving. Under the lock.
    #[inline]
    fn take_at_hand(&self) -> bool {
        let available = self.cell.available.load(Ordering::Relaxed);
        let own = self.own.load(Ordering::Relaxed).wrapping_add(1);
        if available == 0 || own >> 32 != self.process {
            return false;
        }
        // Relaxed, as all that is done under the lock.
        self.own.store(own, Ordering::Relaxed);
        self.cell.available.store(available - 1, Ordering::Relaxed);
        true
    }

    #[cold]
    fn acquire_slowly(&self, me: Id, until: Deadline) -> Result<()> {
        let (cell, world) = (self.cell, self.world);
        let mut looks = if world.spins() { 0 } else { LOOKS };
        loop {
            if looks < LOOKS && cell.available.load(Ordering::Relaxed) == 0 && !until.is_over() {
                world.pause(0);
                looks += 1;
                continue;
            }
            // It may have been woken for a permit at which it cannot look: then somebody else is to.
            self.lock(me, until).inspect_err(|_| cell.news.tell())?;
            let taken = self.take_at_hand() || {
                self.derive();
                self.take_at_hand()
            };
            cell.lock.unlock(me);
            if taken {
                return Ok(());
            }
            if until.is_over() {
                return Err(Error::simple(ErrorKind::Timeout));
            }
            let armed = cell.news.arm();
            world.sleep(cell.news.word(), armed, until, Wait::Baton, || {
                self.lock(me, until).is_ok_and(|()| {
                    let available = self.derive();
                    cell.lock.unlock(me);
                    available == 0
                })
            });
        }
    }

    /// Takes the lock.
    fn lock(&self, me: Id, until: Deadline) -> Result<()> {
        if self.cell.lock.try_lock(me) {
            return Ok(());
        }
        let now = until == Deadline::NOW;
        let patience = if now { Deadline::after(PATIENCE) } else { until };
        match self.cell.lock.lock(me, self.world, patience, Policy::Adopt) {
            Outcome::Locked => Ok(()),
            Outcome::Adopted(_) => {
                self.derive();
                Ok(())
            }
            Outcome::TimedOut if now => Err(Error::new(
                ErrorKind::Busy,
                "a stopped process is in the middle of taking or giving back a permit: continue or kill it",
            )),
            Outcome::TimedOut => Err(Error::simple(ErrorKind::Timeout)),
            // A signal handler that interrupted its own thread in here.
            _ => Err(Error::simple(ErrorKind::Deadlock)),
        }
    }

    /// Derives from the truths how many are available. Under the lock.
    #[cold]
    fn derive(&self) -> u32 {
        let registry = self.world.registry;
        let mut held = 0_u64;
        for slot in 0..registry.processes() {
            let word = self.holders.of(slot);
            let (process, count) = split(word.load(Ordering::Relaxed));
            if count == 0 {
                continue;
            }
            // ORDERING(lock): what a holder did last comes before its mark, which `is_gone` loaded.
            if Id::from_bits(process).is_some_and(|process| !registry.is_gone(process)) {
                held += u64::from(count);
            } else {
                word.store(0, Ordering::Relaxed);
            }
        }
        if self.own.load(Ordering::Relaxed) >> 32 != self.process {
            // Its slot's last process is gone, as this one has the slot.
            self.own.store(self.process << 32, Ordering::Relaxed);
        }
        let total = u64::from(self.cell.total.load(Ordering::Relaxed));
        let available = total.saturating_sub(held) as u32;
        self.cell.available.store(available, Ordering::Relaxed);
        available
    }

    /// Gives a permit back.
    #[inline]
    fn give_back(&self) {
        let is_done = self.end(|| {
            let own = self.own.load(Ordering::Relaxed).wrapping_sub(1);
            if own >> 32 == self.process {
                self.own.store(own, Ordering::Relaxed);
                let available = self.cell.available.load(Ordering::Relaxed);
                self.cell.available.store(available.wrapping_add(1), Ordering::Relaxed);
            }
        });
        if is_done {
            self.cell.news.tell();
        }
    }

    /// Makes a permit one that nobody gives back.
    #[inline]
    fn forget(&self) {
        self.end(|| {
            let own = self.own.load(Ordering::Relaxed).wrapping_sub(1);
            if own >> 32 == self.process {
                let total = self.cell.total.load(Ordering::Relaxed);
                self.cell.total.store(total.saturating_sub(1), Ordering::Relaxed);
                // ORDERING(forget): Release: in this order also for whoever adopts the lock in between.
                self.own.store(own, Ordering::Release);
            }
        });
    }

    /// Does away with a permit by `end`, under the lock, waiting for it; whether it did. In a forked child, copies of its
    /// parent's permits count for nothing.
    #[inline]
    fn end(&self, end: impl Fn()) -> bool {
        match self.world.me_at_hand() {
            Some(me) if self.cell.lock.try_lock(me) => {
                end();
                self.cell.lock.unlock(me);
                true
            }
            _ => self.end_slowly(end),
        }
    }

    #[cold]
    fn end_slowly(&self, end: impl Fn()) -> bool {
        if !self.world.is_current() {
            return false;
        }
        // A thread for which there is no place any more does it in the name of its process.
        let process = self.world.this_process();
        let me = me().unwrap_or(process);
        while let Err(error) = self.lock(me, Deadline::NEVER) {
            if !error.is_deadlock() || me != process {
                // A signal handler that interrupted its own thread in here: the permit comes back with the process's end.
                return false;
            }
            thread::yield_now();
        }
        end();
        self.cell.lock.unlock(me);
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
        }
        cell.lock.unlock(me);
        if new.is_none() {
            return Err(too_many(permits, total, most));
        }
        cell.news.tell_some(permits);
        Ok(())
    }

    /// How many are available; the cache where it is not to be had exactly.
    fn available(&self) -> u32 {
        if let Ok(me) = self.world.me()
            && self.lock(me, Deadline::NOW).is_ok()
        {
            let available = self.derive();
            self.cell.lock.unlock(me);
            available
        } else {
            self.cell.available.load(Ordering::Relaxed)
        }
    }

    fn fmt(&self, name: &str, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct(name)
            .field("available", &self.available())
            .field("permits", &self.cell.total.load(Ordering::Relaxed))
            .field("waiters", &self.cell.news.has_sleepers())
            .finish()
    }
}

/// The process that a holder's word names, and how many permits it holds.
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
            /// [`is_foreign`](Error::is_foreign) in a process made by a plain `fork` that inherited the handle.
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
                Ok($semaphore { permits: Permits::from_reference(reference)? })
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
/// holds nobody up for longer than a moment.
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
