//! What an actor does with whole objects of the family: makes them, clones them, drops them; see
//! `actor`.
//!
//! The first argument of an order says of what kind (a place in [`Made::new`]), the second what to do
//! (`forms`), or how many to make.

use multiproc::{BoundedSemaphore, Event, Lock, RLock, Semaphore};

use super::actor::{Mark, Verb};
use super::board::Seat;
use super::forms::{CLONE, DROP};

/// Kinds of objects.
const KINDS: u64 = 7;

/// An object that an actor has made for itself.
#[derive(Clone, Debug)]
pub(crate) enum Made {
    Lock(Lock),
    RLock(RLock),
    Semaphore(Semaphore),
    BoundedSemaphore(BoundedSemaphore),
    Event(Event),
}

impl Made {
    #[inline(always)]
    fn new(kind: u64) -> multiproc::Result<Self> {
        Ok(match kind {
            0 => Self::Lock(Lock::new()?),
            1 => Self::Lock(Lock::builder().ignore_owner_death(true).build()?),
            2 => Self::RLock(RLock::new()?),
            3 => Self::RLock(RLock::builder().ignore_owner_death(true).build()?),
            4 => Self::Semaphore(Semaphore::new(1)?),
            5 => Self::BoundedSemaphore(BoundedSemaphore::new(1)?),
            _ => Self::Event(Event::new()?),
        })
    }

    /// Whether it is as a new one, and works.
    fn is_good(&self) -> multiproc::Result<bool> {
        Ok(match self {
            Self::Lock(lock) => {
                !lock.is_locked() && {
                    let _guard = lock.lock()?;
                    lock.is_locked()
                }
            }
            Self::RLock(lock) => {
                lock.depth() == 0 && {
                    let _guards = [lock.lock()?, lock.lock()?];
                    lock.depth() == 2
                }
            }
            Self::Semaphore(semaphore) => {
                let permit = semaphore.acquire()?;
                let refused = semaphore.try_acquire().is_err();
                drop(permit);
                refused && semaphore.available() == 1
            }
            Self::BoundedSemaphore(semaphore) => {
                let permit = semaphore.acquire()?;
                let refused = semaphore.release(1).is_err();
                drop(permit);
                refused && semaphore.available() == 1
            }
            Self::Event(event) => {
                let was_set = event.is_set();
                event.set();
                event.wait()?;
                !was_set
            }
        })
    }
}

/// Room for what [`Verb::Hoard`] makes, and more.
pub(crate) fn room() -> Vec<Made> {
    Vec::with_capacity(256)
}

/// Performs what concerns whole objects.
pub(super) fn perform(
    seat: &Seat,
    mark: Mark,
    verb: Verb,
    made: &mut Vec<Made>,
) -> multiproc::Result<()> {
    let kind = seat.argument(0);
    match (verb, seat.argument(1)) {
        (Verb::Hoard, count) => {
            for _ in 0..count {
                made.push(Made::new(kind)?);
            }
        }
        (Verb::Make, CLONE) => {
            if let Some(last) = made.last() {
                mark.begin();
                let clone = last.clone();
                mark.end();
                made.push(clone);
            }
        }
        (Verb::Make, DROP) => {
            let last = made.pop();
            mark.begin();
            drop(last);
            mark.end();
        }
        (Verb::Make, _) => {
            mark.begin();
            let new = Made::new(kind);
            mark.end();
            made.push(new?);
        }
        (Verb::MakeAll, _) => {
            for kind in 0..KINDS {
                let one = Made::new(kind)?;
                let other = one.clone();
                if !one.is_good()? {
                    return Err(multiproc::Error::other(format!("{one:?}, just made, is not new")));
                }
                drop(one);
                drop(other);
            }
        }
        _ => made.clear(),
    }
    Ok(())
}
