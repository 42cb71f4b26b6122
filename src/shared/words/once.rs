//! `raw::Once`: what is done once, also if somebody dies doing it.
//!
//! 1. Done already: leave.
//! 2. Take the lock, from the dead in silence.
//! 3. Done meanwhile: give the lock back.
//! 4. Do it.
//! 5. Store 1 in `done`: *it is done*.
//! 6. Give the lock back.
//!
//! # If a process dies
//!
//! A death up to step 4 leaves a lock that the next caller takes over, and step 4 to do; one in step 5 or 6 leaves it done, and a lock
//! that nobody needs. Waiters sleep on the lock; the alarm of the death wakes them.

use crate::error::Result;
use crate::forms::forms;
use crate::raw::Once;
use crate::sys::atomic::Ordering;

impl Once {
    forms! {
        /// Calls `body`, unless it has been called and has returned `Ok` in some process; whether this call did.
        ///
        /// Blocks while another live thread of any process is at it; woken when that one is done, fails, panics or dies. After a
        /// failure the next caller does it.
        ///
        /// # Errors
        ///
        /// What `body` returns; [`is_deadlock`](crate::Error::is_deadlock) if the calling thread is in the middle of it.
        pub fn call_once, try_call_once, call_once_timeout, call_once_deadline
        (&'static self, body: impl FnOnce() -> Result<()>; until) -> bool {
            if self.is_done() {
                return Ok(false);
            }
            let _guard = self.lock.adopt_until(until)?;
            if self.is_done() {
                return Ok(false);
            }
            body()?;
            // ORDERING(once): Release, pairs with the Acquire in `is_done`; what `body` wrote before the word.
            self.done.store(1, Ordering::Release);
            Ok(true)
        }
        try: Busy, is_busy, "another thread is at it"
    }

    /// Whether it has been done.
    #[inline]
    pub fn is_done(&self) -> bool {
        // ORDERING(once): Acquire, pairs with the Release in `call_once`.
        self.done.load(Ordering::Acquire) != 0
    }
}

impl core::fmt::Debug for Once {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Once").field("done", &self.is_done()).finish()
    }
}
