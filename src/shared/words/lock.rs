//! `raw::Lock`: one lock alone. The protocol: [`crate::raw::lock`].

use crate::error::Result;
use crate::forms::forms;
use crate::raw::lock::Policy;
use crate::raw::{Lock, LockGuard};
use crate::sync::{Holding, Owner};
use crate::sys::clock::Deadline;
use core::marker::PhantomData;

impl Lock {
    forms! {
        /// Waits for the lock and takes it.
        ///
        /// Blocks while another live thread of any process holds it; woken when it is given back or its holder dies.
        ///
        /// # Errors
        ///
        /// [`is_owner_died`](crate::Error::is_owner_died) if the last holder died with it and nobody has recovered it yet;
        /// [`is_deadlock`](crate::Error::is_deadlock) if the calling thread holds it.
        pub fn lock, try_lock, lock_timeout, lock_deadline(&'static self; until) -> LockGuard {
            self.take(until, Policy::Report)
        }
        try: Busy, is_busy, "another thread holds it"
    }

    forms! {
        /// Takes the lock although its last holder died with it, to repair what it guards; waits while someone holds it.
        ///
        /// The poison goes when the guard is dropped. If the guard's thread dies too, or panics, it stays.
        ///
        /// # Errors
        ///
        /// [`is_deadlock`](crate::Error::is_deadlock) if the calling thread holds it.
        pub fn recover, try_recover, recover_timeout, recover_deadline(&'static self; until) -> LockGuard {
            self.take(until, Policy::Recover)
        }
        try: Busy, is_busy, "another live thread holds it"
    }

    forms! {
        /// Takes the lock as if nobody had ever died with it; waits while someone holds it. For a lock of which no holder leaves
        /// anything half written.
        ///
        /// # Errors
        ///
        /// [`is_deadlock`](crate::Error::is_deadlock) if the calling thread holds it.
        pub fn adopt, try_adopt, adopt_timeout, adopt_deadline(&'static self; until) -> LockGuard {
            self.adopt_until(until)
        }
        try: Busy, is_busy, "another live thread holds it"
    }

    pub(super) fn adopt_until(&'static self, until: Deadline) -> Result<LockGuard> {
        self.take(until, Policy::Adopt)
    }

    fn take(&'static self, until: Deadline, policy: Policy) -> Result<LockGuard> {
        let liveness = crate::world::world()?.liveness;
        let holding = Holding::take(&self.lock, liveness, liveness.me()?, until, policy)?;
        let (me, recovered) = (holding.me, holding.recovered);
        Ok(LockGuard { lock: self, me, recovered, not_send: PhantomData })
    }

    /// Whether a live thread holds the lock at this moment.
    pub fn is_locked(&self) -> bool {
        self.owner().is_some()
    }

    /// The live thread that holds the lock at this moment.
    pub fn owner(&self) -> Option<Owner> {
        Owner::live(&self.lock, crate::world::current()?.liveness)
    }
}

impl Drop for LockGuard {
    #[inline]
    fn drop(&mut self) {
        let holding = Holding { me: self.me, recovered: self.recovered, dead: None };
        if holding.is_mine() {
            holding.give_back(&self.lock.lock);
        }
    }
}

impl core::fmt::Debug for Lock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lock")
            .field("owner", &self.owner())
            .field("waiters", &self.lock.has_waiters())
            .finish()
    }
}
