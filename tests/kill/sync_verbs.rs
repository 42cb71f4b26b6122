//! What an actor does with locks, semaphores and events; see `actor`.
//!
//! The first argument of an order says which lock (0: `Lock`, 1: `RLock`, 2 and 3: the same, made to
//! ignore the death of an owner) or semaphore (0: `Semaphore`, 1: `BoundedSemaphore`), the second in
//! which form (`forms`). An operation under test answers before its end, so that the answer is there
//! also if the victim is killed just then.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use multiproc::{
    BoundedSemaphore, Lock, LockGuard, OwnedLockGuard, OwnedPermit, OwnedRLockGuard, Owner, Permit,
    RLock, RLockGuard, Semaphore,
};

use super::actor::{Mark, Props, Verb, answer};
use super::board::{HOLDING, LEAVING, Seat};
use super::forms::{
    BRIEF, BRIEF_DEADLINE, DEADLINE, DEBUG_HELD, DEBUG_OWNED, DEPTH, IS_LOCKED, IS_SET, OWNER,
    TIMEOUT, Time, call, is_owned, is_refusal,
};

/// The answer of who locked or acquired nothing, and was not to.
pub(crate) const REFUSED: u64 = u64::MAX;
/// In the number of a lock: it is re-entrant; it ignores deaths.
pub(crate) const REENTRANT: u64 = 1;
pub(crate) const IGNORING: u64 = 2;
/// How many locks there are.
pub(crate) const LOCKS: u64 = 4;

/// Guards or permits of one kind.
#[derive(Debug)]
struct Held<G, O> {
    guards: Vec<G>,
    owned: Vec<O>,
}

impl<G, O> Held<G, O> {
    fn new() -> Self {
        // Nothing is allocated in the middle of an operation.
        Self { guards: Vec::with_capacity(16), owned: Vec::with_capacity(16) }
    }
}

/// What an actor holds from one order to the next.
#[derive(Debug)]
pub(crate) struct Hands<'a> {
    locks: Held<LockGuard<'a>, OwnedLockGuard>,
    rlocks: Held<RLockGuard<'a>, OwnedRLockGuard>,
    permits: Held<Permit<'a>, OwnedPermit>,
}

impl Hands<'_> {
    pub(crate) fn new() -> Self {
        Self { locks: Held::new(), rlocks: Held::new(), permits: Held::new() }
    }
}

/// Performs what concerns a lock, a semaphore or an event.
pub(super) fn perform<'a>(
    seat: &Seat,
    mark: Mark,
    verb: Verb,
    props: &'a Props,
    hands: &mut Hands<'a>,
) -> multiproc::Result<()> {
    let which = seat.argument(0);
    match verb {
        Verb::Set => {
            mark.begin();
            props.event.set();
            mark.end();
        }
        Verb::Clear => {
            mark.begin();
            props.event.clear();
            mark.end();
        }
        Verb::AskEvent => return ask_event(seat, mark, props),
        Verb::Wait => return wait(seat, mark, props),
        Verb::Nested => return nested(seat, mark, &props.rlock),
        Verb::Depths => return depths(seat, props.reentrant_lock(which)),
        Verb::Acquire
        | Verb::GiveBack
        | Verb::GiveBarge
        | Verb::GiveAll
        | Verb::Forget
        | Verb::Release
        | Verb::Available
        | Verb::AskSemaphore => {
            return if which == 0 {
                semaphore(seat, mark, verb, &props.semaphore, &mut hands.permits)
            } else {
                bounded_semaphore(seat, mark, verb, &props.bounded_semaphore, &mut hands.permits)
            };
        }
        _ if which & REENTRANT == 0 => {
            return lock(seat, mark, verb, props.simple_lock(which), &mut hands.locks);
        }
        _ => return rlock(seat, mark, verb, props.reentrant_lock(which), &mut hands.rlocks),
    }
    Ok(())
}

impl Props {
    fn simple_lock(&self, which: u64) -> &Lock {
        if which & IGNORING == 0 { &self.lock } else { &self.ignoring_lock }
    }

    pub(crate) fn reentrant_lock(&self, which: u64) -> &RLock {
        if which & IGNORING == 0 { &self.rlock } else { &self.ignoring_rlock }
    }

    /// Who holds the lock with this number.
    pub(crate) fn owner(&self, which: u64) -> Option<Owner> {
        if which & REENTRANT == 0 {
            self.simple_lock(which).owner()
        } else {
            self.reentrant_lock(which).owner()
        }
    }

    /// What it says of itself.
    pub(crate) fn describe_lock(&self, which: u64) -> String {
        if which & REENTRANT == 0 {
            format!("{:?}", self.simple_lock(which))
        } else {
            format!("{:?}", self.reentrant_lock(which))
        }
    }
}

/// Everything used once, while nobody else uses it.
pub(crate) fn warm(props: &Props) -> multiproc::Result<()> {
    let time = Time::of(DEADLINE);
    for lock in [&props.lock, &props.ignoring_lock] {
        drop(lock.lock()?);
        drop(lock.recover()?);
        drop(lock.lock_timeout(time.timeout)?);
        drop(lock.lock_owned_deadline(time.deadline)?);
    }
    for lock in [&props.rlock, &props.ignoring_rlock] {
        let outer = lock.lock()?;
        drop(lock.recover()?);
        drop(outer);
        drop(lock.lock_owned()?);
    }
    drop(props.semaphore.acquire_timeout(time.timeout)?);
    drop(props.bounded_semaphore.acquire_owned()?);
    props.semaphore.acquire()?.forget();
    props.semaphore.release(1)?;
    black_box(props.semaphore.available());
    black_box(props.bounded_semaphore.available());
    props.event.set();
    props.event.wait()?;
    props.event.clear();
    props.event.wait_timeout(Duration::ZERO).map(drop)
}

/// The end of an operation under test that tells one thing, or failed.
#[inline(always)]
fn end(seat: &Seat, mark: Mark, told: multiproc::Result<u64>) -> multiproc::Result<()> {
    if let Ok(told) = told {
        answer(seat, told);
    }
    mark.end();
    told.map(drop)
}

/// What a refusal is told as.
#[inline(always)]
fn refused(form: u64, error: multiproc::Error) -> multiproc::Result<u64> {
    if is_refusal(form, &error) { Ok(REFUSED) } else { Err(error) }
}

/// A text of which nothing is allocated later on.
fn room() -> String {
    String::with_capacity(1000)
}

fn wait(seat: &Seat, mark: Mark, props: &Props) -> multiproc::Result<()> {
    let (event, form) = (&props.event, seat.argument(1));
    let time = Time::of(form);
    mark.begin();
    let done = match form {
        TIMEOUT | BRIEF => event.wait_timeout(time.timeout),
        DEADLINE | BRIEF_DEADLINE => event.wait_deadline(time.deadline),
        _ => event.wait().map(|()| true),
    };
    end(seat, mark, done.map(u64::from))
}

fn ask_event(seat: &Seat, mark: Mark, props: &Props) -> multiproc::Result<()> {
    let event = &props.event;
    let mut text = room();
    mark.begin();
    let told = match seat.argument(1) {
        IS_SET => event.is_set().into(),
        _ => described(&mut text, event),
    };
    end(seat, mark, Ok(told))
}

/// Writes down what an object says of itself; tells how much that is.
fn described(text: &mut String, object: &impl std::fmt::Debug) -> u64 {
    write!(text, "{object:?}").map_or(0, |()| text.len() as u64)
}

macro_rules! lock_verbs {
    ($name:ident, $lock:ident, $guard:ident, $owned:ident, $depth:expr) => {
        fn $name<'a>(
            seat: &Seat,
            mark: Mark,
            verb: Verb,
            lock: &'a $lock,
            held: &mut Held<$guard<'a>, $owned>,
        ) -> multiproc::Result<()> {
            let form = seat.argument(1);
            let time = Time::of(form);
            let recover = || lock.recover();
            match verb {
                Verb::Hold if is_owned(form) => held.owned.push(lock.lock_owned()?),
                Verb::Hold => held.guards.push(lock.lock()?),
                Verb::RecoverHold => held.guards.push(lock.recover()?),
                Verb::Barge => {
                    for _ in 0..form {
                        if let Ok(guard) = lock.try_lock() {
                            held.guards.push(guard);
                            return Ok(());
                        }
                        std::hint::spin_loop();
                    }
                    answer(seat, 0);
                }
                Verb::Unlock if is_owned(form) => {
                    let guard = held.owned.pop();
                    mark.begin();
                    drop(guard);
                    mark.end();
                }
                Verb::Unlock => {
                    let guard = held.guards.pop();
                    mark.begin();
                    drop(guard);
                    mark.end();
                }
                Verb::UnlockBarge => {
                    held.guards.clear();
                    held.guards.extend(lock.try_lock());
                }
                Verb::Recover => {
                    mark.begin();
                    let told = match call!(
                        lock, form, time: recover, recover_timeout, recover_deadline, try_recover
                    ) {
                        Ok(guard) => {
                            mark.at(HOLDING);
                            let dead = guard.dead_owner();
                            mark.at(LEAVING);
                            drop(guard);
                            Ok(dead.map_or(0, |owner| owner.pid.into()))
                        }
                        Err(error) if error.is_deadlock() => Ok(0),
                        Err(error) => refused(form, error),
                    };
                    return end(seat, mark, told);
                }
                Verb::Relock if is_owned(form) => {
                    mark.begin();
                    let told = call!(
                        lock, form, time:
                        lock_owned, lock_owned_timeout, lock_owned_deadline, try_lock_owned
                    );
                    return end(seat, mark, relocked(told));
                }
                Verb::Relock => {
                    mark.begin();
                    let told = call!(
                        lock, form, time: lock, lock_timeout, lock_deadline, try_lock
                    );
                    return end(seat, mark, relocked(told));
                }
                Verb::AskLock => {
                    let mut text = room();
                    mark.begin();
                    let told = match form {
                        IS_LOCKED => lock.is_locked().into(),
                        OWNER => lock.owner().map_or(0, |owner| owner.pid.into()),
                        DEPTH => $depth(lock),
                        DEBUG_HELD => described(&mut text, &held.guards),
                        DEBUG_OWNED => described(&mut text, &held.owned),
                        _ => described(&mut text, lock),
                    };
                    return end(seat, mark, Ok(told));
                }
                _ if is_owned(form) => {
                    let lock = || {
                        call!(
                            lock, form, time:
                            lock_owned, lock_owned_timeout, lock_owned_deadline, try_lock_owned
                        )
                    };
                    return cycle(seat, mark, form, lock, recover);
                }
                _ => {
                    let lock =
                        || call!(lock, form, time: lock, lock_timeout, lock_deadline, try_lock);
                    return cycle(seat, mark, form, lock, recover);
                }
            }
            Ok(())
        }
    };
}

lock_verbs!(lock, Lock, LockGuard, OwnedLockGuard, |_: &Lock| 0);
lock_verbs!(rlock, RLock, RLockGuard, OwnedRLockGuard, |lock: &RLock| u64::from(lock.depth()));

/// Locks, recovers if need be, unlocks; a lock that is not to be had in time is left.
#[inline(always)]
fn cycle<G, R>(
    seat: &Seat,
    mark: Mark,
    form: u64,
    lock: impl FnOnce() -> multiproc::Result<G>,
    recover: impl FnOnce() -> multiproc::Result<R>,
) -> multiproc::Result<()> {
    mark.begin();
    let told = match lock() {
        Ok(guard) => {
            mark.at(HOLDING);
            black_box(&guard);
            mark.at(LEAVING);
            drop(guard);
            Ok(0)
        }
        Err(error) if error.is_owner_died() => recover().map(|guard| {
            mark.at(HOLDING);
            black_box(&guard);
            mark.at(LEAVING);
            drop(guard);
            1
        }),
        Err(error) => refused(form, error),
    };
    end(seat, mark, told)
}

/// What locking tells whose lock it is already: the re-entrant one has it once more, the other would
/// wait for itself.
#[inline(always)]
fn relocked<G>(locked: multiproc::Result<G>) -> multiproc::Result<u64> {
    match locked {
        Ok(guard) => {
            drop(guard);
            Ok(1)
        }
        Err(error) if error.is_deadlock() => Ok(0),
        Err(error) => Err(error),
    }
}

/// Locks twice, recovers if need be, and lets go of the outer guard first.
fn nested(seat: &Seat, mark: Mark, lock: &RLock) -> multiproc::Result<()> {
    mark.begin();
    let (outer, died) = match lock.lock() {
        Ok(guard) => (guard, 0),
        Err(error) if error.is_owner_died() => (lock.recover()?, 1),
        Err(error) => return Err(error),
    };
    mark.at(HOLDING);
    let inner = lock.lock()?;
    drop(outer);
    mark.at(LEAVING);
    drop(inner);
    end(seat, mark, Ok(died))
}

/// Answers with the depth before, between and after three locks and unlocks.
fn depths(seat: &Seat, lock: &RLock) -> multiproc::Result<()> {
    let mut guards = Vec::new();
    answer(seat, lock.depth().into());
    for _ in 0..3 {
        guards.push(lock.lock()?);
        answer(seat, lock.depth().into());
    }
    while guards.pop().is_some() {
        answer(seat, lock.depth().into());
    }
    Ok(())
}

macro_rules! semaphore_verbs {
    ($name:ident, $semaphore:ident) => {
        fn $name<'a>(
            seat: &Seat,
            mark: Mark,
            verb: Verb,
            semaphore: &'a $semaphore,
            held: &mut Held<Permit<'a>, OwnedPermit>,
        ) -> multiproc::Result<()> {
            let form = seat.argument(1);
            let time = Time::of(form);
            match verb {
                Verb::Acquire if is_owned(form) => {
                    mark.begin();
                    let permit = call!(
                        semaphore, form, time:
                        acquire_owned, acquire_owned_timeout, acquire_owned_deadline,
                        try_acquire_owned
                    );
                    return acquired(seat, mark, form, permit, &mut held.owned);
                }
                Verb::Acquire => {
                    mark.begin();
                    let permit = call!(
                        semaphore, form, time:
                        acquire, acquire_timeout, acquire_deadline, try_acquire
                    );
                    return acquired(seat, mark, form, permit, &mut held.guards);
                }
                Verb::GiveBack if is_owned(form) => {
                    let permit = held.owned.pop();
                    mark.begin();
                    drop(permit);
                    mark.end();
                }
                Verb::GiveBack => {
                    let permit = held.guards.pop();
                    mark.begin();
                    drop(permit);
                    mark.end();
                }
                Verb::GiveBarge => {
                    drop(held.guards.pop());
                    let permit = semaphore.try_acquire();
                    answer(seat, u64::from(permit.is_ok()));
                    held.guards.extend(permit);
                }
                Verb::Forget if is_owned(form) => {
                    if let Some(permit) = held.owned.pop() {
                        mark.begin();
                        permit.forget();
                        mark.end();
                    }
                }
                Verb::Forget => {
                    if let Some(permit) = held.guards.pop() {
                        mark.begin();
                        permit.forget();
                        mark.end();
                    }
                }
                Verb::Release => {
                    mark.begin();
                    let done = match semaphore.release(form as u32) {
                        Err(error) if error.is_limit() => Ok(0),
                        other => other.map(|()| 1),
                    };
                    return end(seat, mark, done);
                }
                Verb::Available => {
                    mark.begin();
                    let available = semaphore.available();
                    return end(seat, mark, Ok(available.into()));
                }
                Verb::AskSemaphore => {
                    let mut text = room();
                    mark.begin();
                    let told = match form {
                        DEBUG_HELD => described(&mut text, &held.guards),
                        DEBUG_OWNED => described(&mut text, &held.owned),
                        _ => described(&mut text, semaphore),
                    };
                    return end(seat, mark, Ok(told));
                }
                _ => {
                    held.guards.clear();
                    held.owned.clear();
                }
            }
            Ok(())
        }
    };
}

semaphore_verbs!(semaphore, Semaphore);
semaphore_verbs!(bounded_semaphore, BoundedSemaphore);

/// Ends the taking of a permit, which is kept. Tells whether there was one.
#[inline(always)]
fn acquired<P>(
    seat: &Seat,
    mark: Mark,
    form: u64,
    permit: multiproc::Result<P>,
    held: &mut Vec<P>,
) -> multiproc::Result<()> {
    let told = match permit {
        Ok(permit) => {
            held.push(permit);
            Ok(1)
        }
        Err(error) => refused(form, error).map(|_| 0),
    };
    end(seat, mark, told)
}
