//! `Imap`: results one by one, while the tasks are still being made.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Call, foreign};
use super::core::Core;
use super::desk::Batch;
use super::stream::{Stream, WAITING};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Parcel;
use crate::process::TaskName;
use crate::sys::clock::Deadline;

/// A batch is given away before it holds more bytes than this.
pub(super) const BATCH_BYTES: usize = 1 << 20;

/// Appends the arguments of one task.
pub(super) type Encode<T> = fn(T, &mut Vec<u8>) -> Result<Parcel>;

/// The results of [`Pool::imap`](crate::Pool::imap) and [`imap_unordered`](crate::Pool::imap_unordered), one by one.
///
/// Tasks are taken from the source in the calls of [`next`](Iterator::next), here, in this thread, and only some ahead of the results
/// that were taken: one batch at hand and two to come for every worker, or fewer if their results would take more than 16 MiB, but
/// one at hand for each and one to come for all. So the source may be endless, slow, or bound to this thread. A panic of the source
/// passes through `next`; what it gave before is not lost, and `next` can be called again.
///
/// Results of 64 KiB and more that lie in memory as they travel (bytes, text, numbers) stay in shared memory until they are taken, up
/// to 16 MiB of them, or a 64th of the memory; what comes beyond that is copied out as it comes.
///
/// Each item is the result of one task or its error; other tasks go on. Dropping the iterator takes back all tasks that have not
/// gone to a worker.
#[must_use = "an iterator does nothing unless its results are taken"]
pub struct Imap<I: Iterator, R> {
    core: Arc<Core>,
    stream: Arc<Stream<R>>,
    source: Option<I>,
    encode: Encode<I::Item>,
    task: TaskName,
    /// Tasks in a batch.
    chunk: usize,
    workers: usize,
    building: Option<Batch>,
    /// Tasks that went to the pool or failed before that.
    given: usize,
    taken: usize,
    /// Why there are no tasks at all.
    refused: Option<Error>,
}

/// What an [`Imap`] is made of.
pub(super) struct Parts<I: Iterator, R> {
    pub(super) core: Arc<Core>,
    pub(super) stream: Stream<R>,
    pub(super) source: I,
    pub(super) encode: Encode<I::Item>,
    pub(super) task: Result<TaskName>,
    pub(super) chunk: usize,
    pub(super) workers: usize,
}

impl<I: Iterator, R: Send + 'static> Imap<I, R> {
    pub(super) fn of(parts: Parts<I, R>) -> Imap<I, R> {
        let (task, refused) = match parts.task {
            Ok(task) => (task, None),
            Err(error) => (TaskName { offset: 0, checksum: 0 }, Some(error)),
        };
        Imap {
            core: parts.core,
            stream: Arc::new(parts.stream),
            source: refused.is_none().then_some(parts.source),
            encode: parts.encode,
            task,
            chunk: parts.chunk,
            workers: parts.workers,
            building: None,
            given: 0,
            taken: 0,
            refused,
        }
    }

    fn call(&self) -> Arc<dyn Call> {
        let stream: Arc<Stream<R>> = Arc::clone(&self.stream);
        stream
    }

    fn under_way(&self) -> usize {
        self.given - self.taken
    }

    /// How many tasks may be under way: so many that no worker waits for this thread, which may have to wait for a processor. Where
    /// results are long, so few that those of all of them stay in the processors' caches, but enough to keep the workers at work.
    fn ahead(&self) -> usize {
        let least = self.chunk.saturating_mul(self.workers + 1);
        let most = self.chunk.saturating_mul(3 * self.workers);
        (WAITING / self.stream.result_len().max(1)).clamp(least, most)
    }

    /// Gives the pool tasks until as many are under way as may be. Where the source is slow, results that are there come first.
    fn fill(&mut self) {
        while self.source.is_some() && self.under_way() < self.ahead() {
            self.pull_batch();
            self.give();
            if self.stream.has_next() && self.under_way() > self.ahead() / 3 {
                return;
            }
        }
    }

    /// Takes tasks from the source until a batch is full.
    fn pull_batch(&mut self) {
        while let Some(source) = &mut self.source {
            let Some(item) = source.next() else {
                self.source = None;
                return;
            };
            // Not before the source has given: it may panic.
            let (call, first) = (self.call(), self.given);
            let mut batch =
                self.building.take().unwrap_or_else(|| Batch::new(call, first, self.task));
            let added = batch.add(|out| (self.encode)(item, out));
            let (count, len) = (batch.count as usize, batch.len());
            self.building = Some(batch);
            if let Err(error) = added {
                self.give();
                self.stream.fail(self.given, 1, &error);
                self.given += 1;
                return;
            }
            if count >= self.chunk || len >= BATCH_BYTES {
                return;
            }
        }
    }

    fn give(&mut self) {
        let Some(batch) = self.building.take() else { return };
        let count = batch.count as usize;
        if count == 0 {
            return;
        }
        let first = self.given;
        self.given += count;
        if let Err(error) = self.core.give(batch) {
            // No others will be taken either.
            self.source = None;
            self.stream.fail(first, count, &error);
        }
    }

    fn next_until(&mut self, until: Deadline) -> Option<Result<R>> {
        if let Some(error) = self.refused.take() {
            return Some(Err(error));
        }
        if !self.core.is_ours() {
            return self.end_elsewhere().map(Err);
        }
        self.fill();
        if self.under_way() == 0 {
            return None;
        }
        if until.is_over() {
            // Nobody waits, so nobody collects.
            self.core.call_collector();
        }
        match self.stream.get(until) {
            Ok(result) => {
                self.taken += 1;
                Some(result)
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// In a forked process it is over: an error, once. What lies in shared memory is the parent's.
    #[cold]
    fn end_elsewhere(&mut self) -> Option<Error> {
        let is_over = self.source.take().is_none() && self.under_way() == 0;
        self.taken = self.given;
        (!is_over).then(|| foreign("the results of a pool's tasks"))
    }

    /// The next result, without waiting for it.
    ///
    /// # Errors
    ///
    /// [`is_empty`](crate::Error::is_empty) if it is not there; else as [`next`](Iterator::next).
    pub fn try_next(&mut self) -> Option<Result<R>> {
        let next = self.next_until(Deadline::NOW)?;
        Some(crate::forms::tried(|| next, ErrorKind::Empty))
    }

    /// The next result, waiting at most `timeout` for it; `None` after the last one. The time that the source takes is not counted.
    ///
    /// # Errors
    ///
    /// [`is_timeout`](crate::Error::is_timeout) if it is not there when the time is over: the next call waits for the same one. Else
    /// the task's own error; once [`is_foreign`](crate::Error::is_foreign), and then nothing, in a forked process.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::Pool;
    /// use std::time::Duration;
    ///
    /// let pool = Pool::with_workers(1)?;
    /// let sleep = |ms: u64| std::thread::sleep(Duration::from_millis(ms));
    /// let mut results = pool.imap(sleep, [300]);
    /// assert!(results.next_timeout(Duration::from_millis(1)).unwrap().unwrap_err().is_timeout());
    /// assert!(results.next().unwrap().is_ok());
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<R>> {
        self.next_until(Deadline::after(timeout))
    }

    /// As [`next_timeout`](Imap::next_timeout), waiting at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`next_timeout`](Imap::next_timeout).
    pub fn next_deadline(&mut self, deadline: Instant) -> Option<Result<R>> {
        self.next_until(Deadline::at(deadline))
    }
}

impl<I: Iterator, R: Send + 'static> Iterator for Imap<I, R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        self.next_until(Deadline::NEVER)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let under_way = self.under_way();
        let (least, most) = self.source.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        (under_way.saturating_add(least), most.and_then(|most| most.checked_add(under_way)))
    }
}

impl<I: Iterator, R> Drop for Imap<I, R> {
    fn drop(&mut self) {
        if !self.core.is_ours() {
            return;
        }
        self.stream.abandon();
        self.core.withdraw(Arc::as_ptr(&self.stream).cast());
        if self.given > self.taken {
            // What the workers have of it nobody else collects.
            self.core.call_collector();
        }
    }
}

impl<I: Iterator, R> fmt::Debug for Imap<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap")
            .field("given", &self.given)
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}
