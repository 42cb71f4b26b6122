//! A lock for a few instructions: one locked instruction takes it, and a plain store gives it back.
//!
//! For records of which each section is short and leaves the truth whole at every step; the [`WordLock`] is for the rest.
//!
//! # The word
//!
//! 0 while it is free, else the id of the thread that holds it. It is the only truth.
//!
//! | from | to | by |
//! |---|---|---|
//! | 0 | me | a locker (CAS) |
//! | me | 0 | the holder (store) |
//! | dead | me | whoever adopts (CAS from the exact value) |
//!
//! While a live thread holds the lock, nobody else writes the word. So the holder stores over it without looking, which is
//! half of what a lock costs. The price is that nothing tells whether others wait, and nobody is woken: who finds the lock
//! taken looks again, at first at once, then after it has given its processor away, then after naps that double from 50 us
//! to 50 ms. It comes to naps only if the holder was preempted in the middle, or stopped, or killed.
//!
//! # If a process dies
//!
//! - Holding: the word names a dead thread, and whoever finds that takes it over. Those who nap are woken by the alarm.
//! - Waiting: it has left nothing.
//!
//! [`WordLock`]: crate::world::word_lock::WordLock

use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::thread;
use crate::world::World;
use crate::world::registry::Id;
use crate::world::wait::Wait;
use crate::world::word_lock::Outcome;
use std::time::Duration;

/// How often a locker looks at a held lock before it gives its processor away, about 250 ns apart; and how often it does that
/// before it naps.
const LOOKS: u32 = 8;
const YIELDS: u32 = 4;
/// The first nap and the longest.
const NAPS: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(50)];

/// A lock in shared memory.
#[repr(transparent)]
pub(crate) struct BriefLock(AtomicU32);

impl BriefLock {
    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self, me: Id) -> bool {
        // ORDERING(lock): Acquire, pairs with the Release in `unlock`.
        self.0.compare_exchange(0, me.to_bits(), Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes the lock, waiting until `until`; from a dead holder in silence, as [`Outcome::Adopted`].
    #[cold]
    pub(crate) fn lock(&'static self, me: Id, world: &World, until: Deadline) -> Outcome {
        let word = &self.0;
        let mut looks = if world.spins() { 0 } else { LOOKS };
        let mut nap = NAPS[0];
        loop {
            let now = word.load(Ordering::Relaxed);
            // No id at all is what only scribbling leaves: taken like a free one.
            let owner = Id::from_bits(now);
            if owner == Some(me) {
                return Outcome::Deadlock;
            }
            let dead = owner.filter(|&owner| world.registry.is_dead(owner));
            if owner.is_none() || dead.is_some() {
                // ORDERING(lock): Acquire, as in `try_lock`; a dead owner's stores come before its mark, which `is_dead`
                // loaded.
                let taken =
                    word.compare_exchange(now, me.to_bits(), Ordering::Acquire, Ordering::Relaxed);
                match taken {
                    Ok(_) if dead.is_some() => return Outcome::Adopted(dead),
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
            } else if looks < LOOKS + YIELDS {
                thread::yield_now();
                looks += 1;
            } else {
                let end = until.earlier(Deadline::after(nap));
                world.sleep(word, now, end, Wait::Baton, || {
                    !owner.is_some_and(|owner| world.registry.is_dead(owner))
                });
                nap = (nap * 2).min(NAPS[1]);
            }
        }
    }

    /// Gives the lock back. The caller holds it.
    #[inline]
    pub(crate) fn unlock(&self) {
        // ORDERING(lock): Release, pairs with the Acquire of the next locker.
        self.0.store(0, Ordering::Release);
    }
}
