//! A call whose results are wanted one by one: those of `imap`.
//!
//! A long result stays where its worker put it until it is taken, and is copied out then. So a user who drops one result before the
//! next has memory for one of them, the same each time. Copied as they came, several were there at once, and what glibc gives
//! back when they are dropped it had to ask for again, page by page: a fifth of the time of 1 GiB in pieces of 1 MiB.

use std::collections::VecDeque;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use super::call::{Call, Decode, Help, Taken, check_waiting, decode, decode_all, wait_for};
use super::frame::{Long, Results, cut};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Claimed;
use crate::sys::clock::Deadline;
use crate::world;

/// A result that nobody has taken.
enum Item<R> {
    Decoded(Result<R>),
    Long(Long),
}

impl<R> Item<R> {
    /// Bytes in shared memory.
    fn len(&self) -> usize {
        match self {
            Item::Decoded(_) => 0,
            Item::Long(long) => long.results().len(),
        }
    }
}

/// Long results of one call that wait take no more shared memory than this, in bytes: the others are copied as they come.
pub(super) const WAITING: usize = 16 << 20;
/// Nor do they take more than this part of the memory of the machine or control group: a sixteenth of what messages may take.
const PART: u64 = 64;

/// The results that nobody has taken.
struct Kept<R> {
    /// The number of the task whose result is to be taken next, where the order counts.
    next: usize,
    /// In the order of the tasks, with room for those that are missing; or as they came.
    results: VecDeque<Option<Item<R>>>,
    /// Bytes of shared memory in them.
    waiting: usize,
    /// Whether nobody will take any.
    is_abandoned: bool,
}

impl<R> Kept<R> {
    /// Keeps a result; gives it back if nobody wants it.
    fn put(&mut self, at: usize, item: Item<R>, is_ordered: bool) -> Option<Item<R>> {
        if self.is_abandoned {
            return Some(item);
        }
        let place = if is_ordered { at.checked_sub(self.next) } else { Some(self.results.len()) };
        let Some(place) = place else { return Some(item) };
        while self.results.len() <= place {
            self.results.push_back(None);
        }
        match self.results.get_mut(place) {
            Some(slot @ None) => {
                self.waiting += item.len();
                *slot = Some(item);
                None
            }
            _ => Some(item),
        }
    }

    /// Takes the next one.
    fn take(&mut self) -> Option<Item<R>> {
        self.next += 1;
        let item = self.results.pop_front().flatten()?;
        self.waiting -= item.len();
        Some(item)
    }
}

/// Results that are taken one by one, in the order of the tasks or as they come.
pub(super) struct Stream<R> {
    pool: u64,
    help: Weak<dyn Help>,
    decode: Decode<R>,
    is_ordered: bool,
    kept: Mutex<Kept<R>>,
    there: Condvar,
    /// So many bytes of long results may wait.
    room: usize,
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
        let kept =
            Mutex::new(Kept { next: 0, results: VecDeque::new(), waiting: 0, is_abandoned: false });
        let memory = world::current().map_or(0, |world| world.memory.limit);
        let room = WAITING.min(usize::try_from(memory / PART).unwrap_or(WAITING));
        let len = AtomicUsize::new(0);
        Stream { pool, help, decode, is_ordered, kept, there: Condvar::new(), room, len }
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
        let spare = self.kept.lock().put(at, item, self.is_ordered);
        // It may be a user's: without the lock.
        drop(spare);
    }

    /// Nobody will take any more results.
    pub(super) fn abandon(&self) {
        let left = {
            let mut kept = self.kept.lock();
            kept.is_abandoned = true;
            kept.waiting = 0;
            std::mem::take(&mut kept.results)
        };
        drop(left);
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
        let item = kept.take();
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
        let results = long.results();
        if self.kept.lock().waiting + results.len() > self.room {
            return self.take(at, results, Claimed::default());
        }
        self.note_len(&results);
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
