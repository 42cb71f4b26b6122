//! The lock word: mutual exclusion between processes that survives the death of whoever holds it or sleeps on it.
//!
//! One 32-bit word. It is the only truth; nothing is ever repaired. (A second word is about fairness; see the end.)
//!
//! ```text
//! bit 31      WAITERS  someone sleeps, or did: the unlocker must wake
//! bit 30      MARKED   what the lock guards may be half written
//! bits 0..30  owner    slot and generation of the owning thread; 0: free
//! ```
//!
//! | from | to | by |
//! |---|---|---|
//! | owner 0 | owner me, other bits kept | a locker (CAS) |
//! | owner live | the same and WAITERS | a locker about to sleep (CAS) |
//! | owner me | owner 0, WAITERS kept, MARKED kept or cleared | the owner (one subtraction) |
//! | owner 0, WAITERS | 0 | an unlocker whose wake found nobody (CAS), who then wakes all once more |
//! | owner dead | owner me, other bits kept | whoever adopts (CAS from the exact value) |
//!
//! # If a process dies
//!
//! - Holding, at any instruction from its CAS to its subtraction: the word names a dead thread. Adopters take it over; for
//!   the rest *that is* the mark: `lock` answers that the owner died until someone recovers.
//! - After its subtraction, before its wake: the word is free with WAITERS; sleepers are woken by the alarm.
//! - Asleep, or woken and not yet here again: WAITERS stays, so the next unlocker wakes another sleeper. The wake that the
//!   dead one consumed is repeated by the alarm. Storing a plain 0 on unlock would lose it: a barger holds and unlocks,
//!   finds no WAITERS, and the other sleeper waits for ever.
//! - After the CAS to 0, before the second wake: those who fell asleep in between are woken by the alarm.
//!
//! # Why no wake is lost while all live
//!
//! A sleeper sleeps on the exact value with WAITERS set. Only the CAS in the fourth row clears WAITERS; it comes after a
//! wake that found nobody, and the wake after it reaches those who slept in between; later ones see another value. In any
//! other case an unlocker sees WAITERS and wakes one, and the woken one either takes the lock (keeping WAITERS) or finds a
//! new owner, who will see WAITERS too. A waiter that is woken and then gives up first looks whether the word is free.
//!
//! # Fairness
//!
//! A newcomer may take a free lock before the sleeper that was woken for it, unless a waiter asks for
//! [restraint](crate::world::restraint).

use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::{futex, thread};
use crate::testing::{self, Broken};
use crate::world::World;
use crate::world::registry::Id;
use crate::world::restraint::Restraint;
use crate::world::wait::Wait;

const WAITERS: u32 = 1 << 31;
const MARKED: u32 = 1 << 30;
const OWNER: u32 = MARKED - 1;

/// How often a locker looks at a held lock before it sleeps, and before it sleeps again. The pause between two looks doubles
/// from 250 ns to 1 us: faster polling takes the line from the holder (22 million locks a second against 52 in a prototype).
const LOOKS: u32 = 8;

/// How an attempt to lock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The caller holds the lock.
    Locked,
    /// The caller holds the lock; its last owner died with it or marked it.
    Adopted(Option<Id>),
    /// Not locked: its last owner died with it or marked it.
    OwnerDied,
    /// Not locked: the calling thread holds it.
    Deadlock,
    /// Not locked in time.
    TimedOut,
}

/// Whether to take over from the dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Answer `OwnerDied`.
    Report,
    /// Take over and keep the mark until it is cleared by [`WordLock::unlock_recovered`].
    Recover,
    /// Take over as if nothing had happened: for locks whose guarded data is never half written.
    Adopt,
}

/// A lock in shared memory.
#[repr(C)]
pub(crate) struct WordLock {
    word: AtomicU32,
    restraint: Restraint,
}

impl WordLock {
    /// Takes the lock if it is free and unmarked.
    #[inline]
    pub(crate) fn try_lock(&self, me: Id) -> bool {
        // ORDERING(lock): Acquire, pairs with the Release in `unlock`.
        // ORDERING(owner): Release, pairs with the Acquire in `lock_contended`: whoever reads this id finds its slot taken.
        self.word.compare_exchange(0, me.to_bits(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes the lock, waiting until `until`.
    #[inline]
    pub(crate) fn lock(
        &'static self,
        me: Id,
        world: &World,
        until: Deadline,
        policy: Policy,
    ) -> Outcome {
        if self.try_lock(me) {
            Outcome::Locked
        } else {
            self.lock_contended(me, world, until, policy)
        }
    }

    #[cold]
    fn lock_contended(
        &'static self,
        me: Id,
        world: &World,
        until: Deadline,
        policy: Policy,
    ) -> Outcome {
        let word = &self.word;
        let mut since = None;
        let first_look = if world.spins() { 0 } else { LOOKS };
        let mut looks = first_look;
        loop {
            // ORDERING(owner): Acquire, pairs with the Release of whoever took the lock.
            let now = word.load(Ordering::Acquire);
            let marked = now & MARKED != 0;
            if marked && policy == Policy::Report {
                return Outcome::OwnerDied;
            }
            let Some(owner) = Id::from_bits(now & OWNER) else {
                if since.is_none()
                    && now & WAITERS != 0
                    && !until.is_over()
                    && self.restraint.is_granted()
                {
                    thread::yield_now();
                    continue;
                }
                // Free, or no id at all, which only scribbling leaves: taken like a free one.
                let mine = now & WAITERS
                    | me.to_bits()
                    | if policy == Policy::Adopt { 0 } else { now & MARKED };
                // ORDERING(lock, owner): as in `try_lock`.
                if word.compare_exchange(now, mine, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    if since.is_some() {
                        self.restraint.end();
                    }
                    return if marked { Outcome::Adopted(None) } else { Outcome::Locked };
                }
                continue;
            };
            if owner == me {
                return Outcome::Deadlock;
            }
            if looks < LOOKS && !until.is_over() {
                world.pause(looks.min(2));
                looks += 1;
                continue;
            }
            if world.registry.is_dead(owner) {
                if policy == Policy::Report {
                    // ORDERING(lock): behind the load of the mark, which is an Acquire.
                    if word.load(Ordering::Relaxed) != now {
                        // It let go, and died after that. No owner comes back, so else it died with the lock.
                        continue;
                    }
                    return Outcome::OwnerDied;
                }
                let mark = if policy == Policy::Recover { MARKED } else { 0 };
                let mine = now & WAITERS | mark | me.to_bits();
                // ORDERING(lock, owner): as in `try_lock`; the dead owner's stores come before its mark, which `is_dead` loaded.
                if word.compare_exchange(now, mine, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    if since.is_some() {
                        self.restraint.end();
                    }
                    return Outcome::Adopted(Some(owner));
                }
                continue;
            }
            if until.is_over() {
                return Outcome::TimedOut;
            }
            let asleep = now | WAITERS;
            if now != asleep
                && word.compare_exchange(now, asleep, Ordering::Relaxed, Ordering::Relaxed).is_err()
            {
                continue;
            }
            self.restraint.ask(&mut since);
            world.sleep(word, asleep, until, Wait::Baton, || !world.registry.is_dead(owner));
            // Woken: whoever barged in has it for a moment, mostly.
            looks = first_look;
        }
    }

    /// Gives the lock back. The caller holds it, unmarked or to stay marked.
    #[inline]
    pub(crate) fn unlock(&self, me: Id) {
        // A subtraction keeps the other bits and is one instruction where `fetch_and` with a result is a loop.
        // ORDERING(lock): Release, pairs with the Acquire of the next locker.
        let before = self.word.fetch_sub(me.to_bits(), Ordering::Release);
        if before & WAITERS != 0 {
            self.wake();
        }
    }

    /// Gives a recovered lock back, without its mark.
    pub(crate) fn unlock_recovered(&self, me: Id) {
        // ORDERING(lock): as in `unlock`.
        let before = self.word.fetch_sub(me.to_bits() | MARKED, Ordering::Release);
        if before & WAITERS != 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        if testing::is_broken(Broken::UnlockStoresZero) {
            self.word.fetch_and(!WAITERS, Ordering::Relaxed);
            futex::wake(&self.word, 1);
            return;
        }
        if self.word.load(Ordering::Relaxed) & OWNER != 0 {
            // Someone took it already and kept WAITERS: the wake is theirs to give, or the alarm's if they die.
            return;
        }
        self.restraint.grant();
        if futex::wake(&self.word, 1) == 0
            && self.word.compare_exchange(WAITERS, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            futex::wake_all(&self.word);
        }
    }

    /// Who holds it, dead or alive; a marked free lock is nobody's.
    pub(crate) fn owner(&self) -> Option<Id> {
        Id::from_bits(self.word.load(Ordering::Relaxed) & OWNER)
    }

    /// Whether a holder marked it and nobody has finished recovering.
    pub(crate) fn is_marked(&self) -> bool {
        self.word.load(Ordering::Relaxed) & MARKED != 0
    }

    /// Whether someone sleeps, or slept since the lock was last free of waiters.
    pub(crate) fn has_waiters(&self) -> bool {
        self.word.load(Ordering::Relaxed) & WAITERS != 0
    }
}
