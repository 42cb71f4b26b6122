//! One handle's view of a queue of records: what both sides do.

use super::chunk::{Cached, chunk_at};
use super::lines::{CHANGE, CLOSED, HeadLine, Stamp, TailLine};
use super::pace::Pace;
use super::store::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::liveness::Id;
#[cfg(test)]
use crate::raw::event_count::EventCount;
use crate::raw::lock::Outcome;
use crate::raw::short_lock::{self, ShortLock};
use crate::sys::atomic::Ordering;
use crate::sys::barrier;
use crate::sys::clock::Deadline;
use std::time::Duration;

/// How long an attempt without waiting waits for a process that is inside the queue: only a stopped one stays that long.
const PATIENCE: Duration = Duration::from_millis(100);

/// One handle's view of a queue of records.
pub(crate) struct Records<S> {
    pub(crate) store: S,
    pub(super) head: &'static HeadLine,
    pub(super) tail: &'static TailLine,
    /// 0 for no limit, as in the tail line.
    pub(super) most_items: u32,
    pub(super) most_bytes: u64,
    pub(super) pace: Pace,
    pub(super) tail_chunk: Cached,
    pub(super) head_chunk: Cached,
}

impl<S: Store> Records<S> {
    pub(crate) fn new(store: S, head: &'static HeadLine, tail: &'static TailLine) -> Records<S> {
        Records {
            store,
            head,
            tail,
            most_items: tail.most_items.load(Ordering::Relaxed),
            most_bytes: tail.most_bytes.load(Ordering::Relaxed),
            pace: Pace::default(),
            tail_chunk: Cached::default(),
            head_chunk: Cached::default(),
        }
    }

    pub(crate) fn lines(&self) -> (&'static HeadLine, &'static TailLine) {
        (self.head, self.tail)
    }

    pub(super) fn load_head(&self) -> Stamp {
        // ORDERING(take): Acquire, pairs with the Release of the head in `store_head`: the record was copied before it may be
        // overwritten.
        Stamp(self.head.head.load(Ordering::Acquire))
    }

    pub(super) fn load_tail(&self) -> Stamp {
        // ORDERING(put): Acquire, pairs with the Release of the tail in `store_tail`: the record before the tail (I1).
        Stamp(self.tail.tail.load(Ordering::Acquire))
    }

    /// How many records are in the queue.
    pub(crate) fn len(&self) -> usize {
        let (head, tail) = self.load_both();
        tail.count().wrapping_sub(head.count()) as usize
    }

    /// How many records were put so far, modulo 2^32.
    pub(crate) fn puts(&self) -> u32 {
        self.load_tail().count()
    }

    /// Asks for the lines of the first record, which has just come: they are on their way while the lock is taken.
    #[inline]
    pub(crate) fn prefetch_first(&self) {
        let position = Stamp(self.head.head.load(Ordering::Relaxed)).position();
        let id = self.head.chunks[chunk_at(position) as usize & 1].load(Ordering::Relaxed);
        if let Some(chunk) = self.head_chunk.get(id) {
            chunk.prefetch(position);
        }
    }

    /// Head and tail as they were at one moment.
    pub(super) fn load_both(&self) -> (Stamp, Stamp) {
        let mut head = self.load_head();
        for _ in 0..64 {
            let tail = self.load_tail();
            let again = self.load_head();
            if again == head {
                return (head, tail);
            }
            head = again;
        }
        // Takers are that busy: what is between is at least what a taker found.
        (head, self.load_tail())
    }

    /// The most records that it may hold.
    pub(crate) fn most_items(&self) -> Option<usize> {
        (self.most_items != 0).then_some(self.most_items as usize)
    }

    /// The most bytes that it may hold.
    pub(crate) fn most_bytes(&self) -> Option<u64> {
        (self.most_bytes != 0).then_some(self.most_bytes)
    }

    pub(crate) fn is_closed(&self) -> bool {
        // ORDERING(close): Acquire, pairs with the store in `close`; what was put before the closing comes before it.
        self.tail.closed.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Whether somebody sleeps for messages, and for room.
    pub(crate) fn has_waiters(&self) -> (bool, bool) {
        (self.tail.messages.has_waiters(), self.head.room.has_waiters())
    }

    /// Nothing can be put from now on. What is in the queue can still be taken.
    ///
    /// A closer that is killed after its store is made good by the alarm. If it is stopped there, the keepers of those who sleep see
    /// the word that it stored.
    pub(crate) fn close(&self) -> Result<()> {
        let me = self.store.liveness().me()?;
        self.lock(&self.tail.lock, me, Deadline::NEVER)?;
        // ORDERING(close): SeqCst, pairs with the Acquire in `is_closed`.
        self.tail.closed.fetch_or(CLOSED, Ordering::SeqCst);
        self.unlock(&self.tail.lock);
        self.notify_all();
        Ok(())
    }

    /// Wakes everyone on both sides: something has changed that all of them must check.
    pub(crate) fn notify_all(&self) {
        self.tail.messages.notify_all();
        self.head.room.notify_all();
    }

    /// Runs `f` under the head lock, with the count of the head: for what takers share beside the records.
    pub(crate) fn with_head_lock<R>(&self, f: impl FnOnce(Id, u32) -> R) -> Result<R> {
        let me = self.store.liveness().me()?;
        self.lock(&self.head.lock, me, Deadline::NEVER)?;
        // Relaxed: written under this lock.
        let result = f(me, Stamp(self.head.head.load(Ordering::Relaxed)).count());
        self.unlock(&self.head.lock);
        Ok(result)
    }

    /// The same for what must be done, also by a thread for which there is no slot.
    pub(crate) fn with_head_lock_surely<R>(&self, f: impl FnOnce(Id) -> R) -> Result<R> {
        let mut holder = None;
        let lock = |me| {
            self.lock(&self.head.lock, me, Deadline::NEVER)?;
            holder = Some(me);
            Ok(())
        };
        short_lock::lock_surely(self.store.liveness(), lock);
        let me = holder.ok_or_else(|| Error::simple(ErrorKind::Deadlock))?;
        let result = f(me);
        self.unlock(&self.head.lock);
        Ok(result)
    }

    /// On which those sleep who wait for messages.
    #[cfg(test)]
    pub(crate) fn messages(&self) -> &EventCount {
        &self.tail.messages
    }

    /// On which those sleep who wait for room.
    #[cfg(test)]
    pub(crate) fn room(&self) -> &EventCount {
        &self.head.room
    }

    /// Something has changed for takers that is no record: `wakes` of those who sleep check. Those that would be missed, should
    /// this thread be stopped in here, see the change by the word.
    pub(crate) fn notify_takers(&self, wakes: u32) {
        // ORDERING(event count): a full barrier between the change and the look for waiters.
        self.tail.closed.fetch_add(CHANGE, Ordering::SeqCst);
        if self.tail.messages.has_waiters() {
            self.tail.messages.notify_slow(wakes);
        }
    }

    pub(super) fn lock(&self, lock: &'static ShortLock, me: Id, until: Deadline) -> Result<()> {
        if lock.try_lock(me) {
            return Ok(());
        }
        // An attempt without waiting waits for those who are inside, which takes no time while they live and run.
        let now = until == Deadline::NOW;
        let patience = if now { Deadline::after(PATIENCE) } else { until };
        match lock.lock_contended(me, self.store.liveness(), patience) {
            Outcome::Locked | Outcome::Adopted(_) => Ok(()),
            Outcome::TimedOut if now => Err(Error::of(
                ErrorKind::Busy,
                "a stopped process is in the middle of putting or getting: continue or kill it",
            )),
            Outcome::TimedOut => Err(Error::simple(ErrorKind::Timeout)),
            // A signal handler that interrupted its own thread inside the queue.
            _ => Err(Error::simple(ErrorKind::Deadlock)),
        }
    }

    /// Gives a lock back. What the caller does next comes behind a light barrier: a look for waiters as well as anything else
    /// that must not be older than what it stored under the lock.
    #[inline]
    pub(super) fn unlock(&self, lock: &ShortLock) {
        lock.unlock();
        // ORDERING(barrier): with the heavy one of those who prepare to sleep.
        barrier::light();
    }
}
