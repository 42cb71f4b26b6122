//! The short lock, for short sections: one locked instruction takes it, and a plain store gives it back.
//!
//! For records of which each section leaves the truth whole at every step; the [`RobustLock`] is for the rest. Nothing keeps
//! newcomers from taking it before those who wait.
//!
//! # Layout
//!
//! ```text
//! 0  4  word     0 while the lock is free, else the id of the thread that holds it       THE TRUTH
//! 4  4  waiters  not 0: somebody sleeps, or did (a hint)
//! ```
//!
//! | word from | to | by |
//! |---|---|---|
//! | 0 | me | a locker (CAS) |
//! | me | 0 | the holder (store) |
//! | dead | me | whoever adopts (CAS from the exact value) |
//!
//! While a live thread holds the lock, nobody else writes the word. So the holder stores over it without a check, which is
//! half of what a lock costs.
//!
//! # Waiting
//!
//! A locker that finds it taken polls some times more, says so in `waiters`, and sleeps on the word. The holder, after its
//! store, checks `waiters` and wakes one. It clears `waiters` before that, and puts it back if there was one, as there may be
//! more. This is no proof against a lost wake:
//!
//! - nothing orders the holder's check after its store, so the locker may have seen the lock still taken (but the kernel checks
//!   the word once more before it lets the locker sleep, some hundred times later than a store needs to be seen);
//! - the word may have the same holder again by then;
//! - `waiters` may be said between the holder's two steps, and cleared for nobody.
//!
//! So nobody sleeps for longer than a nap, of 1 ms at first. Naps that run out double, up to 50 ms: then the lock is held by
//! who is stopped, or gets no processor.
//!
//! # If a process dies
//!
//! - Holding: the word names a dead thread, and whoever finds that takes it over. Sleepers are woken by the alarm.
//! - After its store, before its wake: sleepers are woken by the alarm, or by their naps.
//! - Asleep, or woken: `waiters` stays; the next holder wakes another one.
//!
//! [`RobustLock`]: crate::raw::lock::RobustLock

use crate::error::Result;
use crate::liveness::{Id, Liveness, Rhythm, Wait};
use crate::raw::lock::Outcome;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::{futex, thread};
use std::time::Duration;

/// How often a thread without an id tries on against another one of its process: about 100 ms, in which it is not stopped.
const ATTEMPTS: u32 = 1_300;
/// The first nap and the longest.
const NAPS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// A lock in shared memory.
#[derive(Default)]
#[repr(C)]
pub(crate) struct ShortLock {
    /// The holder's id; 0: free. The truth. Written by lockers and the holder.
    word: AtomicU32,
    /// Not 0: somebody sleeps, or did (hint). Written by waiters and the holder.
    waiters: AtomicU32,
}

impl ShortLock {
    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self, me: Id) -> bool {
        // ORDERING(lock): Acquire, pairs with the Release in `unlock`.
        // ORDERING(owner): Release, pairs with the Acquire in `lock_contended`: whoever reads this id finds its slot taken.
        self.word.compare_exchange(0, me.to_bits(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes the lock, waiting until `until`. From a dead holder it is taken in silence, as [`Outcome::Adopted`].
    #[cold]
    pub(crate) fn lock_contended(
        &'static self,
        me: Id,
        liveness: &Liveness,
        until: Deadline,
    ) -> Outcome {
        let word = &self.word;
        let mut spin = liveness.spin(Rhythm::Section);
        let mut nap = NAPS[0];
        loop {
            // ORDERING(owner): Acquire, pairs with the Release in `try_lock` of whoever took the lock.
            let now = word.load(Ordering::Acquire);
            // No id at all is what only scribbling leaves: taken like a free one.
            let owner = Id::from_bits(now);
            if owner == Some(me) {
                return Outcome::Deadlock;
            }
            let is_dead = || owner.is_some_and(|owner| liveness.registry.is_dead(owner));
            if owner.is_none() || is_dead() {
                let mine = me.to_bits();
                // ORDERING(lock): Acquire, as in `try_lock`; a dead owner's stores come before its mark, which `is_dead` loaded.
                // ORDERING(owner): Release, as in `try_lock`.
                match word.compare_exchange(now, mine, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) if owner.is_some() => return Outcome::Adopted(owner),
                    Ok(_) => return Outcome::Locked,
                    Err(_) => continue,
                }
            }
            if until.is_over() {
                return Outcome::TimedOut;
            }
            if spin.poll() {
                continue;
            }
            self.waiters.store(1, Ordering::Relaxed);
            let end = Deadline::after(nap);
            liveness.sleep(word, now, until.earlier(end), Wait::Baton, || !is_dead());
            nap = if end.is_over() { (nap * 2).min(NAPS[1]) } else { NAPS[0] };
        }
    }

    /// Gives the lock back. The caller holds it.
    #[inline]
    pub(crate) fn unlock(&self) {
        // ORDERING(lock): Release, pairs with the Acquire of the next locker.
        self.word.store(0, Ordering::Release);
        if self.waiters.load(Ordering::Relaxed) != 0 {
            self.wake_contended();
        }
    }

    #[cold]
    fn wake_contended(&self) {
        // Whoever has it by now will see `waiters`, too.
        if self.word.load(Ordering::Relaxed) == 0 {
            self.waiters.store(0, Ordering::Relaxed);
            if futex::wake(&self.word, 1) != 0 {
                self.waiters.store(1, Ordering::Relaxed);
            }
        }
    }
}

/// Takes a lock by `lock` for what must be done and cannot fail; whether it has it. It has not in a forked child, and in a signal
/// handler that interrupted its own thread under the lock.
#[cold]
pub(crate) fn lock_surely(
    liveness: &'static Liveness,
    mut lock: impl FnMut(Id) -> Result<()>,
) -> bool {
    if !liveness.is_current() {
        return false;
    }
    // A thread for which there is no slot any more does it in the name of its process. (Should that be killed just then,
    // its keeper's word may be marked some instructions before this thread ends: the one hole in "a live holder".)
    let process = liveness.this_process();
    let me = liveness.me().unwrap_or(process);
    let mut attempts = 0;
    while let Err(error) = lock(me) {
        if error.is_deadlock() {
            // In the name of its process: perhaps another such thread has it, for a moment.
            attempts += 1;
            if me != process || attempts > ATTEMPTS {
                return false;
            }
        }
        thread::nap();
    }
    true
}
