//! Locks, semaphores and events between processes.
//!
//! - `forms`: what their handles have in common;
//! - `lock`, `rlock`: mutual exclusion on one word;
//! - `semaphore`: permits, counted by process;
//! - `event`: a flag.

mod event;
mod forms;
mod lock;
mod rlock;
mod semaphore;

pub use event::Event;
pub use lock::{Lock, LockBuilder, LockGuard, OwnedLockGuard, Owner};
pub use rlock::{OwnedRLockGuard, RLock, RLockBuilder, RLockGuard};
pub use semaphore::{BoundedSemaphore, OwnedPermit, Permit, Semaphore};
