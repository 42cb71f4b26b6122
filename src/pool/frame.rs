//! How tasks and results lie in the messages between a pool and its workers. All numbers are little-endian.
//!
//! ```text
//! a batch of tasks                            results and other news
//! 0   4  entry                                0   4  kind: RESULTS, LONG, READY, FAILED, ENDED, WAKE
//! 4   4  generation                           4   4  worker
//! 8   4  first task to run                    8   4  entry; ENDED: the worker's number
//! 12  4  how many tasks there are             12  4  generation
//! 16  8  offset of the function               16  4  number of the first task
//! 24  8  its checksum                         20  4  how many results there are
//! 32     tasks                                24     results; FAILED: the error
//!
//! a task                                      a result
//! 0   4  length                               0   4  length
//! 4   4  how many handles are in it           4   4  0: a value, 1: an error
//! 8      arguments                            8      value or error, up to a multiple of 8
//! ```
//!
//! The handles of a batch stand in the order of its tasks. A result with handles has a message of its own, and so has a large one.

use crate::channel::HeldBlock;
use crate::error::{Error, ErrorKind, Result};
use crate::process::TaskName;

/// Bytes before the tasks of a batch.
pub(super) const BATCH_HEAD: usize = 32;
/// Bytes before the results of a message.
pub(super) const NEWS_HEAD: usize = 24;
/// Bytes before the arguments of a task, and before a result.
pub(super) const ITEM_HEAD: usize = 8;

#[cold]
pub(super) fn cut() -> Error {
    Error::of(ErrorKind::Corrupted, "a message of the pool is cut off or damaged")
}

/// The number at `at`, 0 where there is none: the callers have checked the length of the head.
fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn put_number(bytes: &mut [u8], at: usize, number: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}

/// What stands before the tasks of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchHead {
    pub(super) entry: u32,
    pub(super) generation: u32,
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) task: TaskName,
}

impl BatchHead {
    /// Writes it to the front of a batch.
    pub(super) fn write(&self, batch: &mut [u8]) {
        let words = [self.task.offset, self.task.checksum];
        let halves = words.map(|word| [word as u32, (word >> 32) as u32]).concat();
        let numbers = [self.entry, self.generation, self.first, self.count].into_iter();
        for (at, number) in numbers.chain(halves).enumerate() {
            put_number(batch, 4 * at, number);
        }
    }

    /// Reads it, and gives the tasks.
    pub(super) fn read(batch: &[u8]) -> Result<(BatchHead, &[u8])> {
        let (head, tasks) = batch.split_at_checked(BATCH_HEAD).ok_or_else(cut)?;
        let long = |at| u64::from(number(head, at)) | u64::from(number(head, at + 4)) << 32;
        let head = BatchHead {
            entry: number(head, 0),
            generation: number(head, 4),
            first: number(head, 8),
            count: number(head, 12),
            task: TaskName { offset: long(16), checksum: long(24) },
        };
        Ok((head, tasks))
    }
}

/// One task of a batch: its arguments, and how many handles are in them.
pub(super) struct TaskFrame<'a> {
    pub(super) arguments: &'a [u8],
    pub(super) handles: usize,
}

impl<'a> TaskFrame<'a> {
    /// Takes the first task off.
    pub(super) fn take(tasks: &mut &'a [u8]) -> Result<TaskFrame<'a>> {
        let (head, rest) = tasks.split_at_checked(ITEM_HEAD).ok_or_else(cut)?;
        let (arguments, rest) = rest.split_at_checked(number(head, 0) as usize).ok_or_else(cut)?;
        *tasks = rest;
        Ok(TaskFrame { arguments, handles: number(head, 4) as usize })
    }

    /// Completes a task whose head is at `start` and whose arguments end the batch.
    pub(super) fn close(batch: &mut [u8], start: usize, handles: usize) -> Result<()> {
        let len = batch.len() - start - ITEM_HEAD;
        let Ok(len) = u32::try_from(len) else {
            let text = format!("the arguments of a task take {len} bytes: 4 GiB are too many");
            return Err(Error::of(ErrorKind::TooLarge, text));
        };
        put_number(batch, start, len);
        put_number(batch, start + 4, handles as u32);
        Ok(())
    }
}

/// What the pool is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Results of a worker.
    Results,
    /// One result, long, and as its value lies in memory.
    Long,
    /// A worker has started and initialized itself.
    Ready,
    /// A worker's initializer has failed.
    Failed,
    /// A worker's process has ended.
    Ended,
    /// Something has changed in the pool's own process.
    Wake,
}

/// What stands before results and other news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewsHead {
    pub(super) kind: Kind,
    pub(super) worker: u32,
    /// The batch's entry; the worker's number.
    pub(super) entry: u32,
    pub(super) generation: u32,
    pub(super) first: u32,
    pub(super) count: u32,
}

impl NewsHead {
    /// News without results.
    pub(super) fn plain(kind: Kind, worker: u32, number: u32) -> NewsHead {
        NewsHead { kind, worker, entry: number, generation: 0, first: 0, count: 0 }
    }

    /// Writes it to the front of a message.
    pub(super) fn write(&self, message: &mut [u8]) {
        let numbers =
            [self.kind as u32, self.worker, self.entry, self.generation, self.first, self.count];
        for (at, number) in numbers.into_iter().enumerate() {
            put_number(message, 4 * at, number);
        }
    }

    /// The message that is nothing but this.
    pub(super) fn message(&self) -> [u8; NEWS_HEAD] {
        let mut message = [0; NEWS_HEAD];
        self.write(&mut message);
        message
    }

    /// Reads it, and gives what stands behind.
    pub(super) fn read(message: &[u8]) -> Result<(NewsHead, &[u8])> {
        let (head, rest) = message.split_at_checked(NEWS_HEAD).ok_or_else(cut)?;
        let kinds = [Kind::Results, Kind::Long, Kind::Ready, Kind::Failed, Kind::Ended, Kind::Wake];
        let kind = *kinds.get(number(head, 0) as usize).ok_or_else(cut)?;
        let head = NewsHead {
            kind,
            worker: number(head, 4),
            entry: number(head, 8),
            generation: number(head, 12),
            first: number(head, 16),
            count: number(head, 20),
        };
        Ok((head, rest))
    }
}

/// Completes a result whose head is at `start` and which ends the message.
pub(super) fn close_result(message: &mut [u8], start: usize, is_error: bool) {
    let len = message.len() - start - ITEM_HEAD;
    put_number(message, start, len as u32);
    put_number(message, start + 4, u32::from(is_error));
}

/// The results in a message, one after the other: bytes of a value, or the task's error.
#[derive(Debug, Clone)]
pub(super) struct Results<'a> {
    bytes: &'a [u8],
    left: u32,
}

impl<'a> Results<'a> {
    /// `count` results: where there are fewer, the others are errors.
    pub(super) fn of(bytes: &'a [u8], count: u32) -> Results<'a> {
        Results { bytes, left: count }
    }

    /// How many there are in a tray.
    pub(super) fn count(bytes: &'a [u8]) -> u32 {
        let mut results = Results { bytes, left: u32::MAX };
        let mut count = 0;
        while !results.bytes.is_empty() && results.take_one().is_some() {
            count += 1;
        }
        count
    }

    /// Without the first ones, and at most so many.
    pub(super) fn range(mut self, skip: u32, most: u32) -> Results<'a> {
        for _ in 0..skip {
            let _ = self.next();
        }
        self.left = self.left.min(most);
        self
    }

    /// No more than so many are there.
    pub(super) fn at_most(&self) -> usize {
        (self.left as usize).min(self.bytes.len() / ITEM_HEAD + 1)
    }

    /// How many bytes they take.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn take_one(&mut self) -> Option<Result<&'a [u8]>> {
        let (head, rest) = self.bytes.split_at_checked(ITEM_HEAD)?;
        let result = rest.get(..number(head, 0) as usize)?;
        // The last one of a message has no padding.
        self.bytes = rest.get(result.len().next_multiple_of(8)..).unwrap_or_default();
        if number(head, 4) == 0 {
            return Some(Ok(result));
        }
        Some(Err(postcard::from_bytes::<Error>(result).unwrap_or_else(|_| cut())))
    }
}

impl<'a> Iterator for Results<'a> {
    type Item = Result<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Result<&'a [u8]>> {
        self.left = self.left.checked_sub(1)?;
        Some(self.take_one().unwrap_or_else(|| Err(cut())))
    }
}

/// A message with one long result, where it lies.
pub(super) struct Long(HeldBlock);

impl Long {
    pub(super) fn of(message: HeldBlock) -> Long {
        Long(message)
    }

    /// For longer than the call that took the message.
    pub(super) fn keep(self) -> Long {
        self.0.keep();
        self
    }

    pub(super) fn results(&self) -> Results<'_> {
        Results::of(self.0.bytes().get(NEWS_HEAD..).unwrap_or_default(), 1)
    }
}

/// Any bytes, as a batch with its tasks, and as news with their results.
#[cfg(feature = "testing")]
pub(crate) fn read_anything(bytes: &[u8]) {
    if let Ok((_, mut tasks)) = BatchHead::read(bytes) {
        while !tasks.is_empty() && TaskFrame::take(&mut tasks).is_ok() {}
    }
    if let Ok((head, results)) = NewsHead::read(bytes) {
        Results::count(results);
        let (count, skip) = (head.count % 16, head.first % 16);
        Results::of(results, count).range(skip, count).for_each(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(results: &[(&[u8], bool)]) -> Vec<u8> {
        let mut all = Vec::new();
        for (bytes, is_error) in results {
            let mut one = vec![0; ITEM_HEAD];
            one.extend_from_slice(bytes);
            close_result(&mut one, 0, *is_error);
            one.resize(one.len().next_multiple_of(8), 0);
            all.extend(one);
        }
        all
    }

    #[test]
    fn heads_come_back_and_short_ones_are_corrupted() {
        let task = TaskName { offset: 1 << 40 | 3, checksum: u64::MAX - 1 };
        let head = BatchHead { entry: 1, generation: 2, first: 3, count: 4, task };
        let mut batch = vec![0; BATCH_HEAD + 5];
        head.write(&mut batch);
        let (found, tasks) = BatchHead::read(&batch).unwrap();
        assert_eq!((found, tasks.len()), (head, 5));
        let news =
            NewsHead { kind: Kind::Ended, worker: 1, entry: 2, generation: 3, first: 4, count: 5 };
        assert_eq!(NewsHead::read(&news.message()).unwrap().0, news);
        for len in 0..NEWS_HEAD {
            assert!(NewsHead::read(&news.message()[..len]).unwrap_err().is_corrupted());
        }
        assert!(BatchHead::read(&batch[..BATCH_HEAD - 1]).unwrap_err().is_corrupted());
        assert!(NewsHead::read(&[0xff; NEWS_HEAD]).unwrap_err().is_corrupted());
    }

    #[test]
    fn results_that_are_cut_off_are_errors_and_none_is_missing() {
        let whole = message(&[(b"one", false), (b"", false), (b"three-and-more", false)]);
        assert_eq!(Results::count(&whole), 3);
        for len in 0..whole.len() {
            let results: Vec<_> = Results::of(&whole[..len], 3).collect();
            assert_eq!(results.len(), 3, "{len}");
        }
        let rest: Vec<_> = Results::of(&whole, 3).range(1, 5).map(Result::unwrap).collect();
        assert_eq!(rest, [&b""[..], b"three-and-more"]);
        let wild = Results::of(&[0xff; 40], 2);
        assert!(wild.map(Result::unwrap_err).all(|error| error.is_corrupted()));
        let error = message(&[(b"no error", true)]);
        assert!(Results::of(&error, 1).next().unwrap().unwrap_err().is_corrupted());
    }

    #[test]
    fn tasks_that_are_cut_off_are_corrupted() {
        let mut batch = vec![0; ITEM_HEAD];
        batch.extend(b"arguments");
        TaskFrame::close(&mut batch, 0, 2).unwrap();
        let mut tasks = &batch[..];
        let task = TaskFrame::take(&mut tasks).unwrap();
        assert_eq!((task.arguments, task.handles, tasks.len()), (&b"arguments"[..], 2, 0));
        for len in 0..batch.len() {
            assert!(TaskFrame::take(&mut &batch[..len]).is_err_and(|error| error.is_corrupted()));
        }
    }
}
