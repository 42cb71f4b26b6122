//! The flag: what an event is.
//!
//! # The word
//!
//! ```text
//! bit 0       SET
//! bit 1       WAITERS  someone sleeps, or is about to
//! bits 2..26  count    how often it was set
//! bits 26..32 spot     where the last one ran that woke somebody (a hint, see [`Spot`])
//! ```
//!
//! - *Set*: CAS to SET, count + 1, WAITERS cleared, and the setter's spot if WAITERS was there: then it wakes all. A set flag stays as
//!   it is, which a write says that changes nothing; if somebody cleared the flag before that write, it is set anew.
//! - *Clear*: SET off, everything else kept.
//! - *Wait*: done if SET, or if the count differs from that at the start: the flag was set and cleared meanwhile. Else WAITERS on,
//!   by CAS, and sleep on the exact value.
//!
//! No wake is lost: a sleeper sleeps on a value with WAITERS and the old count. A setter changes the count before it wakes, so
//! whoever comes later does not fall asleep.
//!
//! # If a process dies
//!
//! - In *set*, before the CAS: nothing happened. After it, before the wake: the alarm wakes the sleepers, who find SET.
//! - In *wait*: WAITERS may stay without a sleeper; the next setter then wakes nobody, once.
//!
//! If the setter is stopped between the two, its sleepers' keepers see the changed word within a second.
//!
//! *Set*, *clear* and *is set* are atomics and one system call: they can be used in a signal handler.

use crate::error::Result;
use crate::liveness::{Liveness, Rhythm, Spot, Wait};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::{futex, shared};

const SET: u32 = 1;
const WAITERS: u32 = 2;
const COUNT: u32 = !(SET | WAITERS | Spot::MASK);
const ONE: u32 = 4;

/// The word as read at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u32);

impl State {
    fn is_set(self) -> bool {
        self.0 & SET != 0
    }

    fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    /// The same with a waiter.
    fn with_waiters(self) -> State {
        State(self.0 | WAITERS)
    }

    /// Set once more, without waiters. With a spot only if there were any: asking for it costs more than the rest.
    fn set(self) -> State {
        let counted = (self.0 & COUNT).wrapping_add(ONE) & COUNT;
        let next = counted | self.0 & Spot::MASK | SET;
        State(if self.has_waiters() { Spot::here().put_in(next) } else { next })
    }

    /// Whether the flag was set since `before`.
    fn was_set_since(self, before: State) -> bool {
        self.is_set() || self.0 & COUNT != before.0 & COUNT
    }
}

/// A flag in shared memory, which any process can set and any number can wait for: what an [`Event`](crate::Event) is, in one word. See
/// [the module](crate::raw) for what the memory must be like. Zero is a flag that is not set.
///
/// [`set`](Flag::set), [`clear`](Flag::clear) and [`is_set`](Flag::is_set) may be used in a signal handler.
#[repr(transparent)]
pub struct Flag(AtomicU32);

impl Flag {
    /// The flag at a place in shared memory.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) if the place is null or not aligned to 4 bytes.
    ///
    /// # Safety
    ///
    /// The 4 bytes from `place` on are as [the module](crate::raw) says.
    #[allow(unsafe_code, reason = "a word at an address that the caller knows")]
    pub unsafe fn at(place: *mut u8) -> Result<&'static Flag> {
        shared::check_place(place, align_of::<Flag>())?;
        // SAFETY: not null, aligned, and mapped as long as the process uses it, as the caller promises; any bits are a value.
        Ok(unsafe { &*place.cast::<Flag>() })
    }

    fn load(&self) -> State {
        // ORDERING(flag): Acquire, pairs with the Release in `set`.
        State(self.0.load(Ordering::Acquire))
    }

    /// Sets the flag and wakes everyone who waits.
    pub fn set(&self) {
        let mut now = State(self.0.load(Ordering::Relaxed));
        loop {
            if now.is_set() {
                // What the caller did before must still reach those who come to see it.
                // ORDERING(flag): Release, as below, by a write that changes nothing. Whoever clears later sees it; whoever cleared
                // since the look before may not have, and the flag is set anew.
                now = State(self.0.fetch_or(0, Ordering::Release));
                if now.is_set() {
                    return;
                }
            }
            let next = now.set();
            // ORDERING(flag): Release, pairs with the Acquire in `load`.
            match self.0.compare_exchange_weak(now.0, next.0, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => {
                    if now.has_waiters() {
                        futex::wake_all(&self.0);
                    }
                    return;
                }
                Err(changed) => now = State(changed),
            }
        }
    }

    /// Clears the flag. Those who waited when it was set return all the same.
    pub fn clear(&self) {
        // ORDERING(flag): AcqRel: whoever clears has seen what the setter did, and passes it on.
        self.0.fetch_and(!SET, Ordering::AcqRel);
    }

    /// Whether the flag is set at this moment.
    pub fn is_set(&self) -> bool {
        self.load().is_set()
    }

    /// Whether someone sleeps, or slept since the flag was last set.
    pub(crate) fn has_waiters(&self) -> bool {
        State(self.0.load(Ordering::Relaxed)).has_waiters()
    }

    /// Waits until the flag is set or the time is over; whether it was set. The calling thread has an id.
    pub(crate) fn wait_until(&'static self, liveness: &Liveness, until: Deadline) -> bool {
        let start = self.load();
        let mut spin = liveness.spin_for(start.0, Rhythm::Signal);
        loop {
            let now = self.load();
            if now.was_set_since(start) {
                return true;
            }
            if until.is_over() {
                return false;
            }
            if spin.poll() {
                continue;
            }
            let asleep = now.with_waiters();
            if now == asleep || self.announce(now, asleep) {
                liveness.sleep(&self.0, asleep.0, until, Wait::Change([None; 2]), || {
                    self.0.load(Ordering::Relaxed) == asleep.0
                });
            }
        }
    }

    fn announce(&self, now: State, asleep: State) -> bool {
        self.0.compare_exchange(now.0, asleep.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl core::fmt::Debug for Flag {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Flag")
            .field("set", &self.is_set())
            .field("waiters", &self.has_waiters())
            .finish()
    }
}
