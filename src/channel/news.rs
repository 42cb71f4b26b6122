//! News: a word to sleep on until something has happened that some word elsewhere tells (a message was put, room was made).
//!
//! ```text
//! bit 0      SLEEPERS  someone sleeps, or is about to, or did
//! bits 1..32 count     how many wakes there were
//! ```
//!
//! - A sleeper *arms* the word (SLEEPERS on), looks at the truth elsewhere, and sleeps on the exact value it armed.
//! - A teller first changes the truth, then looks at the word. With SLEEPERS it raises the count, wakes one, and leaves
//!   SLEEPERS on; only if nobody was woken does it clear SLEEPERS, by CAS from that value, and wakes all once more.
//!
//! # Why no wake is lost
//!
//! Arming and the teller's change are followed by full barriers: either the sleeper sees the change, or the teller sees
//! SLEEPERS. The count makes every wake a change: whoever armed before it and has not slept yet does not fall asleep. Sleepers
//! that the CAS would strand slept after the wake that found nobody and before the CAS, and the last wake reaches them;
//! those that come later find another value. A cleared bit with an unchanged count would not do: it has an ABA.
//!
//! # If a process dies
//!
//! The teller, between its change and its wake; the woken one, before it acts: sleepers are woken by the alarm and look. A
//! stopped one: the count has moved past what sleepers armed, and their keepers wake them within a second.

use crate::sys::atomic::{AtomicU32, Ordering, fence};
use crate::sys::futex;

const SLEEPERS: u32 = 1;
const ONE: u32 = 2;

/// See the module.
#[repr(transparent)]
pub(super) struct News(AtomicU32);

impl News {
    /// Announces a sleeper; the value to sleep on. The caller looks at the truth afterwards.
    pub(super) fn arm(&self) -> u32 {
        let armed = self.0.fetch_or(SLEEPERS, Ordering::SeqCst) | SLEEPERS;
        // ORDERING(news): with the barrier in `tell`; see the module.
        fence(Ordering::SeqCst);
        armed
    }

    pub(super) fn word(&self) -> &AtomicU32 {
        &self.0
    }

    /// Wakes a sleeper if there is one. The caller changed the truth, and then did a read-modify-write on another word.
    #[inline]
    pub(super) fn tell(&self) {
        after_read_modify_write();
        if self.0.load(Ordering::Relaxed) & SLEEPERS != 0 {
            self.wake_one();
        }
    }

    #[cold]
    fn wake_one(&self) {
        let now = self.0.fetch_add(ONE, Ordering::Relaxed).wrapping_add(ONE);
        if futex::wake(&self.0, 1) == 0 {
            let cleared = now.wrapping_add(ONE) & !SLEEPERS;
            if self.0.compare_exchange(now, cleared, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                futex::wake_all(&self.0);
            }
        }
    }

    /// Makes the word differ from what sleepers armed, and wakes nobody yet.
    pub(super) fn change(&self) {
        self.0.fetch_add(ONE, Ordering::SeqCst);
    }

    /// Wakes everyone: for what all of them must see.
    pub(super) fn tell_all(&self) {
        fence(Ordering::SeqCst);
        self.0.fetch_add(ONE, Ordering::Relaxed);
        futex::wake_all(&self.0);
    }

    /// Whether someone sleeps, or slept since the last wake that found nobody.
    pub(super) fn has_sleepers(&self) -> bool {
        self.0.load(Ordering::Relaxed) & SLEEPERS != 0
    }
}

/// A full barrier for code that has just done an atomic read-modify-write.
#[inline]
fn after_read_modify_write() {
    // ORDERING(news): on x86-64 the locked instruction was a full barrier, and only the compiler has to be told.
    if cfg!(target_arch = "x86_64") {
        core::sync::atomic::compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}
