//! Locks and events between processes.

mod event;
mod lock;

pub use event::Event;
pub use lock::{Lock, LockBuilder, LockGuard, OwnedLockGuard, Owner};
