//! How takers and putters wait before they sleep.
//!
//! When each message comes just as the taker polls for one, both sides pay two cache lines a message. Then the taker *holds
//! off* for 2 us at the next empty queue, and takes what has gathered meanwhile in one go. If little gathers, it stops holding
//! off for a while. The same goes for a putter at a full queue.
//!
//! Where polling was in vain several times in a row, also because the other side had this very processor, it is tried only now
//! and then, and longer: one that sleeps takes its time to wake up and answer, and both sides would go on sleeping for each other
//! for ever. In between whoever waits gives the processor away once, perhaps to the other side, and sleeps.
//!
//! # Measured
//!
//! A prototype went from 11 to 30 million messages a second by holding off.

use crate::liveness::{Liveness, Rhythm};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::thread;

/// What ended a wait.
struct Ended {
    /// After so many polls.
    polls: u32,
    /// Not the polling, but that the processor was given away.
    by_yielding: bool,
}

/// Polls in the rhythm of messages whether `is_blocked` has ended; what ended it, if it has.
fn spin(liveness: &Liveness, is_blocked: impl Fn() -> bool) -> Option<Ended> {
    let mut spin = liveness.spin(Rhythm::Stream);
    while is_blocked() {
        if !spin.poll() {
            return None;
        }
    }
    Some(Ended { polls: spin.polls(), by_yielding: spin.has_yielded() })
}

/// How a taker waits for messages, or a putter for room.
///
/// Hints of one handle, shared by its threads; nothing depends on them.
#[derive(Default)]
pub(super) struct Pace {
    /// Waits in a row that ended at once.
    quick: AtomicU32,
    /// Waits for which holding off is off.
    forbidden: AtomicU32,
    /// The count of records taken or put when it last held off.
    held_at: AtomicU32,
    /// Waits in a row that polled in vain, or did not poll for that.
    vain: AtomicU32,
}

/// After so many waits in vain polling is tried only now and then; how seldom, and how much longer.
const VAIN: u32 = 8;
const SELDOM: u32 = 8;
const LONGER: u32 = 4;

/// Waits in a row that call for holding off.
const QUICK_WAITS: u32 = 4;
/// A wait that took no more than this part of 250 ns was quick.
const QUICK: u32 = 4;
/// Fewer messages after holding off are not worth it.
const WORTH: u32 = 4;
/// For how many waits it is off then.
const FORBIDDEN: u32 = 32;

impl Pace {
    /// Waits for some microseconds while `is_blocked`; whether that has ended. `moved` counts the records so far.
    pub(super) fn spin(
        &self,
        liveness: &Liveness,
        moved: u32,
        is_blocked: impl Fn() -> bool,
    ) -> bool {
        if !liveness.pauses().helps() {
            return false;
        }
        let forbidden = self.forbidden.load(Ordering::Relaxed);
        if forbidden > 0 {
            self.forbidden.store(forbidden - 1, Ordering::Relaxed);
        } else if self.quick.load(Ordering::Relaxed) >= QUICK_WAITS {
            let held_at = self.held_at.load(Ordering::Relaxed);
            if held_at != 0 && moved.wrapping_sub(held_at) < WORTH {
                self.forbidden.store(FORBIDDEN, Ordering::Relaxed);
                self.quick.store(0, Ordering::Relaxed);
            } else {
                // 250 ns times 8.
                liveness.pauses().pause(3);
            }
            self.held_at.store(moved.max(1), Ordering::Relaxed);
            return spin(liveness, is_blocked).is_some();
        }
        self.held_at.store(0, Ordering::Relaxed);
        let vain = self.vain.load(Ordering::Relaxed);
        let is_seldom = vain >= VAIN;
        // Back to a multiple of SELDOM before it overflows.
        self.vain.store(if vain > u32::MAX / 2 { VAIN } else { vain + 1 }, Ordering::Relaxed);
        if is_seldom && !vain.is_multiple_of(SELDOM) {
            // Once: whoever wants this processor may be the other side.
            thread::yield_now();
            return !is_blocked();
        }
        let mut rounds = 0..if is_seldom { LONGER } else { 1 };
        match rounds.find_map(|_| spin(liveness, &is_blocked)) {
            Some(Ended { polls, by_yielding }) => {
                if !by_yielding {
                    self.vain.store(0, Ordering::Relaxed);
                }
                let quick = if polls <= (liveness.pauses().shorts_in_quarter() / QUICK).max(1) {
                    self.quick.load(Ordering::Relaxed) + 1
                } else {
                    0
                };
                self.quick.store(quick, Ordering::Relaxed);
                true
            }
            None => {
                self.quick.store(0, Ordering::Relaxed);
                false
            }
        }
    }
}
