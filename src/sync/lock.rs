//! `Lock`: mutual exclusion between processes, as `multiprocessing.Lock`, that no death can wedge.
//!
//! An object that holds one [`RobustLock`]. The protocol, and what happens at every death, is described there.

use crate::error::Result;
use crate::forms::forms;
use crate::handle::{ObjectRef, in_object};
use crate::liveness::{Id, Liveness};
use crate::raw::lock::{Policy, RobustLock};
use crate::sync::guard::sealed::{Depth, Release};
use crate::sync::guard::{Holding, Owner, lock_face};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::shared::Shared;
use std::sync::Arc;

/// What a lock's object holds.
#[repr(C)]
struct LockObject {
    lock: RobustLock,
    /// 1: the lock is taken over from the dead in silence. Written by the maker.
    ignore_owner_death: AtomicU32,
}

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for LockObject {}

/// Mutual exclusion between the processes of a tree, as Python's `multiprocessing.Lock`.
///
/// Cloning gives another handle to the same lock; handles travel to other processes in the arguments of
/// [`Process::spawn`](crate::Process::spawn) and through a [`Queue`](crate::Queue). Uncontended, locking and unlocking is
/// two atomic instructions; a waiter spins for some microseconds, where there is another processor, and then sleeps.
///
/// # When the holder dies
///
/// If the thread that holds the lock ends, is killed or replaced by `exec`, all waiters are released at once: [`lock`] is an
/// error with [`is_owner_died`], because what the lock guards may be half written. The lock is free but stays poisoned for
/// everyone until [`recover`] takes it and its guard is dropped. Locks that guard nothing which can be half written are
/// made with [`LockBuilder::ignore_owner_death`].
///
/// # Differences from Python
///
/// The guard belongs to the thread that locked: locking again from it is an error with
/// [`is_deadlock`](crate::Error::is_deadlock) where Python hangs, and no other thread can release it. Timeouts are measured on the
/// monotonic clock.
///
/// # In a signal handler
///
/// Not to be used there. An [`Event`](crate::Event) can be set in one.
///
/// # Examples
///
/// ```
/// use multiproc::{Lock, Process};
///
/// fn worker(lock: Lock) -> multiproc::Result<()> {
///     let _guard = lock.lock()?;
///     println!("one at a time");
///     Ok(())
/// }
///
/// let lock = Lock::new()?;
/// let children = [Process::spawn(worker, (&lock,))?, Process::spawn(worker, (&lock,))?];
/// for child in children {
///     child.join()??;
/// }
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// [`lock`]: Lock::lock
/// [`recover`]: Lock::recover
/// [`is_owner_died`]: crate::Error::is_owner_died
#[derive(Clone)]
pub struct Lock {
    reference: Arc<ObjectRef>,
    object: &'static LockObject,
}

lock_face!(Lock, LockBuilder, LockGuard, OwnedLockGuard);

impl Lock {
    forms! {
        /// Waits for the lock and takes it.
        ///
        /// Blocks while another live thread of any process holds it; woken when it is released or its holder dies.
        ///
        /// # Errors
        ///
        /// [`is_owner_died`](crate::Error::is_owner_died) if the last holder died with it and nobody has recovered it yet;
        /// [`is_deadlock`](crate::Error::is_deadlock) if the calling thread holds it.
        pub fn lock, try_lock, lock_timeout, lock_deadline(&self; until) -> LockGuard<'_> {
            let me = self.liveness().me()?;
            if self.object.lock.try_lock(me) {
                return Ok(LockGuard::of(self, Holding::new(me)));
            }
            self.lock_contended(until)
        }
        try: Busy, is_busy, "another thread holds it"
    }

    #[cold]
    fn lock_contended(&self, until: Deadline) -> Result<LockGuard<'_>> {
        let holding = self.acquire(until, self.policy())?;
        Ok(LockGuard::of(self, holding))
    }

    forms! {
        /// Takes the lock although its last holder died with it, to repair what it guards; waits while someone holds it.
        ///
        /// The poison goes when the guard is dropped; until then [`lock`](Lock::lock) goes on answering that the owner died. If
        /// the guard's thread dies too, or panics, the poison stays. A lock that is not poisoned is simply taken.
        ///
        /// # Errors
        ///
        /// [`is_deadlock`](crate::Error::is_deadlock) if the calling thread holds it.
        pub fn recover, try_recover, recover_timeout, recover_deadline(&self; until) -> LockGuard<'_> {
            let holding = self.acquire(until, Policy::Recover)?;
            Ok(LockGuard::of(self, holding))
        }
        try: Busy, is_busy, "another live thread holds it"
    }

    fn acquire(&self, until: Deadline, policy: Policy) -> Result<Holding> {
        let liveness = self.liveness();
        Holding::take(&self.object.lock, liveness, liveness.me()?, until, policy)
    }
}

impl Release for Lock {
    const GUARDS: [&'static str; 2] = ["LockGuard", "OwnedLockGuard"];

    #[inline]
    fn release(&self, holding: &Holding) {
        if holding.is_mine() {
            holding.give_back(&self.object.lock);
        }
    }

    fn number(&self) -> u32 {
        self.reference.id.index
    }

    fn check_lent(&self) -> Result<()> {
        Ok(())
    }

    fn let_go(&self, holding: &mut Holding) -> Depth {
        self.release(holding);
        // What was recovered is repaired by now, as after a drop.
        holding.recovered = false;
        Depth::default()
    }

    fn take_again(&self, holding: &Holding, _: Depth) -> Result<()> {
        let (lock, liveness) = (&self.object.lock, self.liveness());
        let take = |policy| Holding::take(lock, liveness, holding.me, Deadline::NEVER, policy);
        match take(self.policy()) {
            // Held as it is, with its poison, which a drop leaves.
            Err(error) if error.is_owner_died() => take(Policy::Recover).and(Err(error)),
            outcome => outcome.map(drop),
        }
    }
}

impl core::fmt::Debug for Lock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lock")
            .field("owner", &self.owner())
            .field("owner_died", &self.is_left_by_the_dead())
            .field("waiters", &self.object.lock.has_waiters())
            .finish()
    }
}

in_object!(Lock);
