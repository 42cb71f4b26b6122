//! `RLock`: a lock that its holder can take again, as `multiprocessing.RLock`.
//!
//! # The object
//!
//! ```text
//! 0  8  lock         who holds it ([`crate::raw::lock`])                          THE TRUTH
//! 8  12 reentry      how often the holder holds it ([`crate::raw::reentry`])
//! 20 4  ignore_owner_death  1: taken over from the dead in silence; written by the maker
//! ```
//!
//! - *Lock*, *drop of a guard*, and what a death leaves: as said for the two parts.
//! - *Wait for a condition*: let go at every depth; lock; then depth, unfinished and lent are what they were, and unfinished
//!   is 1 if the lock was poisoned meanwhile.

use crate::error::{Error, ErrorKind, Result};
use crate::forms::forms;
use crate::handle::{ObjectRef, in_object};
use crate::liveness::{Id, Liveness};
use crate::raw::lock::{Outcome, Policy, RobustLock};
use crate::raw::reentry::Reentry;
use crate::sync::guard::sealed::{Depth, Release};
use crate::sync::guard::{Holding, Owner, lock_face};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::shared::Shared;
use std::sync::Arc;

#[repr(C)]
struct RLockObject {
    lock: RobustLock,
    /// How often the holder holds it. Written by the holder alone.
    reentry: Reentry,
    /// 1: the lock is taken over from the dead in silence. Written by the maker.
    ignore_owner_death: AtomicU32,
}

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for RLockObject {}

/// Mutual exclusion that the holding thread can enter again, as Python's `multiprocessing.RLock`.
///
/// Like [`Lock`](crate::Lock) in everything else: how it waits, how it travels, how much it costs. Each guard counts one; the
/// lock is released when the last one is dropped, in whatever order.
///
/// # When the holder dies
///
/// As for [`Lock`](crate::Lock#when-the-holder-dies), however deep the holder was: waiters are released at once with
/// [`is_owner_died`], until [`recover`] takes the lock and all guards that its thread has from then on are dropped. The
/// recovering thread may lock again meanwhile.
///
/// # Differences from Python
///
/// It belongs to a thread, not to a process with a thread number that another process may have too. Only guards release it,
/// so it cannot be released too often or by another. Timeouts are measured on the monotonic clock.
///
/// # In a signal handler
///
/// Not to be used there. An [`Event`](crate::Event) can be set in one.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, RLock};
///
/// fn add(lock: &RLock, line: &str) -> multiproc::Result<()> {
///     let _guard = lock.lock()?;
///     println!("{line}");
///     Ok(())
/// }
///
/// fn verse(lock: RLock) -> multiproc::Result<()> {
///     // Both lines together; each locks again.
///     let _guard = lock.lock()?;
///     add(&lock, "roses are red")?;
///     add(&lock, "violets are blue")
/// }
///
/// let lock = RLock::new()?;
/// let children = [Process::spawn(verse, (&lock,))?, Process::spawn(verse, (&lock,))?];
/// for child in children {
///     child.join()??;
/// }
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// [`recover`]: RLock::recover
/// [`is_owner_died`]: crate::Error::is_owner_died
#[derive(Clone)]
pub struct RLock {
    reference: Arc<ObjectRef>,
    object: &'static RLockObject,
}

lock_face!(RLock, RLockBuilder, RLockGuard, OwnedRLockGuard);

impl RLock {
    forms! {
        /// Waits for the lock and takes it, or takes it once more.
        ///
        /// Blocks while another live thread of any process holds it; woken when it is released or its holder dies.
        ///
        /// # Errors
        ///
        /// [`is_owner_died`](crate::Error::is_owner_died) if the last holder died with it and nobody has recovered it yet;
        /// [`is_limit`](crate::Error::is_limit) if the calling thread holds it 4,294,967,295 times.
        pub fn lock, try_lock, lock_timeout, lock_deadline(&self; until) -> RLockGuard<'_> {
            let me = self.liveness().me()?;
            if self.object.lock.try_lock(me) {
                self.object.reentry.enter();
                return Ok(RLockGuard::of(self, Holding::new(me)));
            }
            self.lock_contended(until)
        }
        try: Busy, is_busy, "another thread holds it"
    }

    #[cold]
    fn lock_contended(&self, until: Deadline) -> Result<RLockGuard<'_>> {
        let holding = self.acquire(until, self.policy())?;
        Ok(RLockGuard::of(self, holding))
    }

    forms! {
        /// Takes the lock although its last holder died with it, to repair what it guards; waits while someone holds it.
        ///
        /// The poison goes with the last guard of the recovering thread; until then [`lock`](RLock::lock) goes on answering all
        /// others that the owner died. If that thread dies too, or a panic drops one of its guards, the poison stays. A lock that
        /// is not poisoned is simply taken.
        ///
        /// # Errors
        ///
        /// [`is_limit`](crate::Error::is_limit) if the calling thread holds it 4,294,967,295 times.
        pub fn recover, try_recover, recover_timeout, recover_deadline(&self; until) -> RLockGuard<'_> {
            let holding = self.acquire(until, Policy::Recover)?;
            Ok(RLockGuard::of(self, holding))
        }
        try: Busy, is_busy, "another live thread holds it"
    }

    /// How often the live thread that holds the lock holds it; 0 if it is free.
    pub fn depth(&self) -> u32 {
        // The holder counts a moment after it has taken the lock.
        self.live_owner().map_or(0, |_| self.object.reentry.depth.load(Ordering::Relaxed).max(1))
    }

    fn acquire(&self, until: Deadline, policy: Policy) -> Result<Holding> {
        let (object, liveness) = (self.object, self.liveness());
        let me = liveness.me()?;
        if object.lock.owner() != Some(me) {
            let holding = Holding::take(&object.lock, liveness, me, until, policy)?;
            self.object.reentry.enter();
            return Ok(holding);
        }
        self.object.reentry.deepen()?;
        Ok(Holding::new(me))
    }
}

impl Release for RLock {
    const GUARDS: [&'static str; 2] = ["RLockGuard", "OwnedRLockGuard"];

    #[inline]
    fn release(&self, holding: &Holding) {
        if holding.is_mine() {
            holding.leave(&self.object.lock, &self.object.reentry);
        }
    }

    fn number(&self) -> u32 {
        self.index()
    }

    fn check_lent(&self) -> Result<()> {
        self.check_lent_beside(0)
    }

    fn let_go(&self, holding: &mut Holding) -> Depth {
        self.let_go_of(holding.me)
    }

    fn take_again(&self, holding: &Holding, depth: Depth) -> Result<()> {
        let outcome = self.take(holding.me, Deadline::NEVER, false)?;
        let has_died = outcome == Outcome::OwnerDied;
        if has_died {
            self.take(holding.me, Deadline::NEVER, true)?;
        }
        self.deepen_to(depth, has_died);
        if has_died { Err(Error::simple(ErrorKind::OwnerDied)) } else { Ok(()) }
    }
}

/// What objects need of the lock that guards their data. A short section takes the word alone and leaves the depth as it is:
/// nobody else's code runs in it, and whoever takes the word over writes the depth first.
impl RLock {
    /// The lock's object, by number.
    pub(crate) fn index(&self) -> u32 {
        self.reference.id.index
    }

    /// The calling thread.
    #[inline]
    pub(crate) fn me(&self) -> Result<Id> {
        self.liveness().me()
    }

    /// Whether the calling thread, which is `me`, holds the lock.
    #[inline]
    pub(crate) fn is_held_by(&self, me: Id) -> bool {
        self.object.lock.owner() == Some(me)
    }

    /// Takes the word if it is free and not poisoned.
    #[inline]
    pub(crate) fn try_take(&self, me: Id) -> bool {
        self.object.lock.try_lock(me)
    }

    /// Takes the word, which the caller does not hold: what was found. To `recover` is to take it from the dead, too.
    pub(crate) fn take(&self, me: Id, until: Deadline, recover: bool) -> Result<Outcome> {
        let policy = if recover { Policy::Recover } else { self.policy() };
        match self.object.lock.lock(me, self.liveness(), until, policy) {
            Outcome::TimedOut => Err(Error::simple(ErrorKind::Timeout)),
            Outcome::Deadlock => Err(Error::simple(ErrorKind::Deadlock)),
            outcome => Ok(outcome),
        }
    }

    /// Gives the word of a short section back, with its poison or without.
    #[inline]
    pub(crate) fn give(&self, me: Id, clear: bool) {
        if clear && self.object.lock.is_poisoned() {
            self.object.lock.unlock_recovered(me);
        } else {
            self.object.lock.unlock(me);
        }
    }

    /// Turns a section into a hold that is counted, for a guard: user code will run under it.
    #[inline]
    pub(crate) fn begin_hold(&self, nested: bool) -> Result<()> {
        if nested {
            self.object.reentry.deepen()?;
        } else {
            self.object.reentry.enter();
        }
        self.lend(1);
        Ok(())
    }

    #[inline]
    fn lend(&self, one: i32) {
        let lent = self.object.reentry.lent.load(Ordering::Relaxed).wrapping_add_signed(one);
        self.object.reentry.lent.store(lent, Ordering::Relaxed);
    }

    /// An error if the calling thread, which holds the lock, has more guards of data under it than the given ones.
    pub(crate) fn check_lent_beside(&self, given: u32) -> Result<()> {
        if self.object.reentry.lent.load(Ordering::Relaxed) <= given {
            return Ok(());
        }
        Err(Error::of(
            ErrorKind::AlreadyBorrowed,
            "this thread has another guard of data under the lock, which would be let go, too: drop that guard first, or wait with it",
        ))
    }

    /// Lets go of the lock at every depth, which the calling thread `me` holds.
    pub(crate) fn let_go_of(&self, me: Id) -> Depth {
        let object = self.object;
        let depth = Depth {
            depth: object.reentry.depth.load(Ordering::Relaxed),
            unfinished: object.reentry.unfinished.load(Ordering::Relaxed) != 0,
            lent: object.reentry.lent.load(Ordering::Relaxed),
        };
        object.reentry.depth.store(0, Ordering::Relaxed);
        self.give(me, !depth.unfinished);
        depth
    }

    /// The lock was taken again: the calling thread is as deep in it as it was. If it is poisoned, that stays.
    pub(crate) fn deepen_to(&self, depth: Depth, is_poisoned: bool) {
        let unfinished = u32::from(depth.unfinished || is_poisoned);
        self.object.reentry.depth.store(depth.depth, Ordering::Relaxed);
        self.object.reentry.unfinished.store(unfinished, Ordering::Relaxed);
        self.object.reentry.lent.store(depth.lent, Ordering::Relaxed);
    }

    /// Ends a counted hold of the calling thread, which is `me`. The poison, if there is one, goes with the outermost, unless a
    /// guard was dropped by a panic.
    #[inline]
    pub(crate) fn end_hold(&self, me: Id, is_broken: bool) {
        self.lend(-1);
        if let Some(finished) = self.object.reentry.leave(is_broken) {
            self.give(me, finished);
        }
    }
}

impl core::fmt::Debug for RLock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RLock")
            .field("owner", &self.owner())
            .field("depth", &self.depth())
            .field("owner_died", &self.is_left_by_the_dead())
            .field("waiters", &self.object.lock.has_waiters())
            .finish()
    }
}

in_object!(RLock);
