//! Building blocks in shared memory of one's own: for the author of a library who lays out structures that many processes use, and
//! needs words in them that no death can wedge.
//!
//! | word | bytes | what it is |
//! |---|---|---|
//! | [`Lock`] | 8 | mutual exclusion, as a [`Lock`](crate::Lock) |
//! | [`RLock`] | 20 | the same for a holder that locks again |
//! | [`Guarded<T>`](Guarded) | 8 and the data | a lock and plain data in one cell |
//! | [`Once`] | 12 | what one of all processes does once, also if one dies at it |
//! | [`Flag`] | 4 | what an [`Event`](crate::Event) is |
//! | [`EventCount`] | 4 | waiting for what other words say: for structures without locks |
//! | [`Semaphore`] | 8,320 | permits that come back from the dead |
//!
//! They are `#[repr(C)]` structures of atomics without an address in them, and work wherever they lie. All but a `Semaphore` begin as
//! zeroes, which new memory is: nobody has to initialise it. What else a structure needs is filled in by a [`Once`]. A waiter that
//! is passed over gets its turn after about a millisecond. Nothing that another process writes there harms the memory of this one.
//!
//! # In a `Shared`
//!
//! All of them can be fields of a [`shared_type!`](crate::shared_type), and [`Shared::leak`](crate::Shared::leak) gives the reference that
//! their calls want. That takes no `unsafe`:
//!
//! ```
//! use multiproc::raw::{EventCount, Guarded, Once};
//! use multiproc::{Process, Shared, shared_type};
//!
//! shared_type! {
//!     struct Board {
//!         greeted: Once,
//!         scores: [Guarded<u64>; 4],
//!         scored: EventCount,
//!     }
//! }
//!
//! fn play(board: Shared<Board>, player: u32) -> multiproc::Result<()> {
//!     let board = board.leak();
//!     board.greeted.call_once(|| Ok(println!("the first one is here")))?;
//!     *board.scores[player as usize].lock()? += 10;
//!     board.scored.notify_all();
//!     Ok(())
//! }
//!
//! let board = Shared::new(Board {
//!     greeted: Once::new(),
//!     scores: [const { Guarded::new(0) }; 4],
//!     scored: EventCount::new(),
//! })?;
//! let player = Process::spawn(play, (&board, 2))?;
//! let board = board.leak();
//! let score = board.scored.wait(|| board.scores[2].lock().ok().map(|score| *score).filter(|&score| score > 0))?;
//! assert_eq!(score, 10);
//! player.join()??;
//! # Ok::<(), multiproc::Error>(())
//! ```
//!
//! # Safety
//!
//! Elsewhere the unsafe functions `at` say what is at an address. Whoever calls one promises of these bytes:
//!
//! 1. They are mapped for reading and writing at that address until the process ends. ([`SharedMemory`](crate::SharedMemory) stays
//!    mapped; its handle is kept, or the memory is given to others.)
//! 2. The mapping is shared (`MAP_SHARED`), and all processes that use it are of one process tree: those that
//!    [`Process::spawn`](crate::Process::spawn) started from one ancestor, and those that they forked. The words name threads of that
//!    tree, and mean nothing to others.
//! 3. They were all zero when the first process used them, or hold what the same type left there, in this tree.
//! 4. They are accessed through the same type alone, in every process, and never moved or copied once they are in use.
//!
//! If another process breaks this on purpose, data is garbled and locks may be held for ever; memory of this process is not harmed.
//!
//! # In a forked child
//!
//! The words work in a child made by a plain `fork`, too: it is a process of the tree. Copies of its parent's guards and permits are
//! nobody's there: they read what they read, and dropping them does nothing.
//!
//! # Inside
//!
//! State machines on words that they are given, which the crate's own objects are made of. Each is one whole file. It maps no memory, and
//! makes no system call but the futex. The models drive these files as they are.
//!
//! - `lock`: the robust lock; `short_lock`: the lock for short sections;
//! - `batch`: which worker of a pool runs which task;
//! - `condition`: what a condition is; `barrier`: what a barrier is;
//! - `claims`: who writes to which part of an array;
//! - `event_count`: sleeping until another word says something else;
//! - `fairness`: how a waiter that is passed over gets its turn;
//! - `flag`: what an event is; `permits`: what a semaphore is;
//! - `guarded`: a lock and plain data in one cell; `words`: the other words that users meet;
//! - `reentry`: how often the holder of a lock holds it;
//! - `outcome`: how far a child came, and where it left what came of it;
//! - `records`: the queue of records; `ring`: records between one writer and one reader.

pub(crate) mod barrier;
pub(crate) mod batch;
pub(crate) mod claims;
pub(crate) mod condition;
pub(crate) mod event_count;
pub(crate) mod fairness;
pub(crate) mod flag;
pub(crate) mod guarded;
pub(crate) mod lock;
pub(crate) mod outcome;
pub(crate) mod permits;
pub(crate) mod records;
pub(crate) mod reentry;
pub(crate) mod ring;
pub(crate) mod short_lock;
pub(crate) mod words;

pub use flag::Flag;
pub use guarded::{Guard, Guarded};
pub use words::{EventCount, Lock, LockGuard, Once, Permit, RLock, RLockGuard, Semaphore};
