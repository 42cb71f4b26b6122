//! Permits: what a semaphore is. Processes take them and give them back, and they come back from the dead.
//!
//! One word, the *state*, says how many permits are available and how many of them each of up to four processes holds. So every
//! operation is one compare-and-swap: there is no moment at which a permit is neither available nor somebody's, no sum that another
//! one could spoil, and nothing to repair after a death. What does not fit into the word, a fifth process or more than 127 permits
//! of one, is entered in a block, under a lock, for as long as there is such a permit.
//!
//! # Layout
//!
//! ```text
//! the semaphore's object (48 bytes of one cache line)
//! 0  8  lock       for the seats, what the dead held, and all that is COUNTED; adopted from the dead
//! 8  8  state      count, and what the process in each seat holds (`state`)                              THE TRUTH
//! 16 4  event count of permits
//! 20 4  id of the semaphore's block, once it has one
//! 24 4  most       how many permits may ever exist                                                     never after the start
//! 28 4  fairness   how a waiter gets its turn ([`crate::raw::fairness`])
//! 32 16 seats      the ids of four processes: whose the fields of the state are                          THE TRUTH
//! the semaphore's block
//! 0  4  available  while COUNTED: the permits that exist, less all that are held (cache)
//! 4  4  held       the sum of the entries (cache)
//! 64 8192 entries  for every process slot: process in the high half, count in the low half                  THE TRUTH
//! ```
//!
//! | state | count is | changed by |
//! |---|---|---|
//! | open | what is available; nobody holds a permit outside of the word | anybody (CAS) |
//! | COUNTED | what exists | whoever has the lock (store) |
//!
//! A process takes a *seat* when it first acquires, under the lock, and keeps it for life: whoever lives changes its own field without
//! asking, and remembers which that is. A seat is free if it names nobody, or a process that is gone.
//!
//! # Protocol
//!
//! While the state is open:
//!
//! - *Acquire*: 1. CAS: count - 1, own field + 1: *the permit is taken.* None available: sleep on the event count.
//! - *Drop of a permit*: 1. CAS: own field - 1, count + 1: *it is given back*; 2. check for waiters; 3. wake one.
//! - *Release of n*: 1. CAS: count + n, if no more than `most` exist then: *they exist*; 2. check for waiters; 3. wake n.
//! - *Forget*: 1. CAS: own field - 1.
//!
//! Under the lock:
//!
//! - *Taking from the dead*, by whoever finds none available, or wants the seat: 1. CAS: field - k, count + k (COUNTED: only the
//!   former), for a process in a seat that is gone; 2. check for waiters; 3. wake k.
//! - *A seat*: 1. take from the dead what its last process held; 2. store the own id. *The field is one's own.*
//! - *Counting*, for who has no seat or a full one: 1. CAS to COUNTED: the same permits. From here on nobody changes the state without
//!   the lock.
//! - *Opening*, when nobody holds a permit outside of the state: 1. store the open state: the same permits.
//! - *Acquire, drop, release while COUNTED*: 1. one store in the own field, in the own entry, or in the count: *it has happened*; 2. the
//!   caches; 3. opening, if that is possible; 4. give the lock back; 5. as above. *Forget*: of the field, one store; of an entry, 1.
//!   one less exists; 2. one less in the entry.
//! - *A block*, which is made without the lock: 1. it is given to the object; 2. under the lock, if there is none: its id is stored. Who
//!   is late frees its own.
//!
//! Whoever adopts the lock from a dead thread takes from the dead, and makes the caches anew, first. If its process cannot see the
//! block, it marks the state STALE, which leaves that to the next one.
//!
//! # Why these steps may meet
//!
//! A CAS of the open state depends on nothing but the state and on whose the own field is, which does not change while its process
//! lives. So a state that has come back (ABA) is as good. Taking from the dead depends on a seat's process, which changes under the
//! lock alone; and the field of one that is gone changes by nobody else. (A reader without the lock may see the field of an old process
//! and the seat of a new one. It decides nothing but whether to look under the lock; why it may go to sleep, see below.)
//!
//! # Why no wake is lost
//!
//! A waiter prepares on the event count, and then, in the check of its sleep ([`crate::liveness`]), loads the state. If that is open,
//! without a permit, and no process in a seat is gone, it sleeps. Else it takes the lock and recounts. Every step that makes permits
//! available, also for the dead, is followed by a check for waiters:
//!
//! - in the open state both sides have a full barrier in between: the waiter sees the permit, or the other one sees the waiter;
//! - under the lock, a waiter whose check came first had prepared before it, and whoever has the lock later sees that. If the check found
//!   the state open, then the step that makes it COUNTED comes later, and a full barrier lies between that step and every check for
//!   waiters under a later lock: on x86-64 the step itself, elsewhere the one before the check.
//!
//! Whoever wants to wake and finds nothing available leaves it: whoever took it gives it back, seeing the waiters, or uses it up, or
//! dies with it. A check that fails is no reason to sleep; what went wrong then comes to light in an attempt to take a permit. It waits as
//! for a baton: in slices, since the one who was woken for a permit may be stopped. It leaves without a permit only after it found none,
//! or it notifies another one if it could not check; so no wake is lost with it.
//!
//! # If a process dies
//!
//! | in | after step | the others see |
//! |---|---|---|
//! | any | 0 | nothing; the lock of a dead owner, which they adopt, here and below |
//! | acquire | 1 | the permit held by the dead: it comes back when the process is gone |
//! | drop, release | 1, 2 | the permits are available; sleepers are woken by the alarm, and look |
//! | forget | 1 | one permit less exists |
//! | taking from the dead | 1, 2 | the permits are available; sleepers are woken by the alarm of this death |
//! | a seat | 1 | a seat whose process is gone and holds nothing |
//! | | 2 | the same, of another process |
//! | counting | 1 | COUNTED with nothing held outside: whoever adopts the lock opens it |
//! | opening | 1 | the open state |
//! | while COUNTED | 1 | what happened; whoever adopts the lock makes the caches anew |
//! | | 2 to 4 | the same; sleepers are woken by the alarm |
//! | forget, of an entry | 1 | one permit less exists; the entry counts no longer once its process is gone |
//! | a block | 0 | nothing: what the dead held of memory is free |
//! | | 1 | a block that nobody uses, until the semaphore is gone |
//! | | 2 | the block; its entries are free |
//!
//! A sleeper that dies leaves nothing but WAITERS of the event count. If it was woken for a permit, the alarm of its death wakes
//! the others. Whoever is stopped holds nobody up while the state is open, and the lock is free.

mod locked;
mod state;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use locked::{Attempt, Locked};
pub(crate) use state::Seat;
pub(crate) use words::{Far, View, Words};

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, Rhythm, Wait};
use crate::raw::fairness::Patience;
use crate::sys::atomic::{Ordering, fence_after_read_modify_write};
use crate::sys::clock::Deadline;
use crate::sys::thread;
use locked::End;
use state::State;

/// What processes do with permits.
pub(crate) trait Permits: Locked {
    /// Takes a permit, waiting until `until`.
    #[inline]
    fn acquire(&self, until: Deadline) -> Result<()> {
        let me = self.liveness().me()?;
        if !self.yields_to_sleepers() && self.take_fast() {
            return Ok(());
        }
        self.acquire_slow(me, until)
    }

    /// Whether newcomers should leave what is available to those who sleep.
    #[inline]
    fn yields_to_sleepers(&self) -> bool {
        self.words().event_count.has_waiters() && self.words().fairness.is_open()
    }

    /// Takes a permit, if the state is open and there is one. The calling thread has an id.
    #[inline]
    fn take_fast(&self) -> bool {
        let Some(seat) = self.seat() else { return false };
        let taken = |state: State| state.is_to_be_had(seat).then(|| state.taken(seat));
        self.words().change(taken).is_some()
    }

    #[cold]
    fn acquire_slow(&self, me: Id, until: Deadline) -> Result<()> {
        let words = self.words();
        let mut spin = match self.rhythm() {
            // Who was woken last says nothing about where a holder is.
            Rhythm::Lock => self.liveness().spin(Rhythm::Lock),
            rhythm => {
                let seen = words.event_count.word().load(Ordering::Relaxed);
                self.liveness().spin_for(seen, rhythm)
            }
        };
        let mut patience = Patience::new();
        let mut check_failed = false;
        loop {
            let is_over = until.is_over();
            let none = self.seems_empty();
            if !none && !is_over && !patience.has_waited() && self.yields_to_sleepers() {
                thread::nap();
                continue;
            }
            if none && !is_over && spin.poll() {
                continue;
            }
            // Only the check of a sleep finds out what the dead had; who does not sleep checks here.
            if !none || is_over || check_failed {
                match self.attempt(me, until)? {
                    Attempt::Taken => {
                        patience.end(&words.fairness);
                        return Ok(());
                    }
                    Attempt::NoEntry => {
                        self.add_far(me, until).inspect_err(|_| words.event_count.notify_one())?;
                        continue;
                    }
                    Attempt::NoneLeft if is_over => return Err(Error::simple(ErrorKind::Timeout)),
                    Attempt::NoneLeft => {}
                }
            }
            patience.request(&words.fairness);
            check_failed = self.sleep(me, until);
        }
    }

    /// Permits that are held come back like a lock; those that do not exist yet come like a signal.
    fn rhythm(&self) -> Rhythm {
        if self.words().total() == 0 { Rhythm::Signal } else { Rhythm::Lock }
    }

    /// Whether no permit is available at first sight.
    fn seems_empty(&self) -> bool {
        let state = self.words().state();
        if !state.is_counted() {
            return state.count() == 0;
        }
        // Whoever cannot see the block is told why by the attempt.
        let far = self.far().ok().flatten();
        !state.is_stale() && far.is_some_and(|far| far.available.load(Ordering::Relaxed) == 0)
    }

    /// How many permits are available, if the state is open and nobody in a seat is gone with some.
    fn sight(&self) -> Option<u32> {
        let state = self.words().state();
        let is_left = |seat| state.held(seat) != 0 && self.is_gone(self.process_in(seat));
        (!state.is_counted() && !Seat::all().any(is_left)).then(|| state.count())
    }

    /// Tries to take a permit, under the lock if it must be. If that is impossible, another waiter is notified: this one may have been
    /// woken for a permit that it cannot reach.
    fn attempt(&self, me: Id, until: Deadline) -> Result<Attempt> {
        if self.take_fast() {
            return Ok(Attempt::Taken);
        }
        if self.sight() == Some(0) {
            return Ok(Attempt::NoneLeft);
        }
        let attempt = self.lock(me, until).and_then(|()| {
            let attempt = self.take();
            self.unlock();
            attempt
        });
        attempt.inspect_err(|_| self.words().event_count.notify_one())
    }

    /// How many permits are available, with what the dead held.
    fn count(&self, me: Id, until: Deadline) -> Result<u32> {
        if let Some(available) = self.sight() {
            return Ok(available);
        }
        self.lock(me, until)?;
        let available = self.recount();
        self.unlock();
        available
    }

    /// Sleeps while there is no permit; whether it could not check.
    fn sleep(&self, me: Id, until: Deadline) -> bool {
        let words = self.words();
        let mut check_failed = false;
        let prepared = words.event_count.prepare_wait();
        self.liveness().sleep(words.event_count.word(), prepared, until, Wait::Baton, || {
            let available = self.count(me, until);
            check_failed = available.is_err();
            available.is_ok_and(|available| available == 0)
        });
        check_failed
    }

    /// Gives a permit back.
    #[inline]
    fn give_back(&self) {
        if self.end_fast(State::given) {
            self.notify(1);
        } else {
            self.end_slow(End::Given);
        }
    }

    /// Makes a permit one that nobody gives back.
    #[inline]
    fn forget(&self) {
        if !self.end_fast(State::forgotten) {
            self.end_slow(End::Forgotten);
        }
    }

    /// Does away with a permit of this process, if the state is open; whether it did.
    #[inline]
    fn end_fast(&self, end: impl Fn(State, Seat) -> State) -> bool {
        // In a forked child, copies of its parent's permits count for nothing.
        if self.liveness().me_fast().is_none() {
            return false;
        }
        let Some(seat) = self.seat() else { return false };
        let is_held = |state: State| !state.is_counted() && state.held(seat) != 0;
        self.words().change(|state| is_held(state).then(|| end(state, seat))).is_some()
    }

    #[cold]
    fn end_slow(&self, how: End) {
        if self.lock_to_end() {
            self.end(how);
            self.unlock();
            if how == End::Given {
                self.notify(1);
            }
        }
    }

    /// Wakes as many waiters as there are permits that the caller gave back.
    #[inline]
    fn notify(&self, permits: u32) {
        // ORDERING(event count): SeqCst, with the barrier in `prepare_wait`. After a section under the lock it is the order of the
        // sections that counts; see the module.
        fence_after_read_modify_write();
        if self.words().event_count.has_waiters() {
            self.wake(permits);
        }
    }

    #[cold]
    fn wake(&self, permits: u32) {
        self.words().fairness.open();
        // Whoever took them already gives them back, and sees the waiters, too.
        if !self.seems_empty() {
            self.words().event_count.notify_slow(permits);
        }
    }

    /// Makes so many more.
    fn release(&self, permits: u32) -> Result<()> {
        let me = self.liveness().me()?;
        let words = self.words();
        let most = words.most.load(Ordering::Relaxed);
        let add = |state: State| state.released(permits, most).filter(|_| !state.is_counted());
        if words.change(add).is_none() {
            self.lock(me, Deadline::NEVER)?;
            let added = self.add(permits);
            self.unlock();
            added.map_err(|total| too_many(permits, total, most))?;
        }
        self.notify(permits);
        Ok(())
    }

    /// How many are available; what is known without the lock where it is not to be had.
    fn available(&self) -> u32 {
        let exact = || self.count(self.liveness().me()?, Deadline::NOW);
        exact().unwrap_or_else(|_: Error| {
            let state = self.words().state();
            let far = self.far().ok().flatten().filter(|_| state.is_counted());
            far.map_or(state.count(), |far| far.available.load(Ordering::Relaxed))
        })
    }
}

impl<V: View> Permits for V {}

#[cold]
fn too_many(permits: u32, total: u32, most: u32) -> Error {
    let message = if most == u32::MAX {
        format!("{total} permits and {permits} more would be above {most}")
    } else {
        format!(
            "released too often: {total} permits and {permits} more would be above the {most} that the semaphore started with"
        )
    };
    Error::of(ErrorKind::Limit, message)
}
