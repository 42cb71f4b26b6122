//! News: a word to sleep on until something has happened that some word elsewhere tells (a message was put, room was made,
//! a permit is free).
//!
//! ```text
//! bit 0      SLEEPERS  someone sleeps, or is about to, or did
//! bits 1..32 count     how many wakes there were
//! ```
//!
//! - A sleeper *arms* the word (SLEEPERS on), looks at the truth elsewhere, and sleeps on the exact value it armed.
//! - A teller first changes the truth, then looks at the word. With SLEEPERS it raises the count, wakes as many as
//!   the change is for, and leaves SLEEPERS on; only if nobody was woken does it clear SLEEPERS, by CAS from that value, and
//!   wakes all once more.
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
use crate::testing::{self, Broken};

const SLEEPERS: u32 = 1;
const ONE: u32 = 2;

/// See the module.
#[repr(transparent)]
pub(crate) struct News(AtomicU32);

impl News {
    /// Announces a sleeper; the value to sleep on. The caller looks at the truth afterwards.
    pub(crate) fn arm(&self) -> u32 {
        let armed = self.0.fetch_or(SLEEPERS, Ordering::SeqCst) | SLEEPERS;
        // ORDERING(news): with the barrier in `tell`; see the module.
        fence(Ordering::SeqCst);
        armed
    }

    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.0
    }

    /// Wakes a sleeper if there is one. The caller changed the truth, and then did a read-modify-write on another word.
    #[inline]
    pub(crate) fn tell(&self) {
        after_read_modify_write();
        if self.has_sleepers() {
            self.wake(1);
        }
    }

    /// Wakes as many sleepers as there are, and `count` at most. The caller found SLEEPERS after it had changed the truth: with
    /// a full barrier in between, or both under a lock under which sleepers look.
    #[cold]
    pub(crate) fn wake(&self, count: u32) {
        let now = self.count_up();
        let step = if testing::is_broken(Broken::NewsWithoutCount) { 0 } else { ONE };
        if futex::wake(&self.0, count) == 0 && self.clear(now, step) {
            futex::wake_all(&self.0);
        }
    }

    fn count_up(&self) -> u32 {
        self.0.fetch_add(ONE, Ordering::Relaxed).wrapping_add(ONE)
    }

    /// Takes SLEEPERS away if nothing has changed since `now`, and counts on by `step`; whether it did.
    fn clear(&self, now: u32, step: u32) -> bool {
        let cleared = now.wrapping_add(step) & !SLEEPERS;
        self.0.compare_exchange(now, cleared, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Makes the word differ from what sleepers armed, and wakes nobody yet.
    pub(crate) fn change(&self) {
        self.0.fetch_add(ONE, Ordering::SeqCst);
    }

    /// Wakes everyone: for what all of them must see.
    pub(crate) fn tell_all(&self) {
        fence(Ordering::SeqCst);
        self.0.fetch_add(ONE, Ordering::Relaxed);
        futex::wake_all(&self.0);
    }

    /// Whether someone sleeps, or slept since the last wake that found nobody.
    #[inline]
    pub(crate) fn has_sleepers(&self) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a sleeper that armed the word between a teller's two steps would still fall asleep on what it armed, after
    /// another one armed the word again.
    fn falls_asleep(step: u32) -> bool {
        let news = News(AtomicU32::new(0));
        news.arm();
        let now = news.count_up();
        let armed = news.arm();
        // The teller's wake found nobody asleep.
        assert!(news.clear(now, step), "nothing has changed");
        news.arm();
        news.word().load(Ordering::Relaxed) == armed
    }

    #[test]
    fn a_cleared_bit_is_counted() {
        assert!(!falls_asleep(ONE));
        assert!(falls_asleep(0), "the ABA that the count is there for");
    }
}
