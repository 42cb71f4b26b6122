//! How a pool is to be.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::board::Board;
use super::collector;
use super::core::{Core, OnProgress, Parts, Progress};
use super::crew::{Bell, Crew, Initializer, Setup};
use super::desk::{Link, Phase};
use super::face::Pool;
use crate::channel::Queue;
use crate::error::{Error, ErrorKind, Result};
use crate::process::{
    self, Arguments, Function, Outcome, Parameters, StartMethod, TaskName, cpu_count,
};
use crate::raw::batch::MOST_WORKERS;

/// What an initializer may return: nothing, or a [`Result`](crate::Result) whose error is the pool's.
///
/// The trait is sealed.
pub trait Initialized: private::Sealed {
    #[doc(hidden)]
    fn check(self) -> Result<()>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for crate::error::Result<()> {}
}

impl Initialized for () {
    fn check(self) -> Result<()> {
        Ok(())
    }
}

impl Initialized for Result<()> {
    fn check(self) -> Result<()> {
        self
    }
}

/// What a [`Pool`] is to be like: [`Pool::builder`] makes one.
///
/// # Examples
///
/// ```
/// use multiproc::Pool;
/// use std::sync::OnceLock;
/// use std::time::Duration;
///
/// static GREETING: OnceLock<String> = OnceLock::new();
///
/// let pool = Pool::builder()
///     .workers(2)
///     .name("greeters")
///     .initializer(|text: String| GREETING.set(text).unwrap(), ("hello",))
///     .max_tasks_per_child(1000)
///     .task_timeout(Duration::from_secs(30))
///     .retries(1)
///     .build()?;
/// let greet = |name: String| format!("{} {name}", GREETING.get().unwrap());
/// assert_eq!(pool.map(greet, ["Alice", "Bob"])?, ["hello Alice", "hello Bob"]);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct PoolBuilder {
    workers: Option<usize>,
    name: Option<String>,
    initializer: Option<Result<Initializer>>,
    max_tasks: Option<u64>,
    start_method: Option<StartMethod>,
    timeout: Option<Duration>,
    retries: u32,
    progress: Option<OnProgress>,
}

impl PoolBuilder {
    pub(super) fn usual() -> PoolBuilder {
        PoolBuilder {
            workers: None,
            name: None,
            initializer: None,
            max_tasks: None,
            start_method: None,
            timeout: None,
            retries: 0,
            progress: None,
        }
    }

    /// How many workers the pool has; without it, one for each processor that this process may use
    /// ([`cpu_count`](crate::cpu_count)).
    pub fn workers(mut self, workers: usize) -> PoolBuilder {
        self.workers = Some(workers);
        self
    }

    /// The pool's name in errors; its workers are called `name:1`, `name:2` and so on, also in `ps`, which shows 15 bytes.
    /// `Pool-1` and so on without it.
    pub fn name(mut self, name: impl Into<String>) -> PoolBuilder {
        self.name = Some(name.into());
        self
    }

    /// Runs `f` with `args` in each worker before its first task, also in those that replace others.
    ///
    /// If it panics, returns an error or ends its worker, the pool is broken: all tasks that it has, and all calls from then on, are
    /// that error. No other worker is started. (A worker that is killed by SIGKILL while it initializes itself is replaced, up to 1,000
    /// times in a row.)
    ///
    /// The arguments become a message here. An end of a pipe cannot be among them; that is an error of [`build`](PoolBuilder::build).
    pub fn initializer<F, P, A, O>(mut self, f: F, args: A) -> PoolBuilder
    where
        F: Function<P, Output: Outcome<O> + Initialized>,
        P: Parameters,
        A: Arguments<P>,
    {
        let task = TaskName::of::<F, P, O>(f);
        let check =
            |bytes: &[u8]| process::result::<F::Output, O>(bytes, Default::default())?.check();
        self.initializer = Some(task.and_then(|task| {
            Initializer::new(task, check, |out| process::arguments::<P, A>(&args, out))
        }));
        self
    }

    /// Replaces each worker after so many tasks: a library that leaks memory does no harm. 0 is an error of
    /// [`build`](PoolBuilder::build).
    ///
    /// Python counts chunks here; this counts tasks, and a worker may end in the middle of a chunk.
    pub fn max_tasks_per_child(mut self, tasks: u64) -> PoolBuilder {
        self.max_tasks = Some(tasks);
        self
    }

    /// How each worker is started, also one that replaces another; [`StartMethod::Spawn`] without it. What a method needs, and
    /// refuses with [`is_unsupported`](crate::Error::is_unsupported), is an error of [`build`](PoolBuilder::build).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::{Pool, StartMethod};
    ///
    /// let pool = Pool::builder().workers(2).start_method(StartMethod::ForkServer).build()?;
    /// assert_eq!(pool.map(|x: u64| x + 1, 0..3)?, [1, 2, 3]);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn start_method(mut self, method: StartMethod) -> PoolBuilder {
        self.start_method = Some(method);
        self
    }

    /// Kills the worker of a task that takes longer than this; the task's error is [`is_timeout`](crate::Error::is_timeout). Only that
    /// task is lost, and it is not run again. 0 is an error of [`build`](PoolBuilder::build).
    pub fn task_timeout(mut self, timeout: Duration) -> PoolBuilder {
        self.timeout = Some(timeout);
        self
    }

    /// Runs a task whose worker died of it again, up to so many times; 0 without it. A task that may run twice must bear that.
    pub fn retries(mut self, retries: u32) -> PoolBuilder {
        self.retries = retries;
        self
    }

    /// Calls `f` whenever tasks are done, where [`AsyncResult::on_done`](crate::AsyncResult::on_done) calls its function.
    ///
    /// # Examples
    ///
    /// ```
    /// use indicatif::ProgressBar;
    /// use multiproc::Pool;
    ///
    /// let bar = ProgressBar::new(1000);
    /// let shown = bar.clone();
    /// let pool = Pool::builder().progress(move |state| shown.set_position(state.done())).build()?;
    /// pool.map(|n: u64| n + 1, 0..1000)?;
    /// drop(pool);
    /// assert_eq!(bar.position(), 1000);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn progress(mut self, f: impl Fn(Progress) + Send + Sync + 'static) -> PoolBuilder {
        self.progress = Some(Box::new(f));
        self
    }

    fn check(&self) -> Result<()> {
        let refuse = |text: &str| Err(Error::of(ErrorKind::InvalidInput, text));
        if self.workers == Some(0) {
            return refuse(
                "a pool of 0 workers would never do a task: give at least 1, or leave it out for one per processor",
            );
        }
        if self.max_tasks == Some(0) {
            return refuse(
                "max_tasks_per_child(0) would replace workers that did nothing: give at least 1, or leave it out for no limit",
            );
        }
        if self.timeout == Some(Duration::ZERO) {
            return refuse(
                "task_timeout of 0 would kill every worker: give the longest time that a task may take, or leave it out",
            );
        }
        if let Some(workers) = self.workers.filter(|workers| *workers >= MOST_WORKERS) {
            let text = format!(
                "a pool of {workers} workers is more than a tree of processes can have: at most {} in this version",
                MOST_WORKERS - 1
            );
            return Err(Error::of(ErrorKind::Limit, text));
        }
        Ok(())
    }

    /// Makes the pool and starts its workers. Returns when they run, before their initializers do.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) for 0 workers, a `max_tasks_per_child` or `task_timeout` of 0;
    /// [`is_limit`](crate::Error::is_limit) for 1,024 workers and more; what [`Process::spawn`](crate::Process::spawn) says if a worker
    /// cannot be started, and those that were are ended; what the arguments of the initializer say.
    pub fn build(self) -> Result<Pool> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        self.check()?;
        // Relaxed: only the number itself must be new.
        let id = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        let name = self.name.unwrap_or_else(|| format!("Pool-{id}"));
        let workers = self.workers.unwrap_or_else(cpu_count);
        // One for each worker to run, and two to come.
        let entries = 3 * workers;
        let board = Board::new(entries, workers)?;
        let (tasks, theirs) = Queue::new()?.split();
        let (news, ours) = Queue::new()?.split();
        let bell = Arc::new(Bell::default());
        let crew = Crew::new(
            Setup {
                pool: name.clone(),
                board: board.clone(),
                tasks: theirs,
                news: news.clone(),
                initializer: self.initializer.transpose()?,
                max_tasks: self.max_tasks.unwrap_or(u64::MAX),
                start_method: self.start_method,
                is_timed: self.timeout.is_some(),
                bell: Arc::clone(&bell),
            },
            workers,
        );
        let core = Arc::new(Core::new(Parts {
            id,
            name,
            link: Link { board, tasks },
            entries,
            crew,
            retries: self.retries,
            timeout: self.timeout,
            progress: self.progress,
            news,
            ours,
            bell,
        }));
        let started = core.start_all().and_then(|()| collector::start(&core));
        if let Err(error) = started {
            core.stop(Phase::Terminated);
            return Err(error);
        }
        Ok(Pool::of(core, workers))
    }
}

impl Pool {
    /// Makes a pool with one worker for each processor that this process may use.
    ///
    /// # Errors
    ///
    /// As [`PoolBuilder::build`].
    pub fn new() -> Result<Pool> {
        Pool::builder().build()
    }

    /// Makes a pool with so many workers.
    ///
    /// # Errors
    ///
    /// As [`PoolBuilder::build`].
    pub fn with_workers(workers: usize) -> Result<Pool> {
        Pool::builder().workers(workers).build()
    }

    /// Everything that can be set about a pool.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::usual()
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("workers", &self.workers)
            .field("name", &self.name)
            .field("max_tasks_per_child", &self.max_tasks)
            .field("start_method", &self.start_method)
            .field("task_timeout", &self.timeout)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}
