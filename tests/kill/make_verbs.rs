//! What an actor does with whole objects of the family: makes them, clones them, drops them; see
//! `actor`.

use multiproc::{
    Array, Atomic, BoundedSemaphore, Event, Lock, RLock, Semaphore, Shared, SharedList,
    SharedMemory, Value,
};

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::actor::Mark;
use super::forms::{CLONE, DROP};
use super::order::Verb;

/// Kinds of objects.
const KINDS: u64 = 14;

/// An object that an actor has made for itself.
#[derive(Clone, Debug)]
pub(crate) enum Made {
    Lock(Lock),
    RLock(RLock),
    Semaphore(Semaphore),
    BoundedSemaphore(BoundedSemaphore),
    Event(Event),
    Value(Value<u64>),
    LargeValue(Value<[u64; 8]>),
    Atomic(Atomic<u64>),
    Array(Array<u64>),
    Memory(SharedMemory),
    List(SharedList),
    Shared(Shared<[AtomicU64; 8]>),
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
            6 => Self::Event(Event::new()?),
            7 => Self::Value(Value::new(5)?),
            8 => Self::LargeValue(Value::new([5; 8])?),
            9 => Self::Atomic(Atomic::new(5)?),
            10 => Self::Array(Array::zeroed(8)?),
            11 => Self::Memory(SharedMemory::new(64)?),
            12 => Self::List(SharedList::new(["five".into()])?),
            _ => Self::Shared(Shared::new([const { AtomicU64::new(5) }; 8])?),
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
            Self::Value(value) => value.swap(6)? == 5,
            Self::LargeValue(value) => value.swap([6; 8])? == [5; 8],
            Self::Atomic(number) => number.swap(6) == 5,
            Self::Array(array) => {
                let was_new = array.to_vec()? == [0; 8];
                array.fill(6)?;
                was_new
            }
            Self::Memory(memory) => {
                let mut bytes = [1; 64];
                memory.read(0, &mut bytes)?;
                memory.write(0, &[6; 64])?;
                bytes == [0; 64]
            }
            Self::List(list) => {
                let was_new = list.get(0)? == "five".into();
                list.set(0, 6)?;
                was_new
            }
            Self::Shared(words) => words.iter().all(|word| word.swap(6, Relaxed) == 5),
        })
    }
}

/// Room for what [`Verb::Hoard`] makes, and more.
pub(crate) fn room() -> Vec<Made> {
    Vec::with_capacity(256)
}

/// Performs what concerns whole objects of a kind, a place in [`Made::new`]. `what` is a form, or how
/// many to make.
pub(super) fn perform(
    mark: Mark,
    verb: Verb,
    kind: u64,
    what: u64,
    made: &mut Vec<Made>,
) -> multiproc::Result<()> {
    match (verb, what) {
        (Verb::Hoard, count) => {
            for _ in 0..count {
                made.push(Made::new(kind)?);
            }
        }
        (Verb::Make, CLONE) => {
            if let Some(last) = made.last() {
                let clone = mark.around(|| last.clone());
                made.push(clone);
            }
        }
        (Verb::Make, DROP) => {
            let last = made.pop();
            mark.around(|| drop(last));
        }
        (Verb::Make, _) => {
            let new = mark.around(|| Made::new(kind));
            made.push(new?);
        }
        (Verb::MakeAll, _) => return make_all(),
        _ => made.clear(),
    }
    Ok(())
}

/// Makes, uses and drops one of each kind.
pub(super) fn make_all() -> multiproc::Result<()> {
    for kind in 0..KINDS {
        let one = Made::new(kind)?;
        let other = one.clone();
        if !one.is_good()? {
            return Err(multiproc::Error::other(format!("{one:?}, just made, is not new")));
        }
        drop(one);
        drop(other);
    }
    Ok(())
}
