//! State machines on words that they are given.
//!
//! Each is one whole file. It maps no memory, and makes no system call but the futex. The models drive these files as they are.
//!
//! - `lock`: the robust lock; `short_lock`: the lock for short sections;
//! - `condition`: what a condition is; `barrier`: what a barrier is;
//! - `claims`: who writes to which part of an array;
//! - `event_count`: sleeping until another word says something else;
//! - `fairness`: how a waiter that is passed over gets its turn;
//! - `flag`: what an event is; `permits`: what a semaphore is;
//! - `records`: the queue of records; `ring`: records between one writer and one reader.

pub(crate) mod barrier;
pub(crate) mod claims;
pub(crate) mod condition;
pub(crate) mod event_count;
pub(crate) mod fairness;
pub(crate) mod flag;
pub(crate) mod lock;
pub(crate) mod permits;
pub(crate) mod records;
pub(crate) mod ring;
pub(crate) mod short_lock;
