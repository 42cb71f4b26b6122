//! `Event`: a flag that processes wait for, as `multiprocessing.Event`.
//!
//! # The word
//!
//! ```text
//! bit 0      SET
//! bit 1      SLEEPERS  someone sleeps, or is about to
//! bits 2..32 count     how often it was set
//! ```
//!
//! - `set`: CAS to SET, count + 1, SLEEPERS cleared; if SLEEPERS was there, wake all. A set event stays as it is.
//! - `clear`: SET off, everything else kept.
//! - `wait`: done if SET, or if the count differs from that at the start (it was set and cleared meanwhile). Else SLEEPERS
//!   on, by CAS, and sleep on the exact value.
//!
//! No wake is lost: a sleeper sleeps on a value with SLEEPERS and the old count; `set` changes the count before it wakes, so
//! whoever comes later does not fall asleep.
//!
//! # If a process dies
//!
//! - In `set`, before the CAS: nothing happened. After it, before the wake: the alarm wakes the sleepers, who find SET.
//! - In `wait`: SLEEPERS may stay without a sleeper; the next `set` then wakes nobody, once.
//!
//! If the setter is stopped between the two, its sleepers' keepers see the changed word within a second.
//!
//! `set`, `clear` and `is_set` are atomics and one system call: they can be used in a signal handler.

use crate::error::Result;
use crate::sync::forms::in_cell;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::futex;
use crate::world::Shared;
use crate::world::handle::CellRef;
use crate::world::wait::Wait;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SET: u32 = 1;
const SLEEPERS: u32 = 2;
const COUNT: u32 = !(SET | SLEEPERS);
const ONE: u32 = 4;
/// Looks before sleeping, about 5 us.
const LOOKS: u32 = 28;

#[repr(C)]
struct EventCell {
    word: AtomicU32,
}

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for EventCell {}

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
/// fn gate(open: Event) -> multiproc::Result<&'static str> {
///     open.wait()?;
///     Ok("through")
/// }
/// # fn owned(open: Event) -> multiproc::Result<String> { gate(open).map(String::from) }
/// # let gate = owned;
///
/// let open = Event::new()?;
/// let child = Process::spawn(gate, (&open,))?;
/// open.set();
/// assert_eq!(child.join()??, "through");
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct Event {
    reference: Arc<CellRef>,
    cell: &'static EventCell,
}

impl Event {
    /// Makes an event that is not set, gone with its last user.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new() -> Result<Event> {
        Event::create()
    }

    /// Sets the event and wakes everyone who waits. Never blocks.
    pub fn set(&self) {
        if !self.reference.world.is_current() {
            return;
        }
        let word = &self.cell.word;
        let mut now = word.load(Ordering::Relaxed);
        while now & SET == 0 {
            let next = (now & COUNT).wrapping_add(ONE) | SET;
            // ORDERING(event): Release, pairs with the Acquire in `wait_until` and `is_set`.
            match word.compare_exchange_weak(now, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => {
                    if now & SLEEPERS != 0 {
                        futex::wake_all(word);
                    }
                    return;
                }
                Err(changed) => now = changed,
            }
        }
        // Already set: what the caller did before must still reach those who come to see it.
        // ORDERING(event): Release, as above, by a write that changes nothing.
        word.fetch_or(0, Ordering::Release);
    }

    /// Clears the event. Those who waited when it was set return all the same.
    pub fn clear(&self) {
        if !self.reference.world.is_current() {
            return;
        }
        self.cell.word.fetch_and(!SET, Ordering::AcqRel);
    }

    /// Whether the event is set at this moment.
    pub fn is_set(&self) -> bool {
        // ORDERING(event): Acquire, pairs with the Release in `set`.
        self.cell.word.load(Ordering::Acquire) & SET != 0
    }

    /// Waits until the event is set; returns at once if it is.
    ///
    /// # Errors
    ///
    /// If this thread cannot take part in the shared memory (all places for threads are taken).
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
        let word = &self.cell.word;
        // ORDERING(event): Acquire here and below, pairs with the Release in `set`.
        let start = word.load(Ordering::Acquire);
        if start & SET != 0 {
            return Ok(true);
        }
        let world = self.reference.world;
        world.me()?;
        let mut looks = if world.spins() { 0 } else { LOOKS };
        loop {
            let now = word.load(Ordering::Acquire);
            if now & SET != 0 || now & COUNT != start & COUNT {
                return Ok(true);
            }
            if until.is_over() {
                return Ok(false);
            }
            if looks < LOOKS {
                world.pause_for_news(looks);
                looks += 1;
                continue;
            }
            let asleep = now | SLEEPERS;
            if now == asleep
                || word.compare_exchange(now, asleep, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                world.sleep(word, asleep, until, Wait::News(None), || {
                    word.load(Ordering::Relaxed) == asleep
                });
            }
        }
    }
}

impl core::fmt::Debug for Event {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let word = self.cell.word.load(Ordering::Relaxed);
        f.debug_struct("Event")
            .field("set", &(word & SET != 0))
            .field("waiters", &(word & SLEEPERS != 0))
            .finish()
    }
}

in_cell!(Event);
