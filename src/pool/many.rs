//! Calls of a pool with many tasks: `map` and its relatives, with chunks of a given size or of the usual one.

use std::sync::{Arc, Weak};

use super::answer::AsyncResult;
use super::call::{Answer, Call, Gather, Help, check_waiting};
use super::core::Core;
use super::desk::{Batch, address};
use super::imap::{self, BATCH_BYTES, Encode, Imap};
use super::stream::Stream;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Parcel;
use crate::message::Message;
use crate::process::{self, Arguments, Function, Outcome, Parameters, TaskName};
use crate::raw::batch::MOST_TASKS;
use crate::sys::clock::Deadline;
use serde::de::DeserializeOwned;

/// A pool that gives its workers chunks of a certain size: [`Pool::chunk_size`](crate::Pool::chunk_size) makes it.
///
/// Its calls are those of the [`Pool`](crate::Pool) itself.
#[derive(Clone, Copy)]
#[must_use = "it does nothing until one of its calls is used"]
pub struct Chunked<'pool> {
    core: &'pool Arc<Core>,
    /// `None`: the usual one.
    chunk: Option<usize>,
    workers: usize,
}

/// One argument, as the only parameter of its task.
fn one<T: DeserializeOwned, M: Message<T>>(item: M, out: &mut Vec<u8>) -> Result<Parcel> {
    process::arguments::<(T,), (M,)>(&(item,), out)
}

fn all<P, A: Arguments<P>>(items: A, out: &mut Vec<u8>) -> Result<Parcel> {
    process::arguments::<P, A>(&items, out)
}

impl<'pool> Chunked<'pool> {
    pub(super) fn of(
        core: &'pool Arc<Core>,
        chunk: Option<usize>,
        workers: usize,
    ) -> Chunked<'pool> {
        Chunked { core, chunk, workers }
    }

    fn help(&self) -> Weak<dyn Help> {
        let core: Weak<Core> = Arc::downgrade(self.core);
        core
    }

    /// Tasks in a chunk, of `usual` unless another number was given.
    fn chunk(&self, usual: usize) -> Result<usize> {
        match self.chunk {
            Some(0) => Err(Error::of(
                ErrorKind::InvalidInput,
                "chunks of 0 tasks would never hold one: give chunk_size at least 1, or leave it out for the usual size",
            )),
            chunk => Ok(chunk.unwrap_or(usual).clamp(1, MOST_TASKS)),
        }
    }

    /// Gives the pool all tasks. One that waits makes them as there is room for them.
    fn gather<T, R>(
        &self,
        task: Result<TaskName>,
        decode: fn(&[u8], crate::handle::Claimed) -> Result<R>,
        items: impl IntoIterator<Item = T>,
        encode: Encode<T>,
        waits: bool,
    ) -> Result<Arc<Answer<Vec<R>>>>
    where
        R: Send + 'static,
    {
        let task = task?;
        self.core.check_open()?;
        if waits {
            check_waiting(self.core.id)?;
        }
        let items: Vec<T> = items.into_iter().collect();
        let chunk = self.chunk(items.len().div_ceil(4 * self.workers))?;
        let answer = Arc::new(Answer::new(self.core.id, self.help()));
        if items.is_empty() {
            answer.set(Ok(Vec::new()));
            return Ok(answer);
        }
        let gather = Arc::new(Gather::all(items.len(), decode, Arc::clone(&answer)));
        let call: Arc<dyn Call> = gather.clone();
        let result = self.give_all(task, items, chunk, encode, &call, waits);
        if let Err(error) = result {
            self.core.withdraw(address(&call));
            gather.give_up(error);
        }
        if !waits || answer.look().0 {
            self.core.call_collector();
        }
        Ok(answer)
    }

    fn give_all<T>(
        &self,
        task: TaskName,
        items: Vec<T>,
        chunk: usize,
        encode: Encode<T>,
        call: &Arc<dyn Call>,
        waits: bool,
    ) -> Result<()> {
        let new = |first| Batch::new(Arc::clone(call), first, task);
        let mut batch = new(0);
        for (at, item) in items.into_iter().enumerate() {
            let is_full = batch.count as usize >= chunk || batch.len() >= BATCH_BYTES;
            if is_full {
                if waits {
                    self.core.wait_for_room(address(call));
                }
                self.core.give(std::mem::replace(&mut batch, new(at)))?;
            }
            let added = batch.add(|out| encode(item, out));
            added.map_err(|error| error.about(&format!("item {at}")))?;
        }
        self.core.give(batch)
    }

    fn iterate<I: Iterator, R: Send + 'static>(
        &self,
        task: Result<TaskName>,
        decode: fn(&[u8], crate::handle::Claimed) -> Result<R>,
        source: I,
        encode: Encode<I::Item>,
        is_ordered: bool,
    ) -> Imap<I, R> {
        let task = task.and_then(|task| self.core.check_open().map(|()| task));
        let (task, chunk) = match self.chunk(1) {
            Ok(chunk) => (task, chunk),
            Err(error) => (Err(error), 1),
        };
        Imap::of(imap::Parts {
            core: Arc::clone(self.core),
            stream: Stream::new(self.core.id, self.help(), decode, is_ordered),
            source,
            encode,
            task,
            chunk,
            batches: 3 * self.workers,
        })
    }

    /// As [`Pool::map`](crate::Pool::map).
    ///
    /// # Errors
    ///
    /// As there; [`is_invalid_input`](crate::Error::is_invalid_input) for chunks of 0 tasks.
    pub fn map<F, T, O, I>(&self, f: F, items: I) -> Result<Vec<F::Output>>
    where
        F: Function<(T,)>,
        F::Output: Outcome<O> + Send + 'static,
        T: DeserializeOwned,
        I: IntoIterator<Item: Message<T>>,
    {
        let task = TaskName::of::<F, (T,), O>(f);
        self.gather(task, process::result::<F::Output, O>, items, one::<T, I::Item>, true)?
            .get(Deadline::NEVER)
    }

    /// As [`Pool::map_async`](crate::Pool::map_async); chunks of 0 tasks are an error of the result.
    pub fn map_async<F, T, O, I>(&self, f: F, items: I) -> AsyncResult<Vec<F::Output>>
    where
        F: Function<(T,)>,
        F::Output: Outcome<O> + Send + 'static,
        T: DeserializeOwned,
        I: IntoIterator<Item: Message<T>>,
    {
        let task = TaskName::of::<F, (T,), O>(f);
        let decode = process::result::<F::Output, O>;
        self.or_failed(self.gather(task, decode, items, one::<T, I::Item>, false))
    }

    /// As [`Pool::starmap`](crate::Pool::starmap).
    ///
    /// # Errors
    ///
    /// As there; [`is_invalid_input`](crate::Error::is_invalid_input) for chunks of 0 tasks.
    pub fn starmap<F, P, O, I>(&self, f: F, items: I) -> Result<Vec<F::Output>>
    where
        F: Function<P>,
        F::Output: Outcome<O> + Send + 'static,
        P: Parameters,
        I: IntoIterator<Item: Arguments<P>>,
    {
        let task = TaskName::of::<F, P, O>(f);
        self.gather(task, process::result::<F::Output, O>, items, all::<P, I::Item>, true)?
            .get(Deadline::NEVER)
    }

    /// As [`Pool::starmap_async`](crate::Pool::starmap_async); chunks of 0 tasks are an error of the result.
    pub fn starmap_async<F, P, O, I>(&self, f: F, items: I) -> AsyncResult<Vec<F::Output>>
    where
        F: Function<P>,
        F::Output: Outcome<O> + Send + 'static,
        P: Parameters,
        I: IntoIterator<Item: Arguments<P>>,
    {
        let task = TaskName::of::<F, P, O>(f);
        let decode = process::result::<F::Output, O>;
        self.or_failed(self.gather(task, decode, items, all::<P, I::Item>, false))
    }

    /// As [`Pool::imap`](crate::Pool::imap); chunks of 0 tasks are an error in place of the first result.
    pub fn imap<F, T, O, I>(&self, f: F, items: I) -> Imap<I::IntoIter, F::Output>
    where
        F: Function<(T,)>,
        F::Output: Outcome<O> + Send + 'static,
        T: DeserializeOwned,
        I: IntoIterator<Item: Message<T>>,
    {
        let task = TaskName::of::<F, (T,), O>(f);
        let decode = process::result::<F::Output, O>;
        self.iterate(task, decode, items.into_iter(), one::<T, I::Item>, true)
    }

    /// As [`Pool::imap_unordered`](crate::Pool::imap_unordered); chunks of 0 tasks are an error in place of the first result.
    pub fn imap_unordered<F, T, O, I>(&self, f: F, items: I) -> Imap<I::IntoIter, F::Output>
    where
        F: Function<(T,)>,
        F::Output: Outcome<O> + Send + 'static,
        T: DeserializeOwned,
        I: IntoIterator<Item: Message<T>>,
    {
        let task = TaskName::of::<F, (T,), O>(f);
        let decode = process::result::<F::Output, O>;
        self.iterate(task, decode, items.into_iter(), one::<T, I::Item>, false)
    }

    /// What a call that does not wait gives back, also if it could not begin.
    fn or_failed<R>(&self, begun: Result<Arc<Answer<R>>>) -> AsyncResult<R> {
        AsyncResult::of(begun.unwrap_or_else(|error| {
            let answer = Arc::new(Answer::new(self.core.id, self.help()));
            answer.set(Err(error));
            answer
        }))
    }

    /// `waits`: whoever calls waits for the result at once.
    pub(super) fn apply_async<F, P, A, O>(
        &self,
        f: F,
        args: A,
        waits: bool,
    ) -> AsyncResult<F::Output>
    where
        F: Function<P>,
        F::Output: Outcome<O> + Send + 'static,
        P: Parameters,
        A: Arguments<P>,
    {
        let begin = || {
            let task = TaskName::of::<F, P, O>(f)?;
            let answer = Arc::new(Answer::new(self.core.id, self.help()));
            let gather = Gather::one(process::result::<F::Output, O>, Arc::clone(&answer));
            let mut batch = Batch::new(Arc::new(gather), 0, task);
            batch.add(|out| all::<P, A>(args, out))?;
            self.core.give(batch)?;
            if !waits {
                self.core.call_collector();
            }
            Ok(answer)
        };
        self.or_failed(begin())
    }
}

impl std::fmt::Debug for Chunked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunked").field("chunk_size", &self.chunk).field("pool", self.core).finish()
    }
}
