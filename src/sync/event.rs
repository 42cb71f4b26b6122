//! `Event`: a flag that processes wait for, as `multiprocessing.Event`.
//!
//! An object that holds one [`Flag`]. The protocol, and what happens at every death, is described there.

use crate::error::Result;
use crate::handle::{ObjectRef, in_object};
use crate::raw::flag::Flag;
use crate::sys::clock::Deadline;
use crate::sys::shared::Shared;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[repr(C)]
struct EventObject {
    flag: Flag,
}

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for EventObject {}

/// A flag that any process can set and any number can wait for, as Python's `multiprocessing.Event`.
///
/// Handles clone and travel like those of a [`Lock`](crate::Lock). A setter never waits for those it wakes: a waiter that
/// was killed or stopped holds nobody up. If a setter is killed half-way, the event is either set, and everyone is woken, or
/// it is not.
///
/// [`set`](Event::set), [`clear`](Event::clear) and [`is_set`](Event::is_set) may be used in a signal handler. In a process
/// made by a plain `fork`, an inherited handle does nothing, and waiting is an error with
/// [`is_foreign`](crate::Error::is_foreign).
///
/// # Differences from Python
///
/// A waiter that was there when the event was set returns, and reports `true`, even if it was cleared again at once.
///
/// # Examples
///
/// ```
/// use multiproc::{Event, Process};
///
/// fn gate(open: Event) -> multiproc::Result<String> {
///     open.wait()?;
///     Ok("through".to_owned())
/// }
///
/// fn main() -> multiproc::Result<()> {
///     let open = Event::new()?;
///     let child = Process::spawn(gate, (&open,))?;
///     open.set();
///     assert_eq!(child.join()??, "through");
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Event {
    reference: Arc<ObjectRef>,
    object: &'static EventObject,
}

impl Event {
    /// Makes an event that is not set, gone with its last user.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new() -> Result<Event> {
        Event::make()
    }

    /// Sets the event and wakes everyone who waits. Never blocks.
    pub fn set(&self) {
        if self.reference.world.is_current() {
            self.object.flag.set();
        }
    }

    /// Clears the event. Those who waited when it was set return all the same.
    pub fn clear(&self) {
        if self.reference.world.is_current() {
            self.object.flag.clear();
        }
    }

    /// Whether the event is set at this moment.
    pub fn is_set(&self) -> bool {
        self.object.flag.is_set()
    }

    /// Waits until the event is set; returns at once if it is.
    ///
    /// # Errors
    ///
    /// If this thread cannot take part in the shared memory (all slots for threads are taken).
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::NEVER).map(drop)
    }

    /// Waits at most `timeout`; whether the event was set.
    ///
    /// # Errors
    ///
    /// As [`wait`](Event::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        self.wait_until(Deadline::after(timeout))
    }

    /// Waits at most until `deadline`; whether the event was set.
    ///
    /// # Errors
    ///
    /// As [`wait`](Event::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<bool> {
        self.wait_until(Deadline::at(deadline))
    }

    fn wait_until(&self, until: Deadline) -> Result<bool> {
        let flag = &self.object.flag;
        if flag.is_set() {
            return Ok(true);
        }
        let liveness = self.reference.world.liveness;
        liveness.me()?;
        Ok(flag.wait_until(liveness, until))
    }
}

/// What a flag needs of the world. For an event it is in the handle.
impl Flag {
    /// Waits until the flag is set; returns at once if it is. As [`Event::wait`].
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory, or this thread cannot take part in it.
    pub fn wait(&'static self) -> Result<()> {
        self.wait_in_world(Deadline::NEVER).map(drop)
    }

    /// Waits at most `timeout`; whether the flag was set.
    ///
    /// # Errors
    ///
    /// As [`wait`](Flag::wait).
    pub fn wait_timeout(&'static self, timeout: Duration) -> Result<bool> {
        self.wait_in_world(Deadline::after(timeout))
    }

    /// Waits at most until `deadline`; whether the flag was set.
    ///
    /// # Errors
    ///
    /// As [`wait`](Flag::wait).
    pub fn wait_deadline(&'static self, deadline: Instant) -> Result<bool> {
        self.wait_in_world(Deadline::at(deadline))
    }

    fn wait_in_world(&'static self, until: Deadline) -> Result<bool> {
        let liveness = crate::world::world()?.liveness;
        liveness.me()?;
        Ok(self.wait_until(liveness, until))
    }
}

impl core::fmt::Debug for Event {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let flag = &self.object.flag;
        f.debug_struct("Event")
            .field("set", &flag.is_set())
            .field("waiters", &flag.has_waiters())
            .finish()
    }
}

in_object!(Event);
