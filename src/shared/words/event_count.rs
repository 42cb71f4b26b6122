//! `raw::EventCount`: waiting for what other words say. The protocol: [`crate::raw::event_count`].

use crate::error::{Error, ErrorKind, Result};
use crate::forms::forms;
use crate::liveness::{Rhythm, Wait};
use crate::raw::EventCount;
use crate::sys::atomic::{Ordering, fence};
use crate::sys::clock::Deadline;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

impl EventCount {
    forms! {
        /// Waits until `check` finds something, and returns that.
        ///
        /// `check` looks at the words for which the event count stands, and is called again and again: after a notification, after
        /// a death in the process tree, every 50 ms, and for no reason. It may take what it finds, and may lock. A short poll, where
        /// there is another processor, comes before the sleep.
        ///
        /// # Errors
        ///
        /// If this process cannot get shared memory, or this thread cannot take part in it.
        ///
        /// # Panics
        ///
        /// If `check` panics.
        pub fn wait, try_wait, wait_timeout, wait_deadline [R]
        (&'static self, check: impl FnMut() -> Option<R>; until) -> R {
            self.wait_until(until, check)
        }
        try: Empty, is_empty, "`check` finds nothing"
    }

    fn wait_until<R>(
        &'static self,
        until: Deadline,
        mut check: impl FnMut() -> Option<R>,
    ) -> Result<R> {
        let liveness = crate::world::world()?.liveness;
        liveness.me()?;
        let mut spin = liveness.spin(Rhythm::Signal);
        loop {
            if let Some(found) = check() {
                return Ok(found);
            }
            if until.is_over() {
                return Err(Error::simple(ErrorKind::Timeout));
            }
            if spin.poll() {
                continue;
            }
            let mut last = Ok(None);
            let prepared = self.count.prepare_wait();
            liveness.sleep(self.count.word(), prepared, until, Wait::Baton, || {
                // Nobody else's code unwinds through a sleep: its entry would go on naming the word.
                last = catch_unwind(AssertUnwindSafe(&mut check));
                matches!(last, Ok(None))
            });
            match last {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(panic) => resume_unwind(panic),
            }
        }
    }

    /// Wakes at most so many of those who wait. The caller has changed what they look at. Never blocks.
    #[inline]
    pub fn notify(&self, most: u32) {
        // ORDERING(event count): SeqCst, with the barrier in `prepare_wait`; the caller's change before the load.
        fence(Ordering::SeqCst);
        if most != 0 && self.count.has_waiters() {
            self.count.notify_slow(most);
        }
    }

    /// Wakes all who wait. The caller has changed what they look at. Never blocks.
    #[inline]
    pub fn notify_all(&self) {
        self.notify(u32::MAX);
    }
}
