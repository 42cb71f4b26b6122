//! Restraint: how a waiter that is passed over again and again gets its turn.
//!
//! Whoever comes by may take what is free before the sleeper that was woken for it (barging): that is what makes locks and
//! semaphores fast. A waiter that has waited for 1 ms asks for restraint: it stores a moment, 1 ms ahead. Until then those who
//! have not slept yet leave what is free to the sleepers. They look only where somebody sleeps, so it costs nothing otherwise.
//! It is a hint with an end: nothing hangs on it if the asker dies. Handing over by name would lose it to an heir who just died.

use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock;

/// How long a waiter goes without asking for restraint, and how long that lasts, in microseconds.
const PATIENCE: u32 = 1000;

/// Until when newcomers are asked to leave what is free to sleepers, in microseconds modulo 2^32; 0: not.
#[repr(transparent)]
pub(crate) struct Restraint(AtomicU32);

/// A moment; never 0.
fn now() -> u32 {
    (clock::now() / 1000) as u32 | 1
}

impl Restraint {
    /// Whether newcomers should leave what is free to a sleeper.
    pub(crate) fn is_asked_for(&self) -> bool {
        // Relaxed, as all here: a hint that orders nothing.
        let until = self.0.load(Ordering::Relaxed);
        until != 0 && until.wrapping_sub(now()).wrapping_sub(1) < 2 * PATIENCE
    }

    /// Asked for by a waiter about to sleep, if it has waited for long since it first came here, when `since` was empty.
    pub(crate) fn ask(&self, since: &mut Option<u32>) {
        let now = now();
        if now.wrapping_sub(*since.get_or_insert(now)) > PATIENCE {
            self.0.store(now.wrapping_add(PATIENCE) | 1, Ordering::Relaxed);
        }
    }

    /// A waiter got what it waited for.
    pub(crate) fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
