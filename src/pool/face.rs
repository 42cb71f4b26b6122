//! `Pool` as users see it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::answer::AsyncResult;
use super::board::Phase as Started;
use super::call;
use super::core::Core;
use super::desk::Phase;
use super::imap::Imap;
use super::many::{Chunked, calls};
use crate::error::Result;
use crate::forms::forms;
use crate::message::Message;
use crate::process::{Arguments, Function, Outcome, Parameters};
use crate::sys::clock::{self, Deadline};

/// How long a dropped pool waits for the ends of its workers, which it has killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Worker processes that run functions, as Python's `multiprocessing.Pool`: `map` over processes.
///
/// A task is a function with its arguments, as in [`Process::spawn`](crate::Process::spawn): an `fn` item or a closure that captures
/// nothing; arguments and results are messages ([`Message`](crate::Message)). All calls take `&self`: threads can share a pool, by
/// reference, in an `Arc` or in a static. Calls take turns, so a short one does not wait for all of a long one.
///
/// Workers are started once and take chunks of tasks from one queue by themselves, so that all of them are busy however uneven the
/// tasks are. A pool that does nothing costs nothing.
///
/// # When a task fails
///
/// The error is that task's alone:
///
/// - it panics: [`child`](crate::Error::child) has message and place, and the worker goes on;
/// - its worker dies of it (it exits, aborts, runs out of memory, is killed): `child` has the signal or the exit code. The worker is
///   replaced. The tasks of its chunk that it had done are delivered, and those that it had not begun go to others. With
///   [`retries`](crate::PoolBuilder::retries) the task itself is run again;
/// - it takes too long: see [`task_timeout`](crate::PoolBuilder::task_timeout);
/// - its arguments or its result refuse to be messages: [`is_encode`](crate::Error::is_encode),
///   [`is_decode`](crate::Error::is_decode).
///
/// An end of a pipe in the arguments moves to the worker that takes the chunk, and goes with it if it dies: then all tasks of the
/// chunk that are not done are lost, and it is not run again.
///
/// # When it ends
///
/// A dropped pool is terminated: its workers are killed, whatever they do, and tasks that are not done are lost. [`close`](Pool::close)
/// and [`join`](Pool::join) let it finish. The workers also end, at once, when this process is killed. A pool in a static ends with the
/// program, as daemons do.
///
/// # Differences from Python
///
/// `map` and its relatives are also there for chunks of another size, by [`chunk_size`](Pool::chunk_size). `map` gives the error of the
/// first task, in their order, that failed, after all have been tried; [`imap`](Pool::imap) gives each task's own. Tasks do not hang when a worker dies.
///
/// # Examples
///
/// ```
/// use multiproc::Pool;
///
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// let pool = Pool::new()?;
/// assert_eq!(pool.map(square, 0..5)?, [0, 1, 4, 9, 16]);
/// assert_eq!(pool.apply(|a: u64, b: u64| a + b, (40, 2))?, 42);
/// for square in pool.imap_unordered(square, [1, 2, 3]) {
///     assert!([1, 4, 9].contains(&square?));
/// }
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Pool {
    pub(super) core: Arc<Core>,
    workers: usize,
}

impl Pool {
    pub(super) fn of(core: Arc<Core>, workers: usize) -> Pool {
        Pool { core, workers }
    }

    /// The pool with the usual chunks.
    fn usual(&self) -> Chunked<'_> {
        Chunked::of(&self.core, None, self.workers)
    }

    /// The same pool with chunks of `tasks` tasks for the calls that follow. 0 is an error of these calls.
    ///
    /// A worker takes a chunk at once: small ones spread evenly, large ones cost less. Usually `map` makes four chunks for each worker,
    /// and `imap` one for each task. A chunk whose arguments reach 1 MiB ends there.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiproc::Pool::with_workers(2)?;
    /// let sum: u64 = pool.chunk_size(100).imap(|x: u64| x + 1, 0..1000).map(|x| x.unwrap()).sum();
    /// assert_eq!(sum, 500_500);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn chunk_size(&self, tasks: usize) -> Chunked<'_> {
        Chunked::of(&self.core, Some(tasks), self.workers)
    }

    /// Runs `f` with `args` in a worker and waits for the result. For a time limit: [`apply_async`](Pool::apply_async) and
    /// [`get_timeout`](AsyncResult::get_timeout).
    ///
    /// # Errors
    ///
    /// The [task's own](Pool#when-a-task-fails); [`is_closed`](crate::Error::is_closed) if the pool was closed or terminated;
    /// [`is_deadlock`](crate::Error::is_deadlock) in a callback of the same pool; the initializer's, if that failed.
    pub fn apply<F, P, A, O>(&self, f: F, args: A) -> Result<F::Output>
    where
        F: Function<P>,
        F::Output: Outcome<O> + Send + 'static,
        P: Parameters,
        A: Arguments<P>,
    {
        call::check_waiting(self.core.id)?;
        self.usual().apply_async(f, args, true).get()
    }

    /// Has a worker run `f` with `args`, and does not wait. What [`apply`](Pool::apply) would say is an error of the result.
    pub fn apply_async<F, P, A, O>(&self, f: F, args: A) -> AsyncResult<F::Output>
    where
        F: Function<P>,
        F::Output: Outcome<O> + Send + 'static,
        P: Parameters,
        A: Arguments<P>,
    {
        self.usual().apply_async(f, args, false)
    }

    calls!(pool);

    /// Takes no more tasks. Those that it has are done, then the workers end. Closing twice is no error.
    pub fn close(&self) {
        if self.core.is_ours() {
            self.core.close();
        }
    }

    /// Kills the workers, whatever they do; tasks that are not done are errors with [`is_closed`](crate::Error::is_closed). Does not
    /// wait for their ends, and can be called in a callback.
    pub fn terminate(&self) {
        if self.core.is_ours() {
            self.core.stop(Phase::Terminated);
        }
    }

    forms! {
        /// Waits until a pool that was closed or terminated has done its tasks, and all its workers have ended.
        ///
        /// # Errors
        ///
        /// [`is_invalid_input`](crate::Error::is_invalid_input) if the pool was neither closed nor terminated;
        /// [`is_deadlock`](crate::Error::is_deadlock) in a callback of this pool; [`is_foreign`](crate::Error::is_foreign) in a forked
        /// process.
        pub fn join, try_join, join_timeout, join_deadline(&self; until) -> () {
            self.core.join(until)
        }
        try: Busy, is_busy, "workers are alive"
    }

    /// The name of the pool.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// The workers that there are at this moment; fewer than asked for while one is being replaced.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiproc::Pool::builder().workers(2).name("sorter").build()?;
    /// let workers = pool.workers();
    /// assert_eq!(workers.len(), 2);
    /// assert_eq!(workers[0].name(), "sorter:1");
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn workers(&self) -> Vec<PoolWorker> {
        if !self.core.is_ours() {
            return Vec::new();
        }
        let now = clock::now();
        let crew = self.core.crew.lock();
        let describe = |(at, member): (u32, &super::crew::Member)| {
            let line = crew.board().line(at).ok()?;
            let since = Some(line.since()).filter(|since| *since != 0);
            Some(PoolWorker {
                id: member.process.id(),
                name: member.process.name().to_owned(),
                state: match (line.phase(), since) {
                    (Started::Starting, _) => WorkerState::Starting,
                    (Started::Initializing, _) => WorkerState::Initializing,
                    (Started::Ready, None) => WorkerState::Idle,
                    (Started::Ready, Some(_)) => WorkerState::Busy,
                },
                tasks_done: line.done(),
                busy_for: since.map(|since| Duration::from_nanos(now.saturating_sub(since))),
            })
        };
        crew.members().filter_map(describe).collect()
    }
}

impl Drop for Pool {
    /// Terminates it, and waits for the ends of its workers, 5 s at most. A callback does not wait.
    fn drop(&mut self) {
        if !self.core.is_ours() {
            return;
        }
        self.core.stop(Phase::Terminated);
        if !call::is_collector(self.core.id) {
            self.core.wait_over(Deadline::after(PATIENCE));
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.core.is_ours() {
            return self.core.fmt(f);
        }
        f.write_str("Pool(<inherited over a fork>)")
    }
}

/// What a worker of a [`Pool`] is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkerState {
    /// It has not begun to work.
    Starting,
    /// It runs the initializer.
    Initializing,
    /// It waits for tasks.
    Idle,
    /// It runs a task.
    Busy,
}

/// One worker of a [`Pool`], as it was a moment ago: [`Pool::workers`] lists them.
#[derive(Debug, Clone)]
pub struct PoolWorker {
    id: u32,
    name: String,
    state: WorkerState,
    tasks_done: u64,
    busy_for: Option<Duration>,
}

impl PoolWorker {
    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name: that of the pool and how many workers the pool had started by then, `Pool-1:3`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is doing.
    pub fn state(&self) -> WorkerState {
        self.state
    }

    /// How many tasks it has done.
    pub fn tasks_done(&self) -> u64 {
        self.tasks_done
    }

    /// How long it has been running the current task, to about 10 ms.
    pub fn busy_for(&self) -> Option<Duration> {
        self.busy_for
    }
}
