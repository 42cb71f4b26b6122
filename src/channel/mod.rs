//! Channels between processes.
//!
//! - `queue`: messages between any number of processes.

mod queue;

pub use queue::{Consumer, IntoIter, Iter, Producer, Queue, QueueBuilder, TryIter};
