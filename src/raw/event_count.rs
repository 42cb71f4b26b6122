//! The event count: a word on which those sleep who wait for what another word says, the *truth* (a message was put, room
//! was made, a permit is free). Vyukov's event count; folly has one, too.
//!
//! ```text
//! bit 0       WAITERS  someone sleeps, or is about to, or did
//! bits 1..26  count    how many wakes there were
//! bits 26..32 spot     where the last waker ran (a hint, see [`Spot`])
//! ```
//!
//! - A waiter *prepares* (WAITERS on), checks the truth elsewhere, and sleeps on the exact value that it prepared.
//! - A notifier first changes the truth, then loads the word. With WAITERS it raises the count, wakes as many as the change is
//!   for, and leaves WAITERS on. Only if nobody was woken does it clear WAITERS, by CAS from that value, and wakes all once more.
//!   Between count and wake it leaves its spot there, if another one is there, by CAS.
//!
//! # Why no wake is lost
//!
//! The waiter's preparation and the notifier's change are followed by full barriers: either the waiter sees the change, or the
//! notifier sees WAITERS. The count makes every wake a change: whoever prepared before it and has not slept yet does not fall
//! asleep. Waiters that the CAS would strand slept after the wake that found nobody and before the CAS, and the last wake reaches
//! them; those that come later find another value. A cleared bit with an unchanged count would not do: it has an ABA. The count runs
//! over into the spot, which spoils a hint. Who prepared, was held up, and finds the same count again after 2^25 wakes falls asleep
//! all the same; its keeper sees within a second that the truth has moved.
//!
//! The spot is one more change of the word, after the count: whoever prepared before it does not fall asleep either.
//!
//! # If a process dies
//!
//! - The notifier, between its change and its wake: the alarm wakes the sleepers, and they check.
//! - The one that was woken, before it acts: the same.
//! - A notifier that is stopped: the count, or the truth, has moved past what the sleepers saw, and their keepers wake them
//!   within a second.

use crate::liveness::Spot;
use crate::sys::atomic::{AtomicU32, Ordering, fence, fence_after_read_modify_write};
use crate::sys::clock::Deadline;
use crate::sys::{barrier, futex};
use crate::testing::{self, Broken};
use std::time::Duration;

const WAITERS: u32 = 1;
const ONE: u32 = 2;
/// How long to sleep where a notifier may not have passed a barrier.
const UNSURE: Duration = Duration::from_millis(2);

/// The word: WAITERS, the count and the spot. Written by waiters and notifiers.
#[repr(transparent)]
pub(crate) struct EventCount(AtomicU32);

impl EventCount {
    /// Announces a waiter. Gives the value on which to sleep. The caller checks the truth afterwards.
    pub(crate) fn prepare_wait(&self) -> u32 {
        let prepared = self.0.fetch_or(WAITERS, Ordering::SeqCst) | WAITERS;
        // ORDERING(event count): SeqCst, with the barrier in `notify_one`; see the module.
        fence(Ordering::SeqCst);
        prepared
    }

    /// The same where notifiers pass a light barrier only. Gives the value on which to sleep, and until when at most.
    pub(crate) fn prepare_wait_heavy(&self, until: Deadline) -> (u32, Deadline) {
        let prepared = self.prepare_wait();
        // ORDERING(barrier): with the light one between the notifier's change and its load in `has_waiters`.
        let is_sure = barrier::heavy();
        (prepared, if is_sure { until } else { until.earlier(Deadline::after(UNSURE)) })
    }

    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.0
    }

    /// Wakes a waiter if there is one. The caller changed the truth, and then did a read-modify-write on another word.
    #[inline]
    pub(crate) fn notify_one(&self) {
        self.notify(1);
    }

    /// Wakes a waiter if there is one. The caller changed the truth and passed a light barrier, and waiters a heavy one.
    #[inline]
    pub(crate) fn notify_one_lightly(&self) {
        if self.has_waiters() {
            self.notify_slow(1);
        }
    }

    /// Wakes as many waiters as there are, and `most` at most. The caller changed the truth, and then did a read-modify-write on
    /// another word.
    #[inline]
    pub(crate) fn notify(&self, most: u32) {
        // ORDERING(event count): SeqCst, with the barrier in `prepare_wait`.
        fence_after_read_modify_write();
        if self.has_waiters() {
            self.notify_slow(most);
        }
    }

    /// Wakes as many waiters as there are, and `most` at most. The caller found WAITERS after it had changed the truth: with
    /// a full barrier in between, or both under a lock under which waiters check.
    #[cold]
    pub(crate) fn notify_slow(&self, most: u32) {
        if testing::is_broken(Broken::NoWakeOnPut) {
            return;
        }
        let now = self.leave_spot(self.count_up());
        let step = if testing::is_broken(Broken::NotifyWithoutCount) { 0 } else { ONE };
        if futex::wake(&self.0, most) == 0 && self.clear(now, step) {
            futex::wake_all(&self.0);
        }
    }

    fn count_up(&self) -> u32 {
        // Relaxed: the count orders nothing; the kernel compares the word under its own lock.
        self.0.fetch_add(ONE, Ordering::Relaxed).wrapping_add(ONE)
    }

    /// Says where the caller runs, in the word that was `now`; the word as far as the caller knows.
    fn leave_spot(&self, now: u32) -> u32 {
        let with = Spot::here().put_in(now);
        // Relaxed, and in vain if anything has changed: a hint.
        let is_new = with == now
            || self.0.compare_exchange(now, with, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_new { with } else { now }
    }

    /// Takes WAITERS away if nothing has changed since `now`, and counts on by `step`; whether it did.
    fn clear(&self, now: u32, step: u32) -> bool {
        let cleared = now.wrapping_add(step) & !WAITERS;
        self.0.compare_exchange(now, cleared, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Wakes everyone: for what all of them must see.
    pub(crate) fn notify_all(&self) {
        // ORDERING(event count): SeqCst, with the barrier in `prepare_wait`.
        fence(Ordering::SeqCst);
        self.count_up();
        futex::wake_all(&self.0);
    }

    /// Whether someone sleeps, or slept since the last wake that found nobody.
    #[inline]
    pub(crate) fn has_waiters(&self) -> bool {
        self.0.load(Ordering::Relaxed) & WAITERS != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a waiter that prepared the word between a notifier's two steps would still fall asleep on what it prepared, after
    /// another one prepared again.
    fn falls_asleep(step: u32) -> bool {
        let count = EventCount(AtomicU32::new(0));
        count.prepare_wait();
        let now = count.count_up();
        let prepared = count.prepare_wait();
        // The notifier's wake found nobody asleep.
        assert!(count.clear(now, step), "nothing has changed");
        count.prepare_wait();
        count.word().load(Ordering::Relaxed) == prepared
    }

    #[test]
    fn a_cleared_bit_is_counted() {
        assert!(!falls_asleep(ONE));
        assert!(falls_asleep(0), "the ABA that the count is there for");
    }
}
