//! One call of a pool's user: where its results go, and who waits for them.
//!
//! Results are decoded by the pool's collector, as they come, but for long ones of `imap` (see `stream`). When the last one is there,
//! the callbacks run, and then those who wait are woken. A call that has its answer takes no more results.

use std::cell::RefCell;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};

use parking_lot::{Condvar, Mutex};

use super::frame::{Long, Results};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Claimed;
use crate::sys::clock::Deadline;
use crate::sys::per_process;

/// How many results of a message a call took, and how many of them were errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) count: u32,
    pub(super) failed: u32,
}

/// What the collector gives results to.
pub(super) trait Call: Send + Sync {
    /// Results of the tasks from `first` on, with the handles in them.
    fn take(&self, first: usize, results: Results<'_>, given: Claimed) -> Taken;

    /// The long result of one task. Its call may keep it as it is.
    fn take_long(&self, at: usize, long: Long) -> Taken {
        self.take(at, long.results(), Claimed::default())
    }

    /// Tasks that will have no results.
    fn fail(&self, first: usize, count: usize, error: &Error);

    /// Whether its user collects its results, so that nobody needs to while he is away.
    fn is_collected_by_its_user(&self) -> bool {
        false
    }
}

/// Brings back one result.
pub(super) type Decode<R> = fn(&[u8], Claimed) -> Result<R>;

/// Decodes a result; a panic of the user's `Deserialize` is the task's error.
pub(super) fn decode<R>(decode: Decode<R>, result: Result<&[u8]>, given: Claimed) -> Result<R> {
    let bytes = result?;
    std::panic::catch_unwind(AssertUnwindSafe(|| decode(bytes, given))).unwrap_or_else(|_| {
        let text = "the Deserialize of the result panicked; standard error has the message";
        Err(Error::of(ErrorKind::Decode, text))
    })
}

/// Hands each result of a message to `keep`, decoded; the handles go with the first.
pub(super) fn decode_all<R>(
    with: Decode<R>,
    results: Results<'_>,
    given: Claimed,
    mut keep: impl FnMut(Result<R>),
) -> Taken {
    let mut taken = Taken::default();
    let mut given = Some(given);
    for result in results {
        let result = decode(with, result, given.take().unwrap_or_default());
        taken.count += 1;
        taken.failed += u32::from(result.is_err());
        keep(result);
    }
    taken
}

thread_local! {
    /// The pools for which this thread is collecting results; a callback of one may wait for another.
    static COLLECTING: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f`, in which the calling thread collects the results of this pool.
pub(super) fn as_collector<R>(pool: u64, f: impl FnOnce() -> R) -> R {
    COLLECTING.with_borrow_mut(|pools| pools.push(pool));
    let result = f();
    COLLECTING.with_borrow_mut(|pools| pools.pop());
    result
}

/// Whether the calling thread is collecting for this pool, and so a callback.
pub(super) fn is_collector(pool: u64) -> bool {
    COLLECTING.with_borrow(|pools| pools.contains(&pool))
}

/// What a thread that waits can do meanwhile.
pub(super) trait Help: Send + Sync {
    /// Collects results until `is_over` or the time is over. If another thread does, the pool's own is called, to go on for it.
    fn help(&self, is_over: &mut dyn FnMut() -> bool, until: Deadline);
}

/// An error for a callback that waits for its own pool.
pub(super) fn check_waiting(pool: u64) -> Result<()> {
    if !is_collector(pool) {
        return Ok(());
    }
    Err(Error::of(
        ErrorKind::Deadlock,
        "a callback of a pool would wait for the pool, which waits for the callback: hand the work to another thread",
    ))
}

/// Waits on a condition variable until `is_over` or the time is over; whether it is.
pub(super) fn wait_for<S>(
    condition: &Condvar,
    state: &mut parking_lot::MutexGuard<'_, S>,
    until: Deadline,
    mut is_over: impl FnMut(&mut S) -> bool,
) -> bool {
    let instant = until.instant();
    loop {
        if is_over(state) {
            return true;
        }
        match instant {
            None => condition.wait(state),
            Some(_) if until.is_over() => return false,
            Some(instant) => drop(condition.wait_until(state, instant)),
        }
    }
}

type OnDone<T> = Box<dyn FnOnce(&T) + Send>;
type OnError = Box<dyn FnOnce(&Error) + Send>;

enum State<T> {
    Waiting,
    /// There, and nobody has taken it.
    There(Result<T>),
    /// Taken; whether it was a value.
    Taken(bool),
}

struct Callbacks<T> {
    on_done: Vec<OnDone<T>>,
    on_error: Vec<OnError>,
}

/// What a call brings in the end.
pub(super) struct Answer<T> {
    pool: u64,
    /// The process that waits for it.
    process: u64,
    help: Weak<dyn Help>,
    state: Mutex<(State<T>, Callbacks<T>)>,
    there: Condvar,
}

impl<T> Answer<T> {
    pub(super) fn new(pool: u64, help: Weak<dyn Help>) -> Answer<T> {
        let callbacks = Callbacks { on_done: Vec::new(), on_error: Vec::new() };
        Answer {
            pool,
            process: per_process::process(),
            help,
            state: Mutex::new((State::Waiting, callbacks)),
            there: Condvar::new(),
        }
    }

    /// It is there. The first one counts.
    pub(super) fn set(&self, result: Result<T>) {
        loop {
            let mut state = self.state.lock();
            if !matches!(state.0, State::Waiting) {
                return;
            }
            let callbacks = &mut state.1;
            if callbacks.on_done.is_empty() && callbacks.on_error.is_empty() {
                state.0 = State::There(result);
                self.there.notify_all();
                return;
            }
            let (on_done, on_error) =
                (std::mem::take(&mut callbacks.on_done), std::mem::take(&mut callbacks.on_error));
            // A callback may use the pool, and this very answer.
            drop(state);
            tell(&result, on_done, on_error);
        }
    }

    /// Calls `callback` with the result, now or when it is there.
    pub(super) fn add(&self, on_done: Option<OnDone<T>>, on_error: Option<OnError>) {
        let mut state = self.state.lock();
        match &state.0 {
            State::Waiting => {
                state.1.on_done.extend(on_done);
                state.1.on_error.extend(on_error);
            }
            State::There(result) => {
                tell(result, on_done.into_iter().collect(), on_error.into_iter().collect());
            }
            State::Taken(_) => {}
        }
    }

    fn check(&self) -> Result<()> {
        if self.process == per_process::process() {
            return Ok(());
        }
        Err(foreign("the result of a pool's task"))
    }

    /// Waits until it is there; whether it is.
    pub(super) fn wait(&self, until: Deadline) -> Result<bool> {
        self.check()?;
        let is_there = |state: &mut (State<T>, _)| !matches!(state.0, State::Waiting);
        if !is_there(&mut self.state.lock()) && !until.is_over() {
            check_waiting(self.pool)?;
            if let Some(help) = self.help.upgrade() {
                help.help(&mut || is_there(&mut self.state.lock()), until);
            }
        }
        Ok(wait_for(&self.there, &mut self.state.lock(), until, is_there))
    }

    /// Waits until it is there, and takes it.
    pub(super) fn get(&self, until: Deadline) -> Result<T> {
        if !self.wait(until)? {
            return Err(Error::simple(ErrorKind::Timeout));
        }
        let mut state = self.state.lock();
        let is_value = matches!(state.0, State::There(Ok(_)) | State::Taken(true));
        match std::mem::replace(&mut state.0, State::Taken(is_value)) {
            State::There(result) => result,
            _ => {
                let text = "the result of this task was taken already: get gives it once";
                Err(Error::of(ErrorKind::InvalidInput, text))
            }
        }
    }

    /// Whether it is there; whether it is a value.
    pub(super) fn look(&self) -> (bool, bool) {
        if self.check().is_err() {
            return (false, false);
        }
        match &self.state.lock().0 {
            State::Waiting => (false, false),
            State::There(result) => (true, result.is_ok()),
            State::Taken(is_value) => (true, *is_value),
        }
    }
}

/// The error of an object of a pool in a forked process.
pub(super) fn foreign(what: &str) -> Error {
    let text = format!(
        "{what} was inherited over a fork, and belongs to the process that forked: make a pool in this one"
    );
    Error::of(ErrorKind::Foreign, text)
}

fn tell<T>(result: &Result<T>, on_done: Vec<OnDone<T>>, on_error: Vec<OnError>) {
    match result {
        Ok(value) => on_done.into_iter().for_each(|callback| run(|| callback(value))),
        Err(error) => on_error.into_iter().for_each(|callback| run(|| callback(error))),
    }
}

/// Runs code of the user that the pool does not depend on; a panic has been reported by the panic hook.
pub(super) fn run(f: impl FnOnce()) {
    let _ = std::panic::catch_unwind(AssertUnwindSafe(f));
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (is_ready, is_successful) = self.look();
        f.debug_struct("Answer")
            .field("is_ready", &is_ready)
            .field("is_successful", &is_successful)
            .finish()
    }
}

/// Puts the results of all tasks together.
type Finish<R, T> = fn(Vec<Option<Result<R>>>) -> Result<T>;

/// A call whose results are wanted all at once.
pub(super) struct Gather<R, T> {
    decode: Decode<R>,
    finish: Finish<R, T>,
    /// The results by task, and how many are missing.
    slots: Mutex<(Vec<Option<Result<R>>>, usize)>,
    pub(super) answer: Arc<Answer<T>>,
}

impl<R> Gather<R, R> {
    /// The only task's result.
    pub(super) fn one(decode: Decode<R>, answer: Arc<Answer<R>>) -> Gather<R, R> {
        Gather::of(1, decode, |mut all| all.pop().flatten().unwrap_or_else(lost), answer)
    }
}

impl<R> Gather<R, Vec<R>> {
    /// All results in the order of the tasks, or the error of the first task that failed.
    pub(super) fn all(
        count: usize,
        decode: Decode<R>,
        answer: Arc<Answer<Vec<R>>>,
    ) -> Gather<R, Vec<R>> {
        let finish = |all: Vec<Option<Result<R>>>| {
            all.into_iter().map(|result| result.unwrap_or_else(lost)).collect()
        };
        Gather::of(count, decode, finish, answer)
    }
}

#[cold]
fn lost<R>() -> Result<R> {
    Err(Error::of(ErrorKind::Corrupted, "a task of the pool has no result"))
}

impl<R, T> Gather<R, T> {
    fn of(
        count: usize,
        decode: Decode<R>,
        finish: Finish<R, T>,
        answer: Arc<Answer<T>>,
    ) -> Gather<R, T> {
        let slots = Mutex::new(((0..count).map(|_| None).collect(), count));
        Gather { decode, finish, slots, answer }
    }

    /// The call ends with this error, whatever comes for it.
    pub(super) fn give_up(&self, error: Error) {
        // What comes finds no slots.
        let left = std::mem::take(&mut self.slots.lock().0);
        drop(left);
        self.answer.set(Err(error));
    }

    /// The results of consecutive tasks from `first` on. Those that are there already stay.
    fn put(&self, first: usize, results: impl IntoIterator<Item = Result<R>>) {
        // What is not kept is dropped without the lock: it is a user's.
        let (mut results, mut spare) = (results.into_iter(), Vec::new());
        let mut slots = self.slots.lock();
        let (all, missing) = &mut *slots;
        let places = all.get_mut(first..).unwrap_or_default();
        for (slot, result) in places.iter_mut().zip(results.by_ref()) {
            if slot.is_none() {
                *slot = Some(result);
                *missing -= 1;
            } else {
                spare.push(result);
            }
        }
        if *missing > 0 || all.is_empty() {
            return;
        }
        let all = std::mem::take(all);
        drop(slots);
        self.answer.set((self.finish)(all));
    }
}

impl<R: Send, T: Send> Call for Gather<R, T> {
    fn take(&self, first: usize, results: Results<'_>, given: Claimed) -> Taken {
        // Decoded first: no lock is held while code of the user runs.
        let mut all = Vec::with_capacity(results.at_most());
        let taken = decode_all(self.decode, results, given, |result| all.push(result));
        self.put(first, all);
        taken
    }

    fn fail(&self, first: usize, count: usize, error: &Error) {
        self.put(first, (0..count).map(|_| Err(error.again())));
    }
}
