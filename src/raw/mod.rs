//! Building blocks in shared memory of one's own: for the author of a library who maps memory, and needs locks and flags in it that
//! no death can wedge.
//!
//! [`Guarded`] is a lock and plain data in one cell, `Guarded<()>` a lock alone; [`Flag`] is what an [`Event`](crate::Event) is. They
//! are `#[repr(C)]` structures of words without an address in them, and work wherever the words lie.
//!
//! # Safety
//!
//! What is a cell or a flag is said by the unsafe functions [`Guarded::at`] and [`Flag::at`], which give one at an address.
//! Whoever calls one promises of these bytes:
//!
//! 1. They are mapped for reading and writing, and stay mapped at that address as long as the process uses what was given.
//! 2. The mapping is shared (`MAP_SHARED`, or memory of a [`SharedMemory`](crate::SharedMemory) of which a handle is kept), and all
//!    processes that use it are of one process tree: those that [`Process::spawn`](crate::Process::spawn) started from one ancestor. The
//!    words name threads of that tree, and mean nothing to others.
//! 3. They were all zero when the first process used them, or hold what the same type left there.
//! 4. They are accessed through the same type alone, in every process.
//! 5. They are not used by a child made by a plain `fork` while it has a guard of its parent's.
//!
//! If another process breaks this on purpose, data is garbled and locks may be held for ever; memory of this process is not harmed.
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
//! - `guarded`: a lock and plain data in one cell;
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
pub(crate) mod permits;
pub(crate) mod records;
pub(crate) mod ring;
pub(crate) mod short_lock;

pub use flag::Flag;
pub use guarded::{Guard, Guarded};
