//! What an actor does with locks, semaphores and events; see `actor`. For conditions and barriers: `round_verbs`.
//!
//! An order says which lock (0: `Lock`, 1: `RLock`, 2 and 3: the same, made to ignore the death of an
//! owner) or semaphore (0: `Semaphore`, 1: `BoundedSemaphore`, [`CROWDED`], [`COUNTED`], [`BLOCKLESS`]), and in which form (`forms`). An operation under test answers before its end, so that the answer is there
//! also if the victim is killed just then.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::time::Duration;

use multiproc::{
    Lock, LockGuard, OwnedLockGuard, OwnedPermit, OwnedRLockGuard, Owner, Permit, RLock,
    RLockGuard, Semaphore,
};

use super::actor::{Mark, answer};
use super::board::{HOLDING, Seat};
use super::data::Grip;
use super::forms::{BRIEF, BRIEF_DEADLINE, DEADLINE, IS_SET, TIMEOUT, Time, is_refusal};
use super::order::Verb;
use super::props::Props;
use super::{lock_verbs, round_verbs, semaphore_verbs};

/// The answer of who locked or acquired nothing, and was not to.
pub(crate) const REFUSED: u64 = u64::MAX;
/// In the number of a lock: it is re-entrant; it ignores deaths.
pub(crate) const REENTRANT: u64 = 1;
pub(crate) const IGNORING: u64 = 2;
/// The number of a semaphore in which a victim has no seat, and of one that is always counted.
pub(crate) const CROWDED: u64 = 2;
pub(crate) const COUNTED: u64 = 3;
/// The number of one as the first of these, without a block.
pub(crate) const BLOCKLESS: u64 = 4;
/// Of the once: the call waits for the event in the middle.
pub(crate) const WAITS: u64 = 1;
/// How many locks there are.
pub(crate) const LOCKS: u64 = 4;

/// Guards or permits of one kind.
#[derive(Debug)]
pub(super) struct Held<G, O> {
    pub(super) guards: Vec<G>,
    pub(super) owned: Vec<O>,
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
    pub(super) data: Grip<'a>,
}

impl Hands<'_> {
    pub(crate) fn new() -> Self {
        Self {
            locks: Held::new(),
            rlocks: Held::new(),
            permits: Held::new(),
            data: Grip::default(),
        }
    }
}

/// Performs what concerns a lock, a semaphore or an event.
pub(super) fn perform<'a>(
    seat: &Seat,
    mark: Mark,
    verb: Verb,
    which: u64,
    form: u64,
    props: &'a Props,
    hands: &mut Hands<'a>,
) -> multiproc::Result<()> {
    match verb {
        Verb::Set => {
            mark.around(|| props.event.set());
        }
        Verb::Clear => {
            mark.around(|| props.event.clear());
        }
        Verb::AskEvent => return ask_event(seat, mark, form, props),
        Verb::Wait => return wait(seat, mark, form, props),
        Verb::Await | Verb::Notify | Verb::Arrive | Verb::Party | Verb::Abort | Verb::Reset => {
            return round_verbs::perform(seat, mark, verb, which, form, props);
        }
        Verb::CallOnce => return once(seat, mark, which, props),
        Verb::Nested => return lock_verbs::nested(seat, mark, &props.rlock),
        Verb::Depths => return lock_verbs::depths(seat, props.reentrant_lock(which)),
        Verb::Acquire
        | Verb::GiveBack
        | Verb::GiveBarge
        | Verb::GiveAll
        | Verb::Forget
        | Verb::Available
        | Verb::AskSemaphore => {
            let permits = &mut hands.permits;
            return match props.simple_semaphore(which) {
                Some(semaphore) => {
                    semaphore_verbs::simple(seat, mark, verb, form, semaphore, permits)
                }
                None => {
                    let semaphore = &props.bounded_semaphore;
                    semaphore_verbs::bounded(seat, mark, verb, form, semaphore, permits)
                }
            };
        }
        _ if which & REENTRANT == 0 => {
            let locks = &mut hands.locks;
            return lock_verbs::simple(seat, mark, verb, form, props.simple_lock(which), locks);
        }
        _ => {
            let (lock, locks) = (props.reentrant_lock(which), &mut hands.rlocks);
            return lock_verbs::reentrant(seat, mark, verb, form, lock, locks);
        }
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

    /// The semaphore with this number, unless it is bounded.
    pub(crate) fn simple_semaphore(&self, which: u64) -> Option<&Semaphore> {
        match which {
            0 => Some(&self.semaphore),
            CROWDED => Some(&self.crowded_semaphore),
            COUNTED => Some(&self.counted_semaphore),
            BLOCKLESS => Some(&self.blockless_semaphore),
            _ => None,
        }
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

/// Everything used once, while nobody else uses it. A victim gets no seat that others could want.
pub(crate) fn warm(props: &Props, is_victim: bool) -> multiproc::Result<()> {
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
    if !is_victim {
        drop(props.crowded_semaphore.acquire()?);
        drop(props.blockless_semaphore.acquire()?);
    }
    drop(props.counted_semaphore.acquire()?);
    black_box(props.semaphore.available());
    black_box(props.bounded_semaphore.available());
    round_verbs::warm(props)?;
    props.event.set();
    props.event.wait()?;
    props.event.clear();
    props.event.wait_timeout(Duration::ZERO).map(drop)
}

/// The end of an operation under test that tells one thing, or failed.
#[inline(always)]
pub(super) fn end(seat: &Seat, mark: Mark, told: multiproc::Result<u64>) -> multiproc::Result<()> {
    if let Ok(told) = told {
        answer(seat, told);
    }
    mark.end();
    told.map(drop)
}

/// What a refusal is told as.
#[inline(always)]
pub(super) fn refused(form: u64, error: multiproc::Error) -> multiproc::Result<u64> {
    if is_refusal(form, &error) { Ok(REFUSED) } else { Err(error) }
}

/// A text of which nothing is allocated later on.
pub(super) fn room() -> String {
    String::with_capacity(1000)
}

fn wait(seat: &Seat, mark: Mark, form: u64, props: &Props) -> multiproc::Result<()> {
    let event = &props.event;
    let time = Time::of(form);
    mark.begin();
    let done = match form {
        TIMEOUT | BRIEF => event.wait_timeout(time.timeout),
        DEADLINE | BRIEF_DEADLINE => event.wait_deadline(time.deadline),
        _ => event.wait().map(|()| true),
    };
    end(seat, mark, done.map(u64::from))
}

fn once(seat: &Seat, mark: Mark, which: u64, props: &Props) -> multiproc::Result<()> {
    let words = props.once.clone().leak();
    let body = || {
        mark.at(HOLDING);
        words.times.fetch_add(1, Ordering::SeqCst);
        if which == WAITS { props.event.wait() } else { Ok(()) }
    };
    mark.begin();
    let done = words.once.call_once(body);
    end(seat, mark, done.map(u64::from))
}

fn ask_event(seat: &Seat, mark: Mark, form: u64, props: &Props) -> multiproc::Result<()> {
    let event = &props.event;
    let mut text = room();
    mark.begin();
    let told = match form {
        IS_SET => event.is_set().into(),
        _ => described(&mut text, event),
    };
    end(seat, mark, Ok(told))
}

/// Writes down what an object says of itself; tells how much that is.
pub(super) fn described(text: &mut String, object: &impl std::fmt::Debug) -> u64 {
    write!(text, "{object:?}").map_or(0, |()| text.len() as u64)
}
