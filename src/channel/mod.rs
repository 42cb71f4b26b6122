//! Channels between processes.
//!
//! - `queue`: messages between any number of processes;
//! - `pipe`: messages between one sender and one receiver;
//! - `tag`: how both tell their message type.

mod pipe;
mod queue;
mod tag;

pub use pipe::{Connection, Incoming, Pipe, Receiver, Sender};
pub(crate) use queue::{Body, HeldBlock};
pub use queue::{
    Consumer, IntoIter, Iter, JoinableConsumer, JoinableProducer, JoinableQueue,
    JoinableQueueBuilder, Producer, Queue, QueueBuilder, Task, TaskIter, TryIter, TryTaskIter,
};
