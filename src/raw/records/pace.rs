//! How takers and putters wait before they sleep.
//!
//! When each message comes just as the taker polls for one, both sides pay two cache lines a message. Then the taker *holds
//! off* for 2 us at the next empty queue, and takes what has gathered meanwhile in one go. If little gathers, it stops holding
//! off for a while. The same goes for a putter at a full queue.
//!
//! Who has polled in vain gives way before it sleeps ([`GiveWay`]): others that want its processor run, and messages gather. If that helps,
//! or if the last waker ran on this processor ([`Spot`]), the next waits give way before they poll; and with the waker on this processor
//! they sleep then, and do not poll at all. Polling is tried now and then.
//!
//! # Measured
//!
//! A prototype went from 11 to 30 million messages a second by holding off. By `benches/queue.rs` on an AMD EPYC with two virtual processors,
//! at a real-time priority beside other programs:
//!
//! | round trip of 64 B | Queue | yardstick | ratio |
//! |---|---|---|---|
//! | both on one processor | 5.2 us | bare futex 6.0 us | 0.87 |
//! | the same, sleeping at once instead of giving way | 7.9 us | 5.9 us | 1.33 |
//! | asleep, from put to got | 17.8 us | bare futex 16.2 us | 1.10 |
//! | awake, line of 64 ns / 306 ns | 338 ns / 1.11 us | Pipe at that time 234 ns / 870 ns | 1.45 / 1.26 |
//! | awake, line of 75 ns, later | 310 to 340 ns | Pipe 170 to 206 ns | 1.8 to 2.0 |
//!
//! Beside 15 busy programs at its own priority, giving way 4 times before each sleep made it 10 ms awake. With the lock of the putters on
//! a line of its own the awake one was slower by a tenth.

use crate::liveness::{GiveWay, Liveness, Off, Rhythm, Spot, WORTH};
use crate::raw::event_count::EventCount;
use crate::sys::atomic::{AtomicU32, Ordering};

/// Polls in the rhythm of messages whether `is_blocked` has ended; after how many polls, if it has.
fn spin(liveness: &Liveness, is_blocked: impl Fn() -> bool) -> Option<u32> {
    let mut spin = liveness.spin(Rhythm::Stream);
    while is_blocked() {
        if !spin.poll() {
            return None;
        }
    }
    Some(spin.polls())
}

/// How a taker waits for messages, or a putter for room.
///
/// Hints of one handle, shared by its threads; nothing depends on them. One that waits for both, as only a handle with both roles
/// does, has one set of them all the same: ends stand in enums of users, which are as large as the largest thing in them.
#[derive(Default)]
pub(super) struct Pace {
    /// Waits in a row that ended at once.
    quick: AtomicU32,
    hold_off: Trial,
    give_way: GiveWay,
    /// How many waits give way, or sleep, before they poll.
    first: AtomicU32,
    /// The event count when polling helped beside it: its spot is out of date.
    apart: AtomicU32,
}

/// Waits in a row that call for holding off.
const QUICK_WAITS: u32 = 4;
/// A wait that took no more than this part of 250 ns was quick.
const QUICK: u32 = 4;
/// How many waits do without polls where giving way has helped, or where whoever is to act is on the same processor: one that polls now
/// and then finds out that this is no longer so.
const OFTEN: u32 = 64;
/// How often to give way before sleeping, where whoever is to act is on another processor.
const TURNS: u32 = 4;

impl Pace {
    /// Waits for some microseconds while `is_blocked`; whether that has ended. `moved` counts the records so far, and the caller
    /// would sleep on `events`.
    pub(super) fn spin(
        &self,
        liveness: &Liveness,
        events: &EventCount,
        moved: u32,
        is_blocked: impl Fn() -> bool,
    ) -> bool {
        if !liveness.pauses().helps() {
            return false;
        }
        let word = events.word().load(Ordering::Relaxed);
        let is_beside = Spot::is_here(word) && self.apart.load(Ordering::Relaxed) != word;
        let first = self.first.load(Ordering::Relaxed);
        if first > 0 {
            if self.give_way.wait(1, moved, &is_blocked) || is_beside {
                self.first.store(first - 1, Ordering::Relaxed);
                return !is_blocked();
            }
            self.first.store(0, Ordering::Relaxed);
        }
        let holds_off = self.quick.load(Ordering::Relaxed) >= QUICK_WAITS;
        let holds_off = holds_off && self.hold_off.is_worth(moved);
        if holds_off {
            // 250 ns times 8.
            liveness.pauses().pause(3);
        }
        // Before the polls: what comes after them keeps the message waiting.
        let quick = (liveness.pauses().shorts_in_quarter() / QUICK).max(1);
        if let Some(polls) = spin(liveness, &is_blocked) {
            if !holds_off {
                self.note(polls <= quick);
            }
            if is_beside {
                self.apart.store(word, Ordering::Relaxed);
            }
            return true;
        }
        self.note(false);
        let has_ended = self.give_way.wait(TURNS, moved, is_blocked);
        if has_ended || is_beside {
            self.first.store(OFTEN, Ordering::Relaxed);
        }
        has_ended
    }

    /// How long a wait took.
    fn note(&self, was_quick: bool) {
        let quick = if was_quick { self.quick.load(Ordering::Relaxed) + 1 } else { 0 };
        self.quick.store(quick, Ordering::Relaxed);
    }
}

/// Letting messages gather: as long as enough of them do.
#[derive(Default)]
struct Trial {
    off: Off,
    /// The count of records at the last trial; 0: none yet.
    tried_at: AtomicU32,
}

impl Trial {
    /// Whether to try it at this count of records.
    fn is_worth(&self, moved: u32) -> bool {
        if self.off.is_off() {
            return false;
        }
        let tried_at = self.tried_at.load(Ordering::Relaxed);
        let is_worth = tried_at == 0 || moved.wrapping_sub(tried_at) >= WORTH;
        if is_worth {
            self.tried_at.store(moved.max(1), Ordering::Relaxed);
            if tried_at != 0 {
                self.off.shorten(0);
            }
        } else {
            self.off.begin();
            self.tried_at.store(0, Ordering::Relaxed);
        }
        is_worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_worth_it_is_tried_more_and_more_seldom() {
        let trial = Trial::default();
        let mut tried = Vec::new();
        for wait in 0..1000 {
            // One message for each wait.
            if trial.is_worth(wait + 1) {
                tried.push(wait);
            }
        }
        assert_eq!(tried, [0, 34, 100, 230, 488]);
    }

    #[test]
    fn what_is_worth_it_goes_on() {
        let trial = Trial::default();
        assert!((1..100).all(|wait| trial.is_worth(wait * WORTH)));
        assert!(!trial.is_worth(99 * WORTH + 1));
        assert!((0..Off::LEAST).all(|_| !trial.is_worth(0)), "off");
        assert!(trial.is_worth(0), "the next one is a new beginning");
        assert!(trial.is_worth(1 + WORTH));
    }
}
