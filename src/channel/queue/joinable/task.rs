//! A task in hand.

use super::ending::{finish, give_back};
use super::leases::Lease;
use crate::channel::queue::store::QueueStore;
use crate::error::Result;
use crate::raw::records::Records;
use core::fmt;
use core::ops::{Deref, DerefMut};

/// A task from a [`JoinableQueue`](crate::JoinableQueue), which this process has until it is [`done`](Task::done).
///
/// A task that is dropped undone, also by a panic, is delivered again, to someone; so is one whose process is dead. What is
/// delivered again is what was put, whatever was done to the task in hand.
///
/// Forgetting a task ([`core::mem::forget`]) keeps it until this process ends.
///
/// # Examples
///
/// ```
/// use multiproc::JoinableQueue;
///
/// let queue: JoinableQueue<String> = JoinableQueue::new()?;
/// queue.put("write the letter")?;
/// let task = queue.get()?;
/// assert_eq!((task.as_str(), task.attempt()), ("write the letter", 1));
/// drop(task); // Not done: it comes again.
/// let task = queue.get()?;
/// assert_eq!((task.as_str(), task.attempt()), ("write the letter", 2));
/// task.done()?;
/// queue.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use = "a task that is dropped is delivered again: call `done`"]
pub struct Task<T> {
    // Dropped in this order: what the task holds is gone when it is delivered again.
    value: T,
    in_hand: InHand,
}

impl<T> Task<T> {
    pub(super) fn of(value: T, in_hand: InHand) -> Task<T> {
        Task { value, in_hand }
    }

    /// How often this task was delivered, this time included: 1 for the first time.
    pub fn attempt(&self) -> u32 {
        self.in_hand.lease.deliveries()
    }

    /// The task is done: it is not delivered again. Wakes those who [`join`](crate::JoinableQueue::join), if it was the last.
    ///
    /// If this process is killed in the middle, the task is done, or delivered again.
    ///
    /// # Errors
    ///
    /// [`is_foreign`](crate::Error::is_foreign) in a process that inherited the task over a fork: it is the parent's.
    /// [`is_limit`](crate::Error::is_limit) if this thread needs a slot for threads, and all are taken: the task is given back,
    /// and comes again.
    pub fn done(self) -> Result<()> {
        let Task { value, mut in_hand } = self;
        drop(value);
        finish(&in_hand.records, &in_hand.lease)?;
        in_hand.is_over = true;
        Ok(())
    }
}

impl<T> Deref for Task<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Task<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("value", &self.value)
            .field("attempt", &self.attempt())
            .finish()
    }
}

/// A lease that is given back when it is dropped, unless it is over.
pub(super) struct InHand {
    records: Records<QueueStore>,
    lease: Lease,
    is_over: bool,
}

impl InHand {
    pub(super) fn of(records: Records<QueueStore>, lease: Lease) -> InHand {
        InHand { records, lease, is_over: false }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if !self.is_over && self.records.store.reference.world.is_current() {
            // If that fails, as in a signal handler, the task comes back when this process is dead.
            if give_back(&self.records, &self.lease).is_err() {
                self.records.store.reference.world.liveness.be_untidy();
            }
        }
    }
}
