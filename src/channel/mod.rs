//! Channels between processes.
//!
//! - `ring`: the untyped queue of records: two locks, two counters, chunks;
//! - `queue`: the typed queue and its builder;
//! - `ends`: producers and consumers, the counted ends of a queue.

mod ends;
mod queue;
mod ring;

pub use ends::{Consumer, Producer};
pub use queue::{Iter, Queue, QueueBuilder};
