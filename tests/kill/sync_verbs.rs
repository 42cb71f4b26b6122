//! What an actor does with locks, semaphores and events; see `actor`.
//!
//! The first argument of an order says which lock (0: `Lock`, 1: `RLock`) or semaphore (0:
//! `Semaphore`, 1: `BoundedSemaphore`), the second in which form, see below.

use std::hint::black_box;
use std::time::Duration;

use multiproc::{
    BoundedSemaphore, Lock, LockGuard, OwnedPermit, Permit, RLock, RLockGuard, Semaphore,
};

use super::actor::{Mark, Props, Verb, answer};
use super::board::{HOLDING, LEAVING, Seat};

/// The call that waits for ever.
pub(crate) const PLAIN: u64 = 0;
/// The one that waits long enough.
pub(crate) const TIMEOUT: u64 = 1;
/// The one whose time runs out.
pub(crate) const BRIEF: u64 = 2;
/// The one that gives an owned guard or permit.
pub(crate) const OWNED: u64 = 3;
/// The one that does not wait.
pub(crate) const TRY: u64 = 4;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(8);

/// What an actor holds from one order to the next.
#[derive(Debug)]
pub(crate) struct Hands<'a> {
    locks: Vec<LockGuard<'a>>,
    rlocks: Vec<RLockGuard<'a>>,
    permits: Vec<Permit<'a>>,
    owned: Vec<OwnedPermit>,
}

impl Hands<'_> {
    pub(crate) fn new() -> Self {
        // Nothing is allocated in the middle of an operation.
        Self {
            locks: Vec::with_capacity(8),
            rlocks: Vec::with_capacity(8),
            permits: Vec::with_capacity(16),
            owned: Vec::with_capacity(16),
        }
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
    let first = seat.argument(0) == 0;
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
        Verb::IsSet => answer(seat, u64::from(props.event.is_set())),
        Verb::Wait => return wait(seat, mark, props),
        Verb::Nested => return nested(seat, mark, &props.rlock),
        Verb::Relock => {
            mark.begin();
            drop(props.rlock.lock()?);
            mark.end();
        }
        Verb::Depths => return depths(seat, &props.rlock),
        Verb::Acquire
        | Verb::GiveBack
        | Verb::GiveBarge
        | Verb::GiveAll
        | Verb::Forget
        | Verb::Release
        | Verb::Available
            if first =>
        {
            return semaphore(seat, mark, verb, &props.semaphore, hands);
        }
        Verb::Acquire
        | Verb::GiveBack
        | Verb::GiveBarge
        | Verb::GiveAll
        | Verb::Forget
        | Verb::Release
        | Verb::Available => {
            return bounded_semaphore(seat, mark, verb, &props.bounded_semaphore, hands);
        }
        _ if first => return lock(seat, mark, verb, &props.lock, &mut hands.locks),
        _ => return rlock(seat, mark, verb, &props.rlock, &mut hands.rlocks),
    }
    Ok(())
}

/// Everything used once, while nobody else uses it.
pub(crate) fn warm(props: &Props) -> multiproc::Result<()> {
    drop(props.lock.lock()?);
    drop(props.lock.recover()?);
    drop(props.lock.lock_timeout(LONG)?);
    let outer = props.rlock.lock()?;
    drop(props.rlock.recover()?);
    drop(outer);
    drop(props.rlock.lock_owned()?);
    drop(props.semaphore.acquire_timeout(LONG)?);
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

fn wait(seat: &Seat, mark: Mark, props: &Props) -> multiproc::Result<()> {
    let event = &props.event;
    mark.begin();
    let done = match seat.argument(1) {
        TIMEOUT => event.wait_timeout(LONG),
        BRIEF => event.wait_timeout(SHORT),
        _ => event.wait().map(|()| true),
    };
    mark.end();
    answer(seat, u64::from(done?));
    Ok(())
}

macro_rules! lock_verbs {
    ($name:ident, $lock:ident, $guard:ident) => {
        fn $name<'a>(
            seat: &Seat,
            mark: Mark,
            verb: Verb,
            lock: &'a $lock,
            held: &mut Vec<$guard<'a>>,
        ) -> multiproc::Result<()> {
            match verb {
                Verb::Hold => held.push(lock.lock()?),
                Verb::RecoverHold => held.push(lock.recover()?),
                Verb::Barge => {
                    for _ in 0..seat.argument(1) {
                        if let Ok(guard) = lock.try_lock() {
                            held.push(guard);
                            return Ok(());
                        }
                        std::hint::spin_loop();
                    }
                    answer(seat, 0);
                }
                Verb::Unlock => {
                    let guard = held.pop();
                    mark.begin();
                    drop(guard);
                    mark.end();
                }
                Verb::UnlockBarge => {
                    held.clear();
                    held.extend(lock.try_lock());
                }
                Verb::Recover => {
                    mark.begin();
                    let guard = lock.recover()?;
                    mark.at(HOLDING);
                    let named = guard.dead_owner().is_some();
                    mark.at(LEAVING);
                    drop(guard);
                    mark.end();
                    answer(seat, u64::from(named));
                }
                Verb::TryCycle => {
                    mark.begin();
                    let guard = lock.try_lock();
                    mark.at(HOLDING);
                    black_box(&guard);
                    mark.at(LEAVING);
                    let guard = guard.map(drop);
                    mark.end();
                    return guard;
                }
                _ => {
                    let recover = || lock.recover();
                    return match seat.argument(1) {
                        TIMEOUT => cycle(seat, mark, || lock.lock_timeout(LONG), recover),
                        BRIEF => cycle(seat, mark, || lock.lock_timeout(SHORT), recover),
                        OWNED => cycle(seat, mark, || lock.lock_owned(), recover),
                        _ => cycle(seat, mark, || lock.lock(), recover),
                    };
                }
            }
            Ok(())
        }
    };
}

lock_verbs!(lock, Lock, LockGuard);
lock_verbs!(rlock, RLock, RLockGuard);

/// Locks, recovers if need be, unlocks; a lock that is not to be had in time is left.
#[inline(always)]
fn cycle<G, R>(
    seat: &Seat,
    mark: Mark,
    lock: impl FnOnce() -> multiproc::Result<G>,
    recover: impl FnOnce() -> multiproc::Result<R>,
) -> multiproc::Result<()> {
    mark.begin();
    match lock() {
        Ok(guard) => {
            mark.at(HOLDING);
            black_box(&guard);
            mark.at(LEAVING);
            drop(guard);
            mark.end();
            answer(seat, 0);
        }
        Err(error) if error.is_owner_died() => {
            let guard = recover()?;
            mark.at(HOLDING);
            black_box(&guard);
            mark.at(LEAVING);
            drop(guard);
            mark.end();
            answer(seat, 1);
        }
        Err(error) if error.is_timeout() => {
            mark.end();
            answer(seat, 0);
        }
        Err(error) => {
            mark.end();
            return Err(error);
        }
    }
    Ok(())
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
    mark.end();
    answer(seat, died);
    Ok(())
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
            hands: &mut Hands<'a>,
        ) -> multiproc::Result<()> {
            match (verb, seat.argument(1)) {
                (Verb::Acquire, OWNED) => {
                    mark.begin();
                    let permit = semaphore.acquire_owned();
                    mark.end();
                    hands.owned.push(permit?);
                    answer(seat, 1);
                }
                (Verb::Acquire, form) => {
                    mark.begin();
                    let permit = match form {
                        TIMEOUT => semaphore.acquire_timeout(LONG),
                        BRIEF => semaphore.acquire_timeout(SHORT),
                        TRY => semaphore.try_acquire(),
                        _ => semaphore.acquire(),
                    };
                    mark.end();
                    match permit {
                        Ok(permit) => hands.permits.push(permit),
                        Err(error) if error.is_timeout() || error.is_busy() => {
                            answer(seat, 0);
                            return Ok(());
                        }
                        Err(error) => return Err(error),
                    }
                    answer(seat, 1);
                }
                (Verb::GiveBack, OWNED) => {
                    let permit = hands.owned.pop();
                    mark.begin();
                    drop(permit);
                    mark.end();
                }
                (Verb::GiveBack, _) => {
                    let permit = hands.permits.pop();
                    mark.begin();
                    drop(permit);
                    mark.end();
                }
                (Verb::GiveBarge, _) => {
                    drop(hands.permits.pop());
                    let permit = semaphore.try_acquire();
                    answer(seat, u64::from(permit.is_ok()));
                    hands.permits.extend(permit);
                }
                (Verb::Forget, _) => {
                    if let Some(permit) = hands.permits.pop() {
                        mark.begin();
                        permit.forget();
                        mark.end();
                    }
                }
                (Verb::Release, permits) => {
                    mark.begin();
                    let done = semaphore.release(permits as u32);
                    mark.end();
                    match done {
                        Err(error) if error.is_limit() => answer(seat, 0),
                        other => {
                            other?;
                            answer(seat, 1);
                        }
                    }
                }
                (Verb::Available, _) => {
                    mark.begin();
                    let available = semaphore.available();
                    mark.end();
                    answer(seat, available.into());
                }
                _ => {
                    hands.permits.clear();
                    hands.owned.clear();
                }
            }
            Ok(())
        }
    };
}

semaphore_verbs!(semaphore, Semaphore);
semaphore_verbs!(bounded_semaphore, BoundedSemaphore);
