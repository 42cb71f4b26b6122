//! Python's `multiprocessing` for Rust: many processes working together as easily as threads do, and nothing hangs or is
//! lost when one of them is killed.
//!
//! | Python | here | |
//! |---|---|---|
//! | `Process(target=f, args=(..)).start()` | [`Process::spawn`]`(f, (..))` | starts a process that runs a function; [`join`](Process::join) brings its result or panic |
//! | `Pool(4).map(f, items)` | [`Pool::with_workers`]`(4)?.`[`map`](Pool::map)`(f, items)` | many tasks over some processes; a worker's death costs one task |
//! | `Manager().dict()` | [`Manager::new`]`()?.`[`dict`](Manager::dict)`()` | ordinary values in a server process, shared by all |
//! | `Queue()` | [`Queue::new`] | messages between any number of processes |
//! | `JoinableQueue()` | [`JoinableQueue::new`] | tasks that come again until they are done, also if their process dies |
//! | `Pipe()` | [`Pipe::duplex`], [`Pipe::simplex`] | messages between two, the fastest way |
//! | `Lock()` | [`Lock::new`] | one at a time |
//! | `RLock()` | [`RLock::new`] | one at a time, who may lock again |
//! | `Semaphore(n)` | [`Semaphore::new`] | `n` at a time; or signals that are counted |
//! | `BoundedSemaphore(n)` | [`BoundedSemaphore::new`] | the same, and releasing once too often is an error |
//! | `Event()` | [`Event::new`] | a flag to wait for |
//! | `Condition()` | [`Condition::new`] | waiting for what others do under the same lock |
//! | `Barrier(n)` | [`Barrier::new`]`(n)` | `n` parties wait for each other |
//! | `Value("i", 0)` | [`Value::new`]`(0)` | one value under a lock; [`Atomic`] without one |
//! | `Array("d", 10)` | [`Array::zeroed`]`(10)` | many values: under a lock, in parts without one, or frozen |
//! | `SharedMemory(create=True, size=n)` | [`SharedMemory::new`]`(n)` | bytes; [`Shared`] for a structure of atomics |
//! | `ShareableList([..])` | [`SharedList::new`]`([..])` | a fixed number of mixed values |
//!
//! # Sharing
//!
//! Every shared object is a handle. Cloning gives another handle to the same object. Handles travel in the arguments and
//! results of a [`Process`] and through a [`Queue`], alone or inside your own structures (they implement serde's traits). The
//! memory behind them belongs to the whole tree of processes, and goes with the last of them. There is nothing to clean up, not
//! even after `kill -9`.
//!
//! ```
//! use multiproc::{Process, Queue};
//!
//! fn worker(jobs: Queue<Option<u32>>, results: Queue<u32>) -> multiproc::Result<()> {
//!     while let Some(n) = jobs.get()? {
//!         results.put(n * n)?;
//!     }
//!     Ok(())
//! }
//!
//! let (jobs, results) = (Queue::new()?, Queue::new()?);
//! let child = Process::spawn(worker, (&jobs, &results))?;
//! for n in 1..=3 {
//!     jobs.put(Some(n))?;
//! }
//! jobs.put(None)?;
//! child.join()??;
//! assert_eq!(results.get_many(10)?, [1, 4, 9]);
//! # Ok::<(), multiproc::Error>(())
//! ```
//!
//! # Messages
//!
//! What is put on a queue, and what a process is given and returns, implements serde's traits and owns its data. [`Message`] says
//! in which forms it may be given (`"text"` for a `String`, a reference, a slice for a `Vec`) and what cannot travel.
//!
//! # Waiting
//!
//! Every call that waits, say `get`, also exists as `try_get`, which does not wait, as `get_timeout` and as `get_deadline`. Time is
//! monotonic, and signals are handled inside. A timeout that is too large to add up means for ever.
//!
//! # Errors
//!
//! There is one [`Error`]. Ask it by predicate ([`is_timeout`](Error::is_timeout), [`is_closed`](Error::is_closed), …) or by
//! [`kind`](Error::kind). It carries no guard and no value, so `?` works everywhere, and it travels between processes: a process
//! function can return [`multiproc::Result`](Result). [`Error::child`] says how a child failed.
//!
//! # When a process dies
//!
//! Any process may be killed at any instruction. For all others:
//!
//! - Nobody waits for ever for what only the dead process could have done.
//! - No data is torn, lost or doubled. Only the one operation that the dead process was in the middle of may be missing, and it
//!   happened whole or not at all.
//! - Nothing is left behind.
//!
//! A lock whose holder died says so, because what it guards may be half written:
//!
//! ```
//! use multiproc::{Lock, Process};
//!
//! fn dies(lock: Lock) -> multiproc::Result<()> {
//!     let _guard = lock.lock()?;
//!     std::process::abort()
//! }
//!
//! let lock = Lock::new()?;
//! assert!(Process::spawn(dies, (&lock,))?.join().is_err());
//! assert!(lock.lock().unwrap_err().is_owner_died());
//! let guard = lock.recover()?; // Repair what the lock guards, then:
//! drop(guard);
//! assert!(lock.lock().is_ok());
//! # Ok::<(), multiproc::Error>(())
//! ```
//!
//! [`Lock`], [`Semaphore`], [`Event`], [`Condition`], [`Barrier`], [`Queue`], [`JoinableQueue`], [`Value`], [`Array`], [`Process`],
//! [`Pool`] and [`Manager`] say what a death means for them.
//!
//! # Forks, shared libraries, two versions
//!
//! - A child made by a plain `fork` has copies of its parent's objects, guards and ends, which are its parent's: their calls are
//!   [`is_foreign`](Error::is_foreign), and dropping them does nothing. What it makes itself works, and so do the words of
//!   [`raw`]. [`Process::fork`] gives a copy of the process the objects that it is to have.
//! - In a shared library (a `cdylib`, a plugin, a module for another language) everything works but the start of processes, which
//!   is [`Unsupported`](ErrorKind::Unsupported): children run the main executable, and find only what is linked into it.
//! - Two versions of this crate in one program know nothing of each other: each has its own memory and children, and refuses the
//!   other's handles.
//! - A program whose start-up hook was left out is told so by the first start of a process: [`init`] takes its place.
//!
//! # Platform
//!
//! Linux 5.4 or later on 64-bit little-endian machines. Shared memory is one memory file for each tree of processes, with one
//! descriptor. Each process that uses it has one more thread, which sleeps until another process dies.
//!
//! The crate builds for macOS and FreeBSD, too. It promises less there, has never run there, and starts processes by
//! [`Process::fork`] alone.
//!
//! At one time a tree has at most 1,024 processes and 3,072 threads that use shared objects. What its queues hold stays below a
//! quarter of the memory of the machine or control group. Whoever passes a limit gets a typed error that names it.

#[cfg(not(all(unix, target_pointer_width = "64", target_endian = "little")))]
compile_error!("multiproc runs on Unix systems on 64-bit little-endian machines (x86-64, aarch64)");
#[cfg(all(target_os = "linux", elsewhere, not(feature = "raw-sync")))]
compile_error!("what other systems have is tried on Linux with the feature `raw-sync`");

mod channel;
mod error;
mod forms;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod liveness;
mod manager;
mod memory;
mod message;
mod pool;
mod process;
pub mod raw;
mod shared;
mod sync;
mod sys;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
#[cfg(not(feature = "testing"))]
mod testing;
mod world;

pub use channel::{
    Connection, Consumer, Incoming, IntoIter, Iter, JoinableConsumer, JoinableProducer,
    JoinableQueue, JoinableQueueBuilder, Pipe, Producer, Queue, QueueBuilder, Receiver, Sender,
    Task, TaskIter, TryIter, TryTaskIter,
};
pub use error::{ChildFailure, Error, ErrorKind, Result};
pub use manager::*;
pub use message::Message;
pub use pool::*;
pub use process::*;
pub use shared::*;
pub use std::process::ExitStatus;
pub use sync::{
    Barrier, BarrierWait, BoundedSemaphore, Condition, Event, Guard, Lock, LockBuilder, LockGuard,
    Lockable, OwnedGuard, OwnedLockGuard, OwnedPermit, OwnedRLockGuard, Owner, Permit, RLock,
    RLockBuilder, RLockGuard, Semaphore, WaitGuard,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
