//! Locks, semaphores and events between processes.
//!
//! - `guard`: guards of locks, and what a lock must offer for them;
//! - `lock`, `rlock`: mutual exclusion on one word;
//! - `semaphore`: permits that processes take and give back;
//! - `event`: a flag.

mod event;
mod guard;
mod lock;
mod rlock;
mod semaphore;

pub use event::Event;
pub use guard::{Guard, Lockable, OwnedGuard, Owner};
pub use lock::{Lock, LockBuilder, LockGuard, OwnedLockGuard};
pub use rlock::{OwnedRLockGuard, RLock, RLockBuilder, RLockGuard};
pub use semaphore::{BoundedSemaphore, OwnedPermit, Permit, Semaphore};
