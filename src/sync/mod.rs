//! Locks, semaphores and events between processes.
//!
//! - `guard`: guards of locks, and what a lock must offer for them;
//! - `lock`, `rlock`: mutual exclusion on one word;
//! - `semaphore`: permits that processes take and give back;
//! - `event`: a flag;
//! - `condition`: waiting for what others do under the same lock;
//! - `barrier`: waiting for each other.

mod barrier;
mod condition;
mod event;
mod guard;
mod lock;
mod rlock;
mod semaphore;

pub use barrier::{Barrier, BarrierWait};
pub use condition::Condition;
pub use event::Event;
pub(crate) use guard::Holding;
pub(crate) use guard::sealed::{Depth, LetGo};
pub use guard::{Guard, Lockable, OwnedGuard, Owner, WaitGuard};
pub use lock::{Lock, LockBuilder, LockGuard, OwnedLockGuard};
pub use rlock::{OwnedRLockGuard, RLock, RLockBuilder, RLockGuard};
pub use semaphore::{BoundedSemaphore, OwnedPermit, Permit, Semaphore};
