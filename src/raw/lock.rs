//! The robust lock: mutual exclusion between processes that survives the death of whoever holds it or sleeps on it.
//!
//! One 32-bit word. It is the only truth, and nothing is ever repaired. (A second word is about fairness; see the end.)
//!
//! ```text
//! 0  4  word      who holds the lock             lockers and the holder                    THE TRUTH
//! 4  4  fairness  how a waiter gets its turn     waiters and whoever unlocks (hint)
//!
//! bit 31      WAITERS   someone sleeps, or did: the unlocker must wake
//! bit 30      POISONED  what the lock guards may be half written
//! bits 0..30  owner     slot and generation of the owning thread; 0: free
//! ```
//!
//! | from | to | by |
//! |---|---|---|
//! | owner 0 | owner me, other bits kept | a locker (CAS) |
//! | owner live | the same and WAITERS | a locker about to sleep (CAS) |
//! | owner me | owner 0, WAITERS kept, POISONED kept or cleared | the owner (one subtraction) |
//! | owner 0, WAITERS | 0 | an unlocker whose wake found nobody (CAS), who then wakes all once more |
//! | owner dead | owner me, other bits kept | whoever adopts (CAS from the exact value) |
//!
//! # If a process dies
//!
//! - Holding, at any instruction from its CAS to its subtraction: the word names a dead thread. Adopters take it over; for
//!   the rest *that is* the poison: `lock` answers that the owner died until someone recovers.
//! - After its subtraction, before its wake: the word is free with WAITERS; sleepers are woken by the alarm.
//! - Asleep, or woken and not yet here again: WAITERS stays, so the next unlocker wakes another sleeper. The alarm repeats the
//!   wake that the dead one consumed. Storing a plain 0 on unlock would lose it: a barging locker holds and unlocks, finds no
//!   WAITERS, and the other sleeper waits for ever.
//! - After the CAS to 0, before the second wake: the alarm wakes those who fell asleep in between.
//!
//! # Why no wake is lost while all live
//!
//! A sleeper sleeps on the exact value with WAITERS set. Only the CAS in the fourth row clears WAITERS. It comes after a
//! wake that found nobody, and the wake after it reaches those who slept in between; later ones see another value. In any
//! other case an unlocker sees WAITERS and wakes one, and the woken one either takes the lock (keeping WAITERS) or finds a
//! new owner, who will see WAITERS too. A waiter that is woken and then gives up first checks whether the word is free.
//!
//! # Fairness
//!
//! A newcomer may take a free lock before the sleeper that was woken for it (*barging*), unless a waiter asks for
//! [fairness](crate::raw::fairness).

use crate::liveness::{Id, Liveness, Rhythm, Wait};
use crate::raw::fairness::{Fairness, Patience};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::{futex, thread};
use crate::testing::{self, Broken};

const WAITERS: u32 = 1 << 31;
const POISONED: u32 = 1 << 30;
const OWNER: u32 = POISONED - 1;

/// The word as read at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u32);

impl State {
    /// Who holds the lock, dead or alive. No id at all is what only scribbling leaves: taken like a free one.
    fn owner(self) -> Option<Id> {
        Id::from_bits(self.0 & OWNER)
    }

    fn is_free(self) -> bool {
        self.0 & OWNER == 0
    }

    fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    fn is_poisoned(self) -> bool {
        self.0 & POISONED != 0
    }

    /// The same with a waiter.
    fn with_waiters(self) -> State {
        State(self.0 | WAITERS)
    }

    /// The same held by `me`.
    fn taken_by(self, me: Id, poisoned: bool) -> State {
        State(self.0 & WAITERS | me.to_bits() | if poisoned { POISONED } else { 0 })
    }
}

/// How an attempt to lock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The caller holds the lock.
    Locked,
    /// The caller holds the lock; its last owner died with it or poisoned it.
    Adopted(Option<Id>),
    /// Not locked: its last owner died with it or poisoned it.
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
    /// Take over and keep the poison until it is cleared by [`RobustLock::unlock_recovered`].
    Recover,
    /// Take over as if nothing had happened: for locks whose guarded data is never half written.
    Adopt,
}

/// A lock in shared memory.
#[repr(C)]
pub(crate) struct RobustLock {
    /// Who holds the lock: the truth. Written by lockers and the holder.
    word: AtomicU32,
    /// How a waiter gets its turn (hint). Written by waiters and whoever unlocks.
    fairness: Fairness,
}

impl RobustLock {
    /// Takes the lock if it is free and not poisoned.
    #[inline]
    pub(crate) fn try_lock(&self, me: Id) -> bool {
        self.replace(State(0), State(me.to_bits()))
    }

    /// Takes the lock, waiting until `until`.
    #[inline]
    pub(crate) fn lock(
        &'static self,
        me: Id,
        liveness: &Liveness,
        until: Deadline,
        policy: Policy,
    ) -> Outcome {
        if self.try_lock(me) {
            Outcome::Locked
        } else {
            self.lock_contended(me, liveness, until, policy)
        }
    }

    #[cold]
    fn lock_contended(
        &'static self,
        me: Id,
        liveness: &Liveness,
        until: Deadline,
        policy: Policy,
    ) -> Outcome {
        let mut patience = Patience::new();
        let mut spin = liveness.spin(Rhythm::Lock);
        loop {
            // ORDERING(owner): Acquire, pairs with the Release in `replace` of whoever took the lock.
            let now = State(self.word.load(Ordering::Acquire));
            if now.is_poisoned() && policy == Policy::Report {
                return Outcome::OwnerDied;
            }
            let Some(owner) = now.owner() else {
                if self.yields_to_sleepers(now, &patience, until) {
                    thread::nap();
                } else if let Some(outcome) = self.take_free(now, me, policy) {
                    patience.end(&self.fairness);
                    return outcome;
                }
                continue;
            };
            if owner == me {
                return Outcome::Deadlock;
            }
            if !until.is_over() && spin.poll() {
                continue;
            }
            if liveness.registry.is_dead(owner) {
                if let Some(outcome) = self.take_from_dead(now, owner, me, policy) {
                    patience.end(&self.fairness);
                    return outcome;
                }
                continue;
            }
            if until.is_over() {
                return Outcome::TimedOut;
            }
            self.sleep(now, owner, liveness, until, &mut patience);
            // Woken: whoever barged in has it for a moment, mostly.
            spin.reset();
        }
    }

    /// Whether a newcomer leaves the free lock to those who sleep.
    fn yields_to_sleepers(&self, now: State, patience: &Patience, until: Deadline) -> bool {
        !patience.has_waited() && now.has_waiters() && !until.is_over() && self.fairness.is_open()
    }

    /// Takes the lock, which was free.
    fn take_free(&self, now: State, me: Id, policy: Policy) -> Option<Outcome> {
        let poisoned = policy != Policy::Adopt && now.is_poisoned();
        let outcome = if now.is_poisoned() { Outcome::Adopted(None) } else { Outcome::Locked };
        self.replace(now, now.taken_by(me, poisoned)).then_some(outcome)
    }

    /// Takes the lock from a dead owner, or reports it.
    fn take_from_dead(&self, now: State, owner: Id, me: Id, policy: Policy) -> Option<Outcome> {
        if policy == Policy::Report {
            // An id never owns a lock twice, so an unchanged word means that the owner died holding it. A changed one means that
            // it unlocked before it died.
            // ORDERING(death): Relaxed, behind the load of the owner's mark in `Registry::state`, which is SeqCst.
            let unchanged = self.word.load(Ordering::Relaxed) == now.0;
            return unchanged.then_some(Outcome::OwnerDied);
        }
        // The dead owner's stores come before its mark, which `is_dead` loaded.
        let mine = now.taken_by(me, policy == Policy::Recover);
        self.replace(now, mine).then_some(Outcome::Adopted(Some(owner)))
    }

    /// Changes the word to one that names the caller; whether it was still `now`.
    #[inline]
    fn replace(&self, now: State, mine: State) -> bool {
        // ORDERING(lock): Acquire, pairs with the Release in `unlock`.
        // ORDERING(owner): Release, pairs with the Acquire in `lock_contended`: whoever reads this id finds its slot taken.
        self.word.compare_exchange(now.0, mine.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Sleeps while `owner` lives and holds the lock.
    fn sleep(
        &'static self,
        now: State,
        owner: Id,
        liveness: &Liveness,
        until: Deadline,
        patience: &mut Patience,
    ) {
        let asleep = now.with_waiters();
        let word = &self.word;
        if now != asleep
            && word.compare_exchange(now.0, asleep.0, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        patience.request(&self.fairness);
        let is_held = || !liveness.registry.is_dead(owner);
        liveness.sleep(word, asleep.0, until, Wait::Baton, is_held);
    }

    /// Gives the lock back. The caller holds it, unpoisoned or to stay poisoned.
    #[inline]
    pub(crate) fn unlock(&self, me: Id) {
        // A subtraction keeps the other bits and is one instruction where `fetch_and` with a result is a loop.
        // ORDERING(lock): Release, pairs with the Acquire of the next locker in `replace`.
        let before = self.word.fetch_sub(me.to_bits(), Ordering::Release);
        if State(before).has_waiters() {
            self.wake_contended();
        }
    }

    /// Gives a recovered lock back, without its poison.
    pub(crate) fn unlock_recovered(&self, me: Id) {
        // ORDERING(lock): Release, as in `unlock`.
        let before = self.word.fetch_sub(me.to_bits() | POISONED, Ordering::Release);
        if State(before).has_waiters() {
            self.wake_contended();
        }
    }

    #[cold]
    fn wake_contended(&self) {
        if testing::is_broken(Broken::UnlockStoresZero) {
            self.word.fetch_and(!WAITERS, Ordering::Relaxed);
            futex::wake(&self.word, 1);
            return;
        }
        if !State(self.word.load(Ordering::Relaxed)).is_free() {
            // Someone took it already and kept WAITERS: the wake is theirs to give, or the alarm's if they die.
            return;
        }
        self.fairness.open();
        if futex::wake(&self.word, 1) == 0
            && self.word.compare_exchange(WAITERS, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            futex::wake_all(&self.word);
        }
    }

    /// Who holds it, dead or alive. A poisoned free lock is nobody's.
    #[inline]
    pub(crate) fn owner(&self) -> Option<Id> {
        State(self.word.load(Ordering::Relaxed)).owner()
    }

    /// Whether a holder poisoned it and nobody has finished recovering.
    #[inline]
    pub(crate) fn is_poisoned(&self) -> bool {
        State(self.word.load(Ordering::Relaxed)).is_poisoned()
    }

    /// Whether someone sleeps, or slept since the lock was last free of waiters.
    pub(crate) fn has_waiters(&self) -> bool {
        State(self.word.load(Ordering::Relaxed)).has_waiters()
    }
}
