//! Python's `multiprocessing` for Rust.

mod channel;
mod error;
mod message;
mod process;
mod sync;
mod sys;
#[doc(hidden)]
pub mod testing;
mod world;

pub use channel::{Consumer, Producer, Queue, QueueBuilder};
pub use error::{ChildFailure, Error, ErrorKind, Result};
pub use message::Message;
pub use process::*;
pub use sync::{Event, Lock, LockBuilder, LockGuard, OwnedLockGuard, Owner};
