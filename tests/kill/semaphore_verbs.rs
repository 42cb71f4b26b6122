//! What an actor does with semaphores; see `sync_verbs`.

use multiproc::{BoundedSemaphore, OwnedPermit, Permit, Semaphore};

use super::actor::{Mark, answer};
use super::board::Seat;
use super::forms::{DEBUG_HELD, DEBUG_OWNED, Time, call, is_owned};
use super::order::Verb;
use super::props::Props;
use super::sync_verbs::{Held, described, end, refused, room};

macro_rules! semaphore_verbs {
    ($name:ident, $semaphore:ident) => {
        pub(super) fn $name<'a>(
            seat: &Seat,
            mark: Mark,
            verb: Verb,
            form: u64,
            semaphore: &'a $semaphore,
            held: &mut Held<Permit<'a>, OwnedPermit>,
        ) -> multiproc::Result<()> {
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
                    mark.around(|| drop(permit));
                }
                Verb::GiveBack => {
                    let permit = held.guards.pop();
                    mark.around(|| drop(permit));
                }
                Verb::GiveBarge => {
                    drop(held.guards.pop());
                    let permit = semaphore.try_acquire();
                    answer(seat, u64::from(permit.is_ok()));
                    held.guards.extend(permit);
                }
                Verb::Forget if is_owned(form) => {
                    if let Some(permit) = held.owned.pop() {
                        mark.around(|| permit.forget());
                    }
                }
                Verb::Forget => {
                    if let Some(permit) = held.guards.pop() {
                        mark.around(|| permit.forget());
                    }
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

semaphore_verbs!(simple, Semaphore);
semaphore_verbs!(bounded, BoundedSemaphore);

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

/// Releases permits. Tells whether so many were not too many.
pub(super) fn release(
    seat: &Seat,
    mark: Mark,
    props: &Props,
    which: u64,
    permits: u32,
) -> multiproc::Result<()> {
    mark.begin();
    let released = match props.simple_semaphore(which) {
        Some(semaphore) => semaphore.release(permits),
        None => props.bounded_semaphore.release(permits),
    };
    let told = match released {
        Err(error) if error.is_limit() => Ok(0),
        other => other.map(|()| 1),
    };
    end(seat, mark, told)
}
