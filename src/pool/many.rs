//! Calls of a pool with many tasks: `map` and its relatives, with chunks of a given size or of the usual one.

use std::sync::{Arc, Weak};

use super::answer::AsyncResult;
use super::call::{Answer, Call, Decode, Gather, Help, check_waiting};
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

/// What the tasks of a call have in common.
struct Kind<T, R> {
    task: Result<TaskName>,
    encode: Encode<T>,
    decode: Decode<R>,
}

/// One argument, as the only parameter of its task.
fn one<T: DeserializeOwned, M: Message<T>>(item: M, out: &mut Vec<u8>) -> Result<Parcel> {
    process::arguments::<(T,), (M,)>(&(item,), out)
}

fn all<P, A: Arguments<P>>(items: A, out: &mut Vec<u8>) -> Result<Parcel> {
    process::arguments::<P, A>(&items, out)
}

/// The calls with many tasks: all of them for [`Chunked`], or for the pool, which hands them to its usual chunks.
macro_rules! calls {
    ($whose:ident) => {
        $crate::pool::many::call! { $whose [T: DeserializeOwned, (T,), Message<T>, one::<T, I::Item>]
            /// Runs `f` for each item and waits for all results, which are in the order of the items.
            ///
            /// All items are taken from their iterator at the start. Arguments become messages in this thread, while workers run the
            /// first ones.
            ///
            /// # Errors
            ///
            /// That of the first item, in their order, whose task failed ([see above](crate::Pool#when-a-task-fails)), after all were
            /// run; [`is_encode`](crate::Error::is_encode) at once if an item cannot be a message; else as
            /// [`apply`](crate::Pool::apply).
            fn map(this, kind, items) -> Result<Vec<F::Output>> {
                this.gather(kind, items, true)?.get(Deadline::NEVER)
            }
        }
        $crate::pool::many::call! { $whose [T: DeserializeOwned, (T,), Message<T>, one::<T, I::Item>]
            /// As [`map`](crate::Pool::map), and does not wait: all items become messages first. Errors are those of the result.
            fn map_async(this, kind, items) -> AsyncResult<Vec<F::Output>> {
                this.or_failed(this.gather(kind, items, false))
            }
        }
        $crate::pool::many::call! { $whose [P: Parameters, P, Arguments<P>, all::<P, I::Item>]
            /// As [`map`](crate::Pool::map), for functions of several parameters: each item is a tuple of arguments.
            ///
            /// # Errors
            ///
            /// As [`map`](crate::Pool::map).
            ///
            /// # Examples
            ///
            /// ```
            /// let pool = multiproc::Pool::with_workers(2)?;
            /// let powers = pool.starmap(|base: u64, power: u32| base.pow(power), [(2, 3), (10, 2)])?;
            /// assert_eq!(powers, [8, 100]);
            /// # Ok::<(), multiproc::Error>(())
            /// ```
            fn starmap(this, kind, items) -> Result<Vec<F::Output>> {
                this.gather(kind, items, true)?.get(Deadline::NEVER)
            }
        }
        $crate::pool::many::call! { $whose [P: Parameters, P, Arguments<P>, all::<P, I::Item>]
            /// As [`starmap`](crate::Pool::starmap), and does not wait. Errors are those of the result.
            fn starmap_async(this, kind, items) -> AsyncResult<Vec<F::Output>> {
                this.or_failed(this.gather(kind, items, false))
            }
        }
        $crate::pool::many::call! { $whose [T: DeserializeOwned, (T,), Message<T>, one::<T, I::Item>]
            /// Runs `f` for each item; results come one by one, in the order of the items, while others are still being worked on.
            ///
            /// Items are taken from their iterator as results are taken: see [`Imap`](crate::Imap). What keeps it from beginning is an
            /// error in place of the first result.
            fn imap(this, kind, items) -> Imap<I::IntoIter, F::Output> {
                this.iterate(kind, items.into_iter(), true)
            }
        }
        $crate::pool::many::call! { $whose [T: DeserializeOwned, (T,), Message<T>, one::<T, I::Item>]
            /// As [`imap`](crate::Pool::imap); each result comes as soon as it is there, whatever the order.
            fn imap_unordered(this, kind, items) -> Imap<I::IntoIter, F::Output> {
                this.iterate(kind, items.into_iter(), false)
            }
        }
    };
}

/// One call. In brackets: the parameters of a task, as a type of their own and as a tuple; what an item is; how it is encoded.
macro_rules! call {
    (
        pool [$T:ident: $bound:path, $P:ty, $Item:path, $encode:expr] $(#[$doc:meta])*
        fn $name:ident($this:ident, $kind:ident, $items:ident) -> $Out:ty $body:block
    ) => {
        $(#[$doc])*
        pub fn $name<F, $T, O, I>(&self, f: F, items: I) -> $Out
        where
            F: Function<$P, Output: Outcome<O> + Send + 'static>,
            $T: $bound,
            I: IntoIterator<Item: $Item>,
        {
            self.usual().$name(f, items)
        }
    };
    (
        chunked [$T:ident: $bound:path, $P:ty, $Item:path, $encode:expr] $(#[$doc:meta])*
        fn $name:ident($this:ident, $kind:ident, $items:ident) -> $Out:ty $body:block
    ) => {
        #[doc = concat!("As [`Pool::", stringify!($name), "`](crate::Pool::", stringify!($name), ").")]
        ///
        /// # Errors
        ///
        /// As there; [`is_invalid_input`](crate::Error::is_invalid_input) for chunks of 0 tasks: of the call, of its result, or in place
        /// of the first result.
        pub fn $name<F, $T, O, I>(&self, f: F, $items: I) -> $Out
        where
            F: Function<$P, Output: Outcome<O> + Send + 'static>,
            $T: $bound,
            I: IntoIterator<Item: $Item>,
        {
            let $kind = Kind {
                task: TaskName::of::<F, $P, O>(f),
                encode: $encode,
                decode: process::result::<F::Output, O>,
            };
            let $this = self;
            $body
        }
    };
}

pub(super) use {call, calls};

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
    fn gather<T, R: Send + 'static>(
        &self,
        kind: Kind<T, R>,
        items: impl IntoIterator<Item = T>,
        waits: bool,
    ) -> Result<Arc<Answer<Vec<R>>>> {
        let Kind { task, encode, decode } = kind;
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
        kind: Kind<I::Item, R>,
        source: I,
        is_ordered: bool,
    ) -> Imap<I, R> {
        let Kind { task, encode, decode } = kind;
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
            workers: self.workers,
        })
    }

    calls!(chunked);

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
