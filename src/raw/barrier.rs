//! Rounds: what a barrier is. Parties arrive, and all go on together when the last one is there.
//!
//! A round ends for all its parties in the same way: complete, or broken. It breaks at once when a process dies that has
//! arrived, has passed an earlier round, or has said that it will come.
//!
//! # Layout
//!
//! ```text
//! the barrier's object (48 bytes of one cache line)
//! 0  8  lock     for resetting alone
//! 8  8  state    the round, and who has arrived in it                            THE TRUTH
//! 16 4  parties  how many go on together                                         the maker, once
//! 20 4  block    the number of the barrier's block                               the maker, once
//! 24 16 failed   the last four rounds that were reset: 0, or 1 + 2 * round       under the lock
//! the barrier's block
//! 0  4096        members: a word for each process slot: the process, or 0        that process
//! ```
//!
//! The state is one word of 64 bits. Its low half is also the word on which those sleep who have arrived:
//!
//! ```text
//! bit  0       WAITERS  someone sleeps, or is about to
//! bit  1       BROKEN   nobody passes until somebody resets
//! bits 2..32   round    raised when a round is complete, and by a reset
//! bits 32..63  count    how many have arrived
//! bit  63      LAST     all have arrived, and the last one runs its closure
//! ```
//!
//! | from | to | by |
//! |---|---|---|
//! | count | count + 1 | whoever arrives (CAS) |
//! | count = parties - 1 | next round, count 0, no WAITERS | the last to arrive (CAS): *the round is complete* |
//! | count = parties - 1 | count = parties, LAST | the same, with a closure (CAS) |
//! | LAST | next round, count 0, no WAITERS | the same, after the closure (CAS): *the round is complete* |
//! | anything but BROKEN | BROKEN, count 0, no WAITERS | whoever breaks the round (CAS): *it is broken* |
//! | BROKEN | next round, count 0 | whoever resets, under the lock (CAS): *the barrier is new* |
//!
//! # Protocol
//!
//! - *Arrive*: A1 write this process into its member word. If a member has died: break. A2 CAS the count. A3 wait until the
//!   round is another one, or BROKEN; the check of each sleep asks whether a member has died, and breaks the round then. So does
//!   a wait whose time is over.
//! - *The last to arrive*: L1 CAS to the next round; L2 wake all, if there was WAITERS. With a closure: C1 CAS to LAST; C2 run
//!   it; C3 CAS to the next round, if the round is not broken; C4 as L2.
//! - *Reset*: under the lock: R1 if somebody has arrived: break the round. R2 note that it failed. R3 clear members that died.
//!   R4 CAS to the next round.
//!
//! Whoever sees another round than its own asks `failed` whether its own was reset. If all four are later rounds, it takes it
//! for reset: then it has slept through four resets.
//!
//! A *lost* member is one that is gone and has not left in order. A process that gives up its last handle clears its word.
//!
//! # Why no wake is lost
//!
//! Sleepers sleep on the exact low half, with WAITERS. Whoever ends a round changes that half by the same CAS by which it sees
//! WAITERS. If it is stopped before its wake, the keepers of the sleepers see the changed word within a second.
//!
//! # If a process dies
//!
//! | in | after step | the others see |
//! |---|---|---|
//! | arrive | 0 | nothing: whoever never arrived is missed by a timeout alone |
//! | | A1, A2, A3 | a lost member: at the alarm their checks break the round, or the next one to arrive does |
//! | last | L1 | the round is complete; the alarm wakes the sleepers. Then a lost member, which breaks the next round |
//! | | C1, C2 | a lost member: the round is broken |
//! | | C3 | as L1 |
//! | breaking | the CAS | BROKEN; the alarm wakes the sleepers |
//! | reset | R1, R2, R3 | a broken barrier; a lock of a dead owner, which the next one to reset adopts |
//! | | R4 | a new barrier |

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, Liveness, PROCESSES, ProcessId, Rhythm, Wait};
use crate::raw::lock::Outcome;
use crate::raw::short_lock::ShortLock;
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::futex;
use crate::sys::shared::{Shared, low_half};
use crate::testing::{self, Broken};

const WAITERS: u32 = 1;
const BROKEN: u32 = 2;
const ROUND: u32 = !(WAITERS | BROKEN);
const ONE_ROUND: u32 = 4;
const LAST: u32 = 1 << 31;
/// More parties than threads can be there.
pub(crate) const MOST_PARTIES: u32 = LAST - 1;

/// The words in the barrier's object.
#[repr(C)]
pub(crate) struct Words {
    /// For resetting alone.
    lock: ShortLock,
    /// The round, and who has arrived in it: the truth.
    state: AtomicU64,
    /// How many go on together. Written by the maker.
    parties: AtomicU32,
    /// The id of the barrier's block. Written once, by the maker.
    pub(crate) block: AtomicU32,
    /// The last rounds that were reset. Written under the lock, before the state.
    failed: [AtomicU32; 4],
}

/// What the barrier's block holds: a word for each process slot.
#[repr(transparent)]
pub(crate) struct Members([AtomicU32; PROCESSES]);

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for Words {}
#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: atomics only.
unsafe impl Shared for Members {}

const _: () = {
    use core::mem::offset_of;
    assert!(!NATIVE || (offset_of!(Words, state) == 8 && offset_of!(Words, failed) == 24));
};

impl Words {
    /// Begins with so many parties. Before anyone else sees the words.
    pub(crate) fn begin(&self, parties: u32) {
        self.parties.store(parties, Ordering::Relaxed);
    }

    /// How many go on together.
    pub(crate) fn parties(&self) -> u32 {
        self.parties.load(Ordering::Relaxed)
    }
}

/// The state as read at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u64);

impl State {
    fn new(low: u32, high: u32) -> State {
        State(u64::from(high) << 32 | u64::from(low))
    }

    /// The half on which those sleep who have arrived.
    fn low(self) -> u32 {
        self.0 as u32
    }

    fn high(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn round(self) -> u32 {
        self.low() & ROUND
    }

    fn is_broken(self) -> bool {
        self.low() & BROKEN != 0
    }

    fn has_waiters(self) -> bool {
        self.low() & WAITERS != 0
    }

    /// Whether the last one runs its closure.
    fn is_ending(self) -> bool {
        self.high() & LAST != 0
    }

    /// How many have arrived.
    fn count(self) -> u32 {
        self.high() & !LAST
    }

    /// One more has arrived.
    fn arrived(self) -> State {
        State(self.0 + (1 << 32))
    }

    /// All have arrived, and the last one runs its closure.
    fn ending(self) -> State {
        State::new(self.low(), LAST | self.count().wrapping_add(1))
    }

    /// The next round, in which nobody has arrived.
    fn next(self) -> State {
        State::new(self.round().wrapping_add(ONE_ROUND), 0)
    }

    fn broken(self) -> State {
        State::new(self.round() | BROKEN, 0)
    }

    fn with_waiters(self) -> State {
        State(self.0 | u64::from(WAITERS))
    }
}

/// What stands in `failed` for a round.
fn failed(round: u32) -> u32 {
    round >> 1 | 1
}

/// One process's view of a barrier.
pub(crate) struct Rounds {
    words: &'static Words,
    members: &'static Members,
    liveness: &'static Liveness,
    process: ProcessId,
    /// The alarm epoch at the last check of all members.
    epoch: AtomicU32,
}

impl Rounds {
    pub(crate) fn new(
        words: &'static Words,
        members: &'static Members,
        liveness: &'static Liveness,
    ) -> Rounds {
        // Another one than now: the first arrival checks.
        let epoch = AtomicU32::new(liveness.epoch().wrapping_sub(1));
        Rounds { words, members, liveness, process: liveness.this_process(), epoch }
    }

    fn state(&self) -> State {
        // ORDERING(arrival): Acquire, pairs with the Release in `replace`: what all parties did before they arrived.
        State(self.words.state.load(Ordering::Acquire))
    }

    /// Changes the state; whether it was still `now`.
    fn replace(&self, now: State, new: State) -> bool {
        // ORDERING(arrival): AcqRel, pairs with the Acquire in `state` and with itself: each arrival passes on what came before.
        self.words.state.compare_exchange(now.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The same, and wakes those who slept on `now`.
    fn end(&self, now: State, new: State) -> bool {
        let has_ended = self.replace(now, new);
        if has_ended && now.has_waiters() {
            futex::wake_all(self.word());
        }
        has_ended
    }

    fn word(&self) -> &'static AtomicU32 {
        low_half(&self.words.state)
    }

    fn member(&self) -> &'static AtomicU32 {
        &self.members.0[self.process.slot() % PROCESSES]
    }

    /// A1: this process is a party from now on: its death breaks the barrier.
    pub(crate) fn join(&self) {
        let member = self.member();
        let before = member.load(Ordering::Relaxed);
        if before != self.process.to_bits() {
            // Another one in this slot is gone. If it had left in order, or given up its handles, it would not matter.
            if self.is_lost(before) {
                self.break_round(self.state());
            }
            member.store(self.process.to_bits(), Ordering::Release);
        }
        // Whoever died before is in an epoch of which this process's keeper knows, or its alarm comes to those who sleep.
        let epoch = self.liveness.epoch();
        if self.epoch.load(Ordering::Relaxed) != epoch {
            self.epoch.store(epoch, Ordering::Relaxed);
            if self.has_lost() {
                self.break_round(self.state());
            }
        }
    }

    /// This process is no party any more: it has given up its last handle.
    pub(crate) fn leave(&self) {
        let (own, relaxed) = (self.process.to_bits(), Ordering::Relaxed);
        let _ = self.member().compare_exchange(own, 0, relaxed, relaxed);
    }

    fn is_lost(&self, member: u32) -> bool {
        Id::from_bits(member).is_some_and(|member| {
            member.slot() < PROCESSES && self.liveness.registry.is_lost(member)
        })
    }

    /// Whether a member has died.
    fn has_lost(&self) -> bool {
        let members = self.members.0.iter().take(self.liveness.registry.processes());
        // ORDERING(member): Acquire, pairs with the Release in `join`; a member's word comes before its mark.
        !testing::is_broken(Broken::BarrierForgetsTheDead)
            && members
                .map(|member| member.load(Ordering::Acquire))
                .any(|member| member != 0 && self.is_lost(member))
    }

    /// Arrives and waits for the others until `until`; how many had arrived before. The last one runs `last` before anybody goes
    /// on. If the time is over at the beginning, only the last one arrives.
    pub(crate) fn arrive(&self, until: Deadline, last: Option<impl FnOnce()>) -> Result<u32> {
        self.join();
        loop {
            let now = self.state();
            let (count, parties) = (now.count(), self.words.parties());
            if now.is_broken() {
                self.check_broken()?;
            } else if now.is_ending() {
                // The others of this round have not gone on yet.
                self.sleep_before(now, until)?;
            } else if count.saturating_add(1) >= parties {
                match last {
                    None if !self.end(now, now.next()) => {}
                    None => return Ok(count),
                    Some(_) if !self.replace(now, now.ending()) => {}
                    Some(last) => return self.run(now.ending(), last).map(|()| count),
                }
            } else if until.is_over() {
                return Err(Error::simple(ErrorKind::Timeout));
            } else if self.replace(now, now.arrived()) {
                return self.wait(now.round(), until).map(|()| count);
            }
        }
    }

    /// C2 and C3.
    fn run(&self, mut now: State, last: impl FnOnce()) -> Result<()> {
        /// If the closure panics, the round is broken. When the round is over, this does nothing.
        struct Unfinished<'a>(&'a Rounds, State);
        impl Drop for Unfinished<'_> {
            fn drop(&mut self) {
                self.0.break_round(self.1);
            }
        }
        let _unfinished = Unfinished(self, now);
        last();
        let round = now.round();
        while !self.end(now, now.next()) {
            now = self.state();
            if now.round() != round || now.is_broken() {
                return Err(Error::simple(ErrorKind::Broken));
            }
        }
        Ok(())
    }

    /// A3: waits until the round is over.
    fn wait(&self, round: u32, until: Deadline) -> Result<()> {
        let mut spin = self.liveness.spin(Rhythm::Signal);
        loop {
            let now = self.state();
            if now.round() != round {
                return self.verdict(round);
            }
            if now.is_broken() {
                return Err(Error::simple(ErrorKind::Broken));
            }
            if until.is_over() {
                if self.break_round(now) {
                    return Err(Error::simple(ErrorKind::Timeout));
                }
                continue;
            }
            if !spin.poll() && self.sleep(now, until) {
                self.break_round(now);
            }
        }
    }

    /// Waits until those who have arrived have gone on.
    fn sleep_before(&self, now: State, until: Deadline) -> Result<()> {
        if until.is_over() {
            return Err(Error::simple(ErrorKind::Timeout));
        }
        if self.sleep(now, until) {
            self.break_round(now);
        }
        Ok(())
    }

    /// Sleeps while the round goes on; whether a member is lost.
    fn sleep(&self, now: State, until: Deadline) -> bool {
        let asleep = now.with_waiters();
        let (state, relaxed) = (&self.words.state, Ordering::Relaxed);
        if now != asleep && state.compare_exchange(now.0, asleep.0, relaxed, relaxed).is_err() {
            return false;
        }
        let mut has_lost = false;
        self.liveness.sleep(self.word(), asleep.low(), until, Wait::Change([None; 2]), || {
            has_lost = self.has_lost();
            !has_lost
        });
        has_lost
    }

    /// How a round ended that is over.
    fn verdict(&self, round: u32) -> Result<()> {
        let mut all_later = true;
        for entry in &self.words.failed {
            // ORDERING(failed): Relaxed, behind the Acquire in `state`; written before the state that named the next round.
            let entry = entry.load(Ordering::Relaxed);
            if entry == failed(round) {
                return Err(Error::simple(ErrorKind::Broken));
            }
            let ahead = (entry & !1) << 1;
            all_later &= entry != 0 && ahead.wrapping_sub(round) < 1 << 31;
        }
        if all_later { Err(Error::simple(ErrorKind::Broken)) } else { Ok(()) }
    }

    /// Breaks the round of `now`, if it is still on; whether it did.
    fn break_round(&self, now: State) -> bool {
        let round = now.round();
        let mut now = self.state();
        while now.round() == round && !now.is_broken() {
            if self.end(now, now.broken()) {
                return true;
            }
            now = self.state();
        }
        false
    }

    /// Breaks the barrier.
    pub(crate) fn abort(&self) {
        while !self.state().is_broken() {
            self.break_round(self.state());
        }
    }

    /// An error if the barrier is broken, and nobody is about to reset it.
    #[cold]
    fn check_broken(&self) -> Result<()> {
        self.lock()?;
        let is_broken = self.state().is_broken();
        self.words.lock.unlock();
        if is_broken { Err(Error::simple(ErrorKind::Broken)) } else { Ok(()) }
    }

    fn lock(&self) -> Result<()> {
        let me = self.liveness.me()?;
        if self.words.lock.try_lock(me) {
            return Ok(());
        }
        match self.words.lock.lock_contended(me, self.liveness, Deadline::NEVER) {
            Outcome::Locked | Outcome::Adopted(_) => Ok(()),
            // A signal handler that interrupted its own thread in here.
            _ => Err(Error::simple(ErrorKind::Deadlock)),
        }
    }

    /// Makes the barrier new; those who have arrived are told that it is broken.
    pub(crate) fn reset(&self) -> Result<()> {
        self.lock()?;
        let mut now = self.state();
        while !now.is_broken() && now.high() != 0 {
            // R1.
            self.end(now, now.broken());
            now = self.state();
        }
        if now.is_broken() {
            self.note_failed(now.round());
        }
        self.clear_lost();
        if now.is_broken() {
            // R4. Nobody else changes a broken state.
            self.end(now, now.next());
        }
        self.words.lock.unlock();
        Ok(())
    }

    /// R2: the round takes the place of the oldest one.
    fn note_failed(&self, round: u32) {
        let age = |entry: &AtomicU32| {
            let entry = entry.load(Ordering::Relaxed);
            // What is free is the oldest.
            if entry == 0 { u32::MAX } else { round.wrapping_sub((entry & !1) << 1) }
        };
        let is_noted = self.words.failed.iter().any(|entry| age(entry) == 0);
        if let Some(oldest) = self.words.failed.iter().max_by_key(|&entry| age(entry))
            && !is_noted
        {
            oldest.store(failed(round), Ordering::Relaxed);
        }
    }

    /// R3.
    fn clear_lost(&self) {
        for member in self.members.0.iter().take(self.liveness.registry.processes()) {
            let now = member.load(Ordering::Acquire);
            if now != 0 && self.is_lost(now) {
                // Another process may have taken the slot, and the word, meanwhile.
                let _ = member.compare_exchange(now, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// Whether nobody passes until somebody resets. Breaks the round if a member has died.
    pub(crate) fn is_broken(&self) -> bool {
        let now = self.state();
        if !now.is_broken() && self.liveness.is_current() && self.has_lost() {
            self.break_round(now);
        }
        self.state().is_broken()
    }

    /// How many have arrived, and wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.state().count().min(self.words.parties())
    }
}

impl Clone for Rounds {
    fn clone(&self) -> Rounds {
        Rounds::new(self.words, self.members, self.liveness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It is broken before it is new.
    #[test]
    fn who_comes_in_the_middle_of_a_reset_waits_for_its_end() {
        let word = || AtomicU32::new(0);
        let words = Words {
            lock: ShortLock::default(),
            state: AtomicU64::new(0),
            parties: word(),
            block: word(),
            failed: [word(), word(), word(), word()],
        };
        words.begin(1);
        let members = Members([const { AtomicU32::new(0) }; PROCESSES]);
        let liveness = crate::world::world().unwrap().liveness;
        let rounds =
            Rounds::new(Box::leak(Box::new(words)), Box::leak(Box::new(members)), liveness);
        let arrive = || rounds.arrive(Deadline::NEVER, None::<fn()>);
        rounds.lock().unwrap();
        rounds.abort();
        // Whoever interrupted this very thread is told so, and does not wait for ever.
        assert!(arrive().unwrap_err().is_deadlock());
        rounds.words.lock.unlock();
        assert!(arrive().unwrap_err().is_broken());
        rounds.reset().unwrap();
        assert_eq!(arrive().unwrap(), 0);
    }
}
