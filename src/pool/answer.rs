//! `AsyncResult`: what a call that does not wait gives back.

use std::fmt;
use std::sync::Arc;

use super::call::Answer;
use crate::error::{Error, Result};
use crate::forms::forms;
use crate::sys::clock::Deadline;

/// The result of a task, or of a `map`, that may still be under way: what Python's `Pool.apply_async` and `map_async` give.
///
/// Dropping it drops the result; the task is done all the same. It may outlive its pool: if the pool was terminated before the
/// result was there, [`get`](AsyncResult::get) is an error with [`is_closed`](crate::Error::is_closed).
///
/// # Examples
///
/// ```
/// use multiproc::Pool;
/// use std::time::Duration;
///
/// let pool = Pool::with_workers(2)?;
/// let result = pool.apply_async(|x: u64| x * x, (20,));
/// assert_eq!(result.get_timeout(Duration::from_secs(10))?, 400);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use = "dropped, the task is done and its result is lost, errors included: get it, or use on_error"]
pub struct AsyncResult<R> {
    answer: Arc<Answer<R>>,
}

impl<R> AsyncResult<R> {
    pub(super) fn of(answer: Arc<Answer<R>>) -> AsyncResult<R> {
        AsyncResult { answer }
    }

    forms! {
        /// Waits for the result and takes it. Woken when the task is done or lost.
        ///
        /// # Errors
        ///
        /// The task's own error, see [`Pool`](crate::Pool#when-a-task-fails);
        /// [`is_closed`](crate::Error::is_closed) if the pool was closed before the call, or terminated;
        /// [`is_invalid_input`](crate::Error::is_invalid_input) if the result was taken already;
        /// [`is_deadlock`](crate::Error::is_deadlock) in a callback of the same pool, unless the result is there.
        pub fn get, try_get, get_timeout, get_deadline(&self; until) -> R {
            self.answer.get(until)
        }
        try: Empty, is_empty, "the result is not there"
    }

    /// Waits until the result is there, and leaves it.
    ///
    /// # Errors
    ///
    /// [`is_deadlock`](crate::Error::is_deadlock) in a callback of the same pool; [`is_foreign`](crate::Error::is_foreign) in a
    /// forked process.
    pub fn wait(&self) -> Result<()> {
        self.answer.wait(Deadline::NEVER).map(drop)
    }

    /// Waits for at most `timeout`; whether the result is there.
    ///
    /// # Errors
    ///
    /// As [`wait`](AsyncResult::wait).
    pub fn wait_timeout(&self, timeout: std::time::Duration) -> Result<bool> {
        self.answer.wait(Deadline::after(timeout))
    }

    /// Waits until `deadline`; whether the result is there.
    ///
    /// # Errors
    ///
    /// As [`wait`](AsyncResult::wait).
    pub fn wait_deadline(&self, deadline: std::time::Instant) -> Result<bool> {
        self.answer.wait(Deadline::at(deadline))
    }

    /// Whether the result, or an error in its place, is there.
    pub fn is_ready(&self) -> bool {
        self.answer.look().0
    }

    /// Whether the result is there and no error.
    pub fn is_successful(&self) -> bool {
        self.answer.look().1
    }

    /// Calls `f` with the result before those are woken who wait for it: in the pool's own thread or one that waits for the
    /// pool, or here if it is there already.
    ///
    /// The pool hands out no other results while a callback runs. A callback may give the pool tasks and may terminate it; waiting
    /// for the pool in it is an error with [`is_deadlock`](crate::Error::is_deadlock). A panic in it is reported and goes no further.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::Pool;
    ///
    /// let pool = Pool::with_workers(1)?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let result = pool
    ///     .apply_async(|text: String| text.len(), ("four",))
    ///     .on_done(move |len| sender.send(*len).unwrap());
    /// result.wait()?;
    /// assert_eq!(receiver.recv(), Ok(4));
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn on_done(self, f: impl FnOnce(&R) + Send + 'static) -> AsyncResult<R> {
        self.answer.add(Some(Box::new(f)), None);
        self
    }

    /// Calls `f` with the error, if there is one in place of the result; else as [`on_done`](AsyncResult::on_done).
    pub fn on_error(self, f: impl FnOnce(&Error) + Send + 'static) -> AsyncResult<R> {
        self.answer.add(None, Some(Box::new(f)));
        self
    }
}

impl<R> fmt::Debug for AsyncResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (is_ready, is_successful) = self.answer.look();
        f.debug_struct("AsyncResult")
            .field("is_ready", &is_ready)
            .field("is_successful", &is_successful)
            .finish()
    }
}
