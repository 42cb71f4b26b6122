//! A call whose results are wanted one by one: those of `imap`.

use std::collections::VecDeque;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

use super::call::{Call, Decode, Help, Taken, check_waiting, decode_all, wait_for};
use super::frame::Results;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Claimed;
use crate::sys::clock::Deadline;

/// The results that nobody has taken.
struct Kept<R> {
    /// The number of the task whose result is to be taken next, where the order counts.
    next: usize,
    /// In the order of the tasks, with room for those that are missing; or as they came.
    results: VecDeque<Option<Result<R>>>,
}

/// Results that are taken one by one, in the order of the tasks or as they come.
pub(super) struct Stream<R> {
    pool: u64,
    help: Weak<dyn Help>,
    decode: Decode<R>,
    is_ordered: bool,
    kept: Mutex<Kept<R>>,
    there: Condvar,
    /// Whether the results that came last were long.
    is_long: AtomicBool,
}

/// From so many bytes on the results of a message are long.
const LONG: usize = 256 << 10;

impl<R> Stream<R> {
    pub(super) fn new(
        pool: u64,
        help: Weak<dyn Help>,
        decode: Decode<R>,
        is_ordered: bool,
    ) -> Stream<R> {
        let kept = Mutex::new(Kept { next: 0, results: VecDeque::new() });
        let is_long = AtomicBool::new(false);
        Stream { pool, help, decode, is_ordered, kept, there: Condvar::new(), is_long }
    }

    /// Whether results are so long that few of them should be under way.
    pub(super) fn is_long(&self) -> bool {
        // ORDERING: Relaxed: nothing but the answer itself is of interest.
        self.is_long.load(Ordering::Relaxed)
    }

    fn put(&self, at: usize, result: Result<R>) {
        let mut kept = self.kept.lock();
        if !self.is_ordered {
            return kept.results.push_back(Some(result));
        }
        let Some(place) = at.checked_sub(kept.next) else { return };
        while kept.results.len() <= place {
            kept.results.push_back(None);
        }
        if let Some(slot @ None) = kept.results.get_mut(place) {
            *slot = Some(result);
        }
    }

    /// Whether the next result is there.
    pub(super) fn has_next(&self) -> bool {
        matches!(self.kept.lock().results.front(), Some(Some(_)))
    }

    /// Waits for the next result and takes it.
    pub(super) fn get(&self, until: Deadline) -> Result<Result<R>> {
        if !self.has_next() && !until.is_over() {
            check_waiting(self.pool)?;
            if let Some(help) = self.help.upgrade() {
                help.help(&mut || self.has_next(), until);
            }
        }
        let mut kept = self.kept.lock();
        let has_next = |kept: &mut Kept<R>| matches!(kept.results.front(), Some(Some(_)));
        if !wait_for(&self.there, &mut kept, until, has_next) {
            return Err(Error::simple(ErrorKind::Timeout));
        }
        kept.next += 1;
        kept.results.pop_front().flatten().ok_or_else(|| Error::simple(ErrorKind::Corrupted))
    }
}

impl<R: Send> Call for Stream<R> {
    fn take(&self, first: usize, results: Results<'_>, given: Claimed) -> Taken {
        self.is_long.store(results.len() >= LONG, Ordering::Relaxed);
        let mut at = first;
        let taken = decode_all(self.decode, results, given, |result| {
            self.put(at, result);
            at += 1;
        });
        self.there.notify_one();
        taken
    }

    fn fail(&self, first: usize, count: usize, error: &Error) {
        (first..first + count).for_each(|at| self.put(at, Err(error.again())));
        self.there.notify_one();
    }

    /// Tasks are given where results are taken, and no more than the workers can have: they want for nothing meanwhile.
    fn is_collected_by_its_user(&self) -> bool {
        true
    }
}
