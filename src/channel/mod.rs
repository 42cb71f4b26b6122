//! Channels between processes.
//!
//! - `news`: the word that those sleep on who wait for messages or for room;
//! - `chunk`: the blocks in which records stand;
//! - `pace`: waiting before sleeping;
//! - `ring`: the untyped queue of records: two locks, two counters, chunks;
//! - `walk`: finding the handles in a queue's messages;
//! - `queue`: the typed queue and its builder;
//! - `ends`: producers and consumers, the counted ends of a queue.

mod chunk;
mod ends;
mod news;
mod pace;
mod queue;
mod ring;
mod walk;

pub use ends::{Consumer, Producer};
pub use queue::{Iter, Queue, QueueBuilder};
