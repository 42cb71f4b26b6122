//! What an actor does with the condition and the barrier; see `sync_verbs`.

use std::hint::black_box;
use std::time::Duration;

use multiproc::LockGuard;

use super::actor::Mark;
use super::board::Seat;
use super::forms::{BRIEF, Time};
use super::order::Verb;
use super::props::Props;
use super::sync_verbs::end;

pub(super) fn perform(
    seat: &Seat,
    mark: Mark,
    verb: Verb,
    which: u64,
    form: u64,
    props: &Props,
) -> multiproc::Result<()> {
    match verb {
        Verb::Await => wait(seat, mark, form, props),
        Verb::Notify => {
            mark.around(|| match which {
                0 => props.condition.notify_all(),
                1 => props.condition.notify_one(),
                many => props.condition.notify(many as usize),
            });
            Ok(())
        }
        Verb::Arrive => {
            mark.begin();
            let told = match props.barrier.wait() {
                Ok(_) => Ok(1),
                Err(error) if error.is_broken() => Ok(0),
                Err(error) => Err(error),
            };
            end(seat, mark, told)
        }
        Verb::Abort => mark.around(|| props.barrier.abort()),
        Verb::Reset => mark.around(|| props.barrier.reset()),
        _ => props.barrier.party(),
    }
}

/// The lock, though somebody died with it.
fn lock(props: &Props) -> multiproc::Result<LockGuard<'_>> {
    match props.lock.lock() {
        Err(error) if error.is_owner_died() => props.lock.recover(),
        outcome => outcome,
    }
}

/// The wait alone is under test, not the locking before it.
fn wait(seat: &Seat, mark: Mark, form: u64, props: &Props) -> multiproc::Result<()> {
    let mut guard = lock(props)?;
    let timeout = Time::of(form).timeout;
    mark.begin();
    let done = match form {
        BRIEF => props.condition.wait_timeout(&mut guard, timeout),
        _ => props.condition.wait(&mut guard).map(|()| true),
    };
    let told = match done {
        Err(error) if error.is_owner_died() => Ok(1),
        outcome => outcome.map(u64::from),
    };
    end(seat, mark, told)
}

/// Everything used once. The barrier would have a member, whose death would be missed.
pub(super) fn warm(props: &Props) -> multiproc::Result<()> {
    props.condition.notify_all();
    props.condition.wait_timeout(&mut lock(props)?, Duration::ZERO)?;
    black_box(props.barrier.is_broken());
    Ok(())
}
