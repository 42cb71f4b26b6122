//! `raw::RLock`: a lock and how often its holder holds it. The protocol: [`crate::raw::lock`] and [`crate::raw::reentry`].

use crate::error::Result;
use crate::forms::forms;
use crate::raw::lock::Policy;
use crate::raw::{RLock, RLockGuard};
use crate::sync::{Holding, Owner};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use core::marker::PhantomData;

impl RLock {
    forms! {
        /// Waits for the lock and takes it, or takes it once more.
        ///
        /// Blocks while another live thread of any process holds it; woken when it is given back or its holder dies.
        ///
        /// # Errors
        ///
        /// [`is_owner_died`](crate::Error::is_owner_died) if the last holder died with it and nobody has recovered it yet;
        /// [`is_limit`](crate::Error::is_limit) if the calling thread holds it 4,294,967,295 times.
        pub fn lock, try_lock, lock_timeout, lock_deadline(&'static self; until) -> RLockGuard {
            self.take(until, Policy::Report)
        }
        try: Busy, is_busy, "another thread holds it"
    }

    forms! {
        /// Takes the lock although its last holder died with it, to repair what it guards; waits while someone holds it.
        ///
        /// The poison goes with the last guard of the recovering thread. If that thread dies too, or a panic drops one of its
        /// guards, it stays.
        ///
        /// # Errors
        ///
        /// [`is_limit`](crate::Error::is_limit) if the calling thread holds it 4,294,967,295 times.
        pub fn recover, try_recover, recover_timeout, recover_deadline(&'static self; until) -> RLockGuard {
            self.take(until, Policy::Recover)
        }
        try: Busy, is_busy, "another live thread holds it"
    }

    fn take(&'static self, until: Deadline, policy: Policy) -> Result<RLockGuard> {
        let liveness = crate::world::world()?.liveness;
        let me = liveness.me()?;
        if self.lock.owner() == Some(me) {
            self.reentry.deepen()?;
        } else {
            Holding::take(&self.lock, liveness, me, until, policy)?;
            self.reentry.enter();
        }
        Ok(RLockGuard { lock: self, me, not_send: PhantomData })
    }

    /// The live thread that holds the lock at this moment.
    pub fn owner(&self) -> Option<Owner> {
        Owner::live(&self.lock, crate::world::current()?.liveness)
    }

    /// How often the live thread that holds the lock holds it; 0 if it is free.
    pub fn depth(&self) -> u32 {
        // The holder counts a moment after it has taken the lock.
        self.owner().map_or(0, |_| self.reentry.depth.load(Ordering::Relaxed).max(1))
    }
}

impl Drop for RLockGuard {
    fn drop(&mut self) {
        let holding = Holding::new(self.me);
        if holding.is_mine() {
            holding.leave(&self.lock.lock, &self.lock.reentry);
        }
    }
}

impl core::fmt::Debug for RLock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RLock")
            .field("owner", &self.owner())
            .field("depth", &self.depth())
            .field("waiters", &self.lock.has_waiters())
            .finish()
    }
}
