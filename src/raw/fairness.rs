//! Fairness: how a waiter that is passed over again and again gets its turn.
//!
//! Whoever comes by may take what is free before the sleeper that was woken for it (*barging*). That is what makes locks and
//! semaphores fast. A waiter that has waited for 1 ms *requests* its turn. Whoever gives back next, and finds that somebody
//! sleeps, *opens* the turn: until a moment 1 ms ahead, those who have not slept yet leave what is free to the sleepers. A waiter
//! that got what it waited for *closes* the turn.
//!
//! The moment counts from the giving back, however long the holder had it. Everybody checks only where somebody sleeps, so it
//! costs nothing otherwise. The turn is a hint with an end: nothing hangs on it if the requester dies. Handing over by name would
//! lose it to an heir who just died. There is one such word for all who wait; another one that waits for long requests again.
//! A `try_` form, and a wait whose time is over, take what is free in any case.

use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock;

/// How long a waiter waits before it requests its turn, and how long a turn stays open, in microseconds.
const LONG: u32 = 1000;
/// Nobody asks.
const CLOSED: u32 = 0;
/// A turn is requested. A larger value is the moment until which the turn is open, in microseconds modulo 2^32.
const REQUESTED: u32 = 1;

/// [`CLOSED`], [`REQUESTED`], or until when newcomers leave what is free to sleepers.
#[repr(transparent)]
pub(crate) struct Fairness(AtomicU32);

fn now() -> u32 {
    (clock::now() / 1000) as u32
}

impl Fairness {
    /// Opens the turn, if one is requested. For whoever gives back to sleepers.
    #[inline]
    pub(crate) fn open(&self) {
        // Relaxed, as all here: a hint that orders nothing.
        if self.0.load(Ordering::Relaxed) == REQUESTED {
            self.0.store(now().wrapping_add(LONG).max(REQUESTED + 1), Ordering::Relaxed);
        }
    }

    /// Whether newcomers should leave what is free to a sleeper.
    pub(crate) fn is_open(&self) -> bool {
        let until = self.0.load(Ordering::Relaxed);
        until > REQUESTED && until.wrapping_sub(now()) <= LONG
    }
}

/// One wait: since when.
pub(crate) struct Patience {
    since: Option<u32>,
}

impl Patience {
    /// A newcomer that has not slept yet.
    pub(crate) fn new() -> Patience {
        Patience { since: None }
    }

    /// Whether it has slept, or was about to.
    pub(crate) fn has_waited(&self) -> bool {
        self.since.is_some()
    }

    /// About to sleep: requests a turn if it has waited for long.
    pub(crate) fn request(&mut self, fairness: &Fairness) {
        let now = now();
        if now.wrapping_sub(*self.since.get_or_insert(now)) > LONG && !fairness.is_open() {
            fairness.0.store(REQUESTED, Ordering::Relaxed);
        }
    }

    /// Got what it waited for: closes the turn.
    pub(crate) fn end(&self, fairness: &Fairness) {
        if self.has_waited() {
            fairness.0.store(CLOSED, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long_ago() -> Patience {
        Patience { since: Some(now().wrapping_sub(2 * LONG)) }
    }

    fn state(fairness: &Fairness) -> u32 {
        fairness.0.load(Ordering::Relaxed)
    }

    #[test]
    fn only_who_has_waited_for_long_requests() {
        let fairness = Fairness(AtomicU32::new(CLOSED));
        let mut patience = Patience::new();
        assert!(!patience.has_waited());
        patience.request(&fairness);
        assert!(patience.has_waited());
        assert_eq!(state(&fairness), CLOSED, "it has waited for a moment");
        long_ago().request(&fairness);
        assert_eq!(state(&fairness), REQUESTED);
        assert!(!fairness.is_open(), "nobody has given back yet");
    }

    #[test]
    fn a_turn_that_nobody_requested_is_not_opened() {
        let fairness = Fairness(AtomicU32::new(CLOSED));
        fairness.open();
        assert_eq!(state(&fairness), CLOSED);
        assert!(!fairness.is_open());
    }

    #[test]
    fn a_requested_turn_is_open_for_a_while() {
        let fairness = Fairness(AtomicU32::new(REQUESTED));
        let before = now();
        fairness.open();
        let ahead = state(&fairness).wrapping_sub(before);
        assert!(ahead >= LONG && state(&fairness) > REQUESTED, "{ahead} us ahead");
        // This thread may be kept from its processor for longer than a turn lasts.
        let is_open = || {
            fairness.0.store(now().wrapping_add(LONG).max(REQUESTED + 1), Ordering::Relaxed);
            fairness.is_open()
        };
        assert!((0..1000).any(|_| is_open()));
        // One that is open is not requested again.
        let requests = || {
            is_open();
            long_ago().request(&fairness);
            state(&fairness) == REQUESTED
        };
        assert!((0..1000).any(|_| !requests()));
        fairness.0.store(now().wrapping_sub(1).max(REQUESTED + 1), Ordering::Relaxed);
        assert!(!fairness.is_open(), "its end has come");
    }

    #[test]
    fn whoever_has_waited_closes_the_turn() {
        let fairness = Fairness(AtomicU32::new(REQUESTED));
        Patience::new().end(&fairness);
        assert_eq!(state(&fairness), REQUESTED, "a newcomer has taken what was free");
        long_ago().end(&fairness);
        assert_eq!(state(&fairness), CLOSED);
    }
}
