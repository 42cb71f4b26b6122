//! A lock for a few instructions: one locked instruction takes it, and a plain store gives it back.
//!
//! For records of which each section is short and leaves the truth whole at every step; the [`WordLock`] is for the rest.
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
//! While a live thread holds the lock, nobody else writes the word. So the holder stores over it without looking, which is
//! half of what a lock costs.
//!
//! # Waiting
//!
//! A locker that finds it taken looks some times more, says so in `waiters`, and sleeps on the word; the holder, after its
//! store, looks at `waiters` and wakes one. Nothing orders that look after the store: it may come too early, and the locker
//! may have seen the lock still taken. The kernel looks at the word once more before it lets the locker sleep, which is some
//! hundred times later than a store needs to be seen. But that is no proof; so nobody sleeps for longer than a nap, of 1 ms
//! at first, and doubling up to 50 ms while the same thread has the lock.
//!
//! # If a process dies
//!
//! - Holding: the word names a dead thread, and whoever finds that takes it over. Sleepers are woken by the alarm.
//! - After its store, before its wake: sleepers are woken by the alarm, or by their naps.
//! - Asleep, or woken: `waiters` stays; the next holder wakes another one.
//!
//! [`WordLock`]: crate::world::word_lock::WordLock

use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::futex;
use crate::world::World;
use crate::world::registry::Id;
use crate::world::wait::Wait;
use crate::world::word_lock::Outcome;
use std::time::Duration;

/// How often a locker looks at a held lock before it sleeps, about 250 ns apart.
const LOOKS: u32 = 8;
/// The first nap and the longest.
const NAPS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// A lock in shared memory.
#[repr(C)]
pub(crate) struct BriefLock {
    word: AtomicU32,
    waiters: AtomicU32,
}

impl BriefLock {
    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self, me: Id) -> bool {
        // ORDERING(lock): Acquire, pairs with the Release in `unlock`.
        self.word.compare_exchange(0, me.to_bits(), Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes the lock, waiting until `until`; from a dead holder in silence, as [`Outcome::Adopted`].
    #[cold]
    pub(crate) fn lock(&'static self, me: Id, world: &World, until: Deadline) -> Outcome {
        let word = &self.word;
        let mut looks = if world.spins() { 0 } else { LOOKS };
        let mut last = (None, NAPS[0]);
        loop {
            let now = word.load(Ordering::Relaxed);
            // No id at all is what only scribbling leaves: taken like a free one.
            let owner = Id::from_bits(now);
            if owner == Some(me) {
                return Outcome::Deadlock;
            }
            let is_dead = || owner.is_some_and(|owner| world.registry.is_dead(owner));
            if owner.is_none() || is_dead() {
                let mine = me.to_bits();
                // ORDERING(lock): Acquire, as in `try_lock`; a dead owner's stores come before its mark, which `is_dead`
                // loaded.
                match word.compare_exchange(now, mine, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) if owner.is_some() => return Outcome::Adopted(owner),
                    Ok(_) => return Outcome::Locked,
                    Err(_) => continue,
                }
            }
            if until.is_over() {
                return Outcome::TimedOut;
            }
            if looks < LOOKS {
                world.pause(0);
                looks += 1;
                continue;
            }
            let nap = if last.0 == owner { (last.1 * 2).min(NAPS[1]) } else { NAPS[0] };
            last = (owner, nap);
            self.waiters.store(1, Ordering::Relaxed);
            let end = until.earlier(Deadline::after(nap));
            world.sleep(word, now, end, Wait::Baton, || !is_dead());
        }
    }

    /// Gives the lock back. The caller holds it.
    #[inline]
    pub(crate) fn unlock(&self) {
        // ORDERING(lock): Release, pairs with the Acquire of the next locker.
        self.word.store(0, Ordering::Release);
        if self.waiters.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // Whoever has it by now will see `waiters`, too.
        if self.word.load(Ordering::Relaxed) == 0 && futex::wake(&self.word, 1) == 0 {
            self.waiters.store(0, Ordering::Relaxed);
        }
    }
}
