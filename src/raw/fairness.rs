//! Restraint: how a waiter that is passed over again and again gets its turn.
//!
//! Whoever comes by may take what is free before the sleeper that was woken for it (barging): that is what makes locks and
//! semaphores fast. A waiter that has waited for 1 ms *asks* for restraint. Whoever gives back next, and finds that somebody
//! sleeps, *grants* it: a moment, 1 ms ahead. Until then those who have not slept yet leave what is free to the sleepers.
//!
//! The moment counts from the giving back, however long the holder had it. Everybody looks only where somebody sleeps, so it
//! costs nothing otherwise. It is a hint with an end: nothing hangs on it if the asker dies. Handing over by name would lose
//! it to an heir who just died. There is one such word for all who wait: whoever gets its turn ends the restraint, and another
//! one that waits for long asks again. A `try_` form, and a wait whose time is over, take what is free in any case.

use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock;

/// How long a waiter goes without asking for restraint, and how long that lasts, in microseconds.
const LONG: u32 = 1000;
/// Restraint is asked for.
const ASKED: u32 = 1;

/// 0; or [`ASKED`]; or until when newcomers leave what is free to sleepers, in microseconds modulo 2^32.
#[repr(transparent)]
pub(crate) struct Restraint(AtomicU32);

fn now() -> u32 {
    (clock::now() / 1000) as u32
}

impl Restraint {
    /// Asked for by a waiter about to sleep, if it has waited for long since it first came here, when `since` was empty.
    pub(crate) fn ask(&self, since: &mut Option<u32>) {
        let now = now();
        if now.wrapping_sub(*since.get_or_insert(now)) > LONG && !self.is_granted() {
            // Relaxed, as all here: a hint that orders nothing.
            self.0.store(ASKED, Ordering::Relaxed);
        }
    }

    /// Granted by who gives back to sleepers, if it is asked for.
    #[inline]
    pub(crate) fn grant(&self) {
        if self.0.load(Ordering::Relaxed) == ASKED {
            // Two at least: neither nothing nor asked for.
            self.0.store(now().wrapping_add(LONG).max(ASKED + 1), Ordering::Relaxed);
        }
    }

    /// Whether newcomers should leave what is free to a sleeper.
    pub(crate) fn is_granted(&self) -> bool {
        let until = self.0.load(Ordering::Relaxed);
        until > ASKED && until.wrapping_sub(now()) <= LONG
    }

    /// A waiter got what it waited for.
    pub(crate) fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
