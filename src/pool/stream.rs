//! A call whose results are wanted one by one: those of `imap`.
//!
//! A long result stays where its worker put it until it is taken, and is copied out then. So a user who drops one result before the
//! next has memory for one of them, the same each time. Copied as they came, several were there at once, and what glibc gives
//! back when they are dropped it had to ask for again, page by page: 1 GiB in pieces of 1 MiB took half as long again.

use std::collections::VecDeque;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use super::call::{Call, Decode, Help, Taken, check_waiting, decode, decode_all, wait_for};
use super::frame::{Long, Results, cut};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Claimed;
use crate::sys::clock::Deadline;

/// A result that nobody has taken.
enum Item<R> {
    Decoded(Result<R>),
    Long(Long),
}

/// The results that nobody has taken.
struct Kept<R> {
    /// The number of the task whose result is to be taken next, where the order counts.
    next: usize,
    /// In the order of the tasks, with room for those that are missing; or as they came.
    results: VecDeque<Option<Item<R>>>,
}

/// Results that are taken one by one, in the order of the tasks or as they come.
pub(super) struct Stream<R> {
    pool: u64,
    help: Weak<dyn Help>,
    decode: Decode<R>,
    is_ordered: bool,
    kept: Mutex<Kept<R>>,
    there: Condvar,
    /// How many bytes each result of the last message took.
    len: AtomicUsize,
}

impl<R> Stream<R> {
    pub(super) fn new(
        pool: u64,
        help: Weak<dyn Help>,
        decode: Decode<R>,
        is_ordered: bool,
    ) -> Stream<R> {
        let kept = Mutex::new(Kept { next: 0, results: VecDeque::new() });
        let len = AtomicUsize::new(0);
        Stream { pool, help, decode, is_ordered, kept, there: Condvar::new(), len }
    }

    /// About how many bytes a result takes, by those that came last; 0 before that.
    pub(super) fn result_len(&self) -> usize {
        // ORDERING: Relaxed: nothing but the answer itself is of interest.
        self.len.load(Ordering::Relaxed)
    }

    fn note_len(&self, results: &Results<'_>) {
        self.len.store(results.len() / results.at_most().max(1), Ordering::Relaxed);
    }

    fn put(&self, at: usize, item: Item<R>) {
        let mut kept = self.kept.lock();
        if !self.is_ordered {
            return kept.results.push_back(Some(item));
        }
        let Some(place) = at.checked_sub(kept.next) else { return };
        while kept.results.len() <= place {
            kept.results.push_back(None);
        }
        if let Some(slot @ None) = kept.results.get_mut(place) {
            *slot = Some(item);
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
        let item = kept.results.pop_front().flatten();
        drop(kept);
        match item.ok_or_else(|| Error::simple(ErrorKind::Corrupted))? {
            Item::Decoded(result) => Ok(result),
            Item::Long(long) => {
                let result = long.results().next().unwrap_or_else(|| Err(cut()));
                Ok(decode(self.decode, result, Claimed::default()))
            }
        }
    }
}

impl<R: Send> Call for Stream<R> {
    fn take(&self, first: usize, results: Results<'_>, given: Claimed) -> Taken {
        self.note_len(&results);
        let mut at = first;
        let taken = decode_all(self.decode, results, given, |result| {
            self.put(at, Item::Decoded(result));
            at += 1;
        });
        self.there.notify_one();
        taken
    }

    fn take_long(&self, at: usize, long: Long) -> Taken {
        self.note_len(&long.results());
        self.put(at, Item::Long(long.keep()));
        self.there.notify_one();
        Taken { count: 1, failed: 0 }
    }

    fn fail(&self, first: usize, count: usize, error: &Error) {
        (first..first + count).for_each(|at| self.put(at, Item::Decoded(Err(error.again()))));
        self.there.notify_one();
    }

    /// Tasks are given where results are taken, and no more than the workers can have: they want for nothing meanwhile.
    fn is_collected_by_its_user(&self) -> bool {
        true
    }
}
