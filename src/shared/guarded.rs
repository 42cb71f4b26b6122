//! The calls of a cell of guarded data, which is described in [`crate::raw::guarded`]: they know the world.

use crate::error::Result;
use crate::forms::forms;
use crate::raw::lock::Policy;
use crate::raw::{Guard, Guarded};
use crate::shared::plain::{self, Plain};
use crate::sync::Holding;
use crate::sys::clock::Deadline;
use bytemuck::{CheckedBitPattern, NoUninit};
use core::marker::PhantomData;

impl<T: Plain> Guarded<T> {
    forms! {
        /// Waits for the cell and takes it.
        ///
        /// Blocks while another live thread of any process holds it; woken when it is released or its holder dies.
        ///
        /// # Errors
        ///
        /// [`is_owner_died`](crate::Error::is_owner_died) if the last holder died with it and nobody has recovered it yet;
        /// [`is_deadlock`](crate::Error::is_deadlock) if the calling thread holds it;
        /// [`is_corrupted`](crate::Error::is_corrupted) if the bits are no `T`.
        pub fn lock, try_lock, lock_timeout, lock_deadline(&'static self; until) -> Guard<T> {
            self.take(until, Policy::Report)
        }
        try: Busy, is_busy, "another thread holds it"
    }

    forms! {
        /// Takes the cell although its last holder died with it, to repair the data; waits while someone holds it.
        ///
        /// The poison goes when the guard is dropped. If the guard's thread dies too, or panics, it stays.
        ///
        /// # Errors
        ///
        /// As [`lock`](Guarded::lock), but for the owner's death.
        pub fn recover, try_recover, recover_timeout, recover_deadline(&'static self; until) -> Guard<T> {
            self.take(until, Policy::Recover)
        }
        try: Busy, is_busy, "another live thread holds it"
    }

    fn take(&'static self, until: Deadline, policy: Policy) -> Result<Guard<T>> {
        let liveness = crate::world::world()?.liveness;
        let holding = Holding::take(&self.lock, liveness, liveness.me()?, until, policy)?;
        match plain::load(self.words()) {
            Ok(value) => {
                let (me, recovered) = (holding.me, holding.recovered);
                Ok(Guard { cell: self, value, me, recovered, not_send: PhantomData })
            }
            Err(error) => {
                self.lock.unlock(holding.me);
                Err(error)
            }
        }
    }
}

impl<T: CheckedBitPattern + NoUninit + 'static> Drop for Guard<T> {
    fn drop(&mut self) {
        let holding = Holding { me: self.me, recovered: self.recovered, dead: None };
        if !holding.is_mine() {
            return;
        }
        plain::store(self.cell.words(), &self.value);
        holding.give_back(&self.cell.lock);
    }
}
