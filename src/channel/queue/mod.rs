//! `Queue`: messages between any number of processes, as `multiprocessing.Queue`.
//!
//! - `store`: its memory, and who is on the other side;
//! - `held`: blocks of large messages, in place; `special`: large messages, and those that carry shared objects;
//! - `port`: a handle's side, with the message type;
//! - `looking`, `putting`, `getting`, `travelling`: the methods of handles and ends;
//! - `ends`: producers and consumers; `face`: the queue as users see it, and how it is to be made;
//! - `joinable`: a queue of tasks over the same records.
//!
//! The protocol, and what happens at every death, is described in [`crate::raw::records`].

mod ends;
mod face;
mod getting;
mod held;
mod joinable;
mod looking;
mod port;
mod putting;
mod special;
mod store;
#[cfg(test)]
mod tests;
mod travelling;

pub use ends::{Consumer, Producer};
pub use face::{Queue, QueueBuilder};
pub use getting::{IntoIter, Iter, TryIter};
pub(crate) use held::HeldBlock;
pub use joinable::{
    JoinableConsumer, JoinableProducer, JoinableQueue, JoinableQueueBuilder, Task, TaskIter,
    TryTaskIter,
};
pub(crate) use port::Body;
