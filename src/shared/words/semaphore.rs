//! `raw::Semaphore`: permits in one piece. The protocol: [`crate::raw::permits`]; the entries of all processes are there from the
//! beginning.

use crate::error::Result;
use crate::forms::forms;
use crate::liveness::{Id, Liveness};
use crate::raw::permits::{Far, Permits as _, Seat, View, Words};
use crate::raw::{Permit, Semaphore};
use crate::sys::clock::Deadline;
use crate::world::World;
use std::sync::OnceLock;

/// One process's view of a semaphore, for one call: it finds its seat anew.
struct Seen {
    semaphore: &'static Semaphore,
    world: &'static World,
    seat: OnceLock<Seat>,
}

impl View for Seen {
    #[inline]
    fn words(&self) -> &'static Words {
        &self.semaphore.words
    }

    #[inline]
    fn liveness(&self) -> &'static Liveness {
        self.world.liveness
    }

    #[inline]
    fn process(&self) -> u32 {
        self.world.liveness.this_process().to_bits()
    }

    #[inline]
    fn own_seat(&self) -> &OnceLock<Seat> {
        &self.seat
    }

    fn far(&self) -> Result<Option<&'static Far>> {
        Ok(Some(&self.semaphore.far))
    }

    /// Never asked: it has all entries from the beginning.
    fn add_far(&self, _: Id, _: Deadline) -> Result<()> {
        Ok(())
    }
}

impl Semaphore {
    forms! {
        /// Waits for a permit and takes it.
        ///
        /// Blocks while none is available; woken when one is given back or released, or when a process that holds some is dead.
        ///
        /// # Errors
        ///
        /// If this process cannot get shared memory, or this thread cannot take part in it.
        pub fn acquire, try_acquire, acquire_timeout, acquire_deadline(&'static self; until) -> Permit {
            self.view()?.acquire(until)?;
            Ok(Permit { semaphore: self })
        }
        try: Busy, is_busy, "none is available"
    }

    /// Adds permits, and wakes as many waiters. From any thread of any process, with or without a permit.
    ///
    /// # Errors
    ///
    /// [`is_limit`](crate::Error::is_limit) if there would be more than 4,294,967,295 permits; nothing is added then.
    pub fn release(&'static self, permits: u32) -> Result<()> {
        self.view()?.release(permits)
    }

    /// How many permits are available at this moment. Permits that dead processes held count as available.
    pub fn available(&'static self) -> u32 {
        self.view().map_or(0, |view| view.available())
    }

    fn view(&'static self) -> Result<Seen> {
        Ok(Seen { semaphore: self, world: crate::world::world()?, seat: OnceLock::new() })
    }
}

impl Permit {
    /// Uses the permit up. It is never given back, not even when the process dies. [`release`](Semaphore::release) makes a new one.
    pub fn forget(self) {
        if let Ok(view) = self.semaphore.view() {
            view.forget();
        }
        core::mem::forget(self);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Ok(view) = self.semaphore.view() {
            view.give_back();
        }
    }
}

impl core::fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Semaphore")
            .field("permits", &self.words.total())
            .field("waiters", &self.words.has_waiters())
            .finish_non_exhaustive()
    }
}
