//! What an actor does with locks, the simple ones and the re-entrant ones; see `sync_verbs`.

use std::hint::black_box;

use multiproc::{Lock, LockGuard, OwnedLockGuard, OwnedRLockGuard, RLock, RLockGuard};

use super::actor::{Mark, answer};
use super::board::{HOLDING, LEAVING, Seat};
use super::forms::{DEBUG_HELD, DEBUG_OWNED, DEPTH, IS_LOCKED, OWNER, Time, call, is_owned};
use super::order::Verb;
use super::sync_verbs::{Held, described, end, refused, room};

macro_rules! lock_verbs {
    ($name:ident, $lock:ident, $guard:ident, $owned:ident, $depth:expr) => {
        pub(super) fn $name<'a>(
            seat: &Seat,
            mark: Mark,
            verb: Verb,
            form: u64,
            lock: &'a $lock,
            held: &mut Held<$guard<'a>, $owned>,
        ) -> multiproc::Result<()> {
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
                    mark.around(|| drop(guard));
                }
                Verb::Unlock => {
                    let guard = held.guards.pop();
                    mark.around(|| drop(guard));
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

lock_verbs!(simple, Lock, LockGuard, OwnedLockGuard, |_: &Lock| 0);
lock_verbs!(reentrant, RLock, RLockGuard, OwnedRLockGuard, |lock: &RLock| u64::from(lock.depth()));

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
pub(super) fn nested(seat: &Seat, mark: Mark, lock: &RLock) -> multiproc::Result<()> {
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
pub(super) fn depths(seat: &Seat, lock: &RLock) -> multiproc::Result<()> {
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
