//! `JoinableQueue`: a queue of tasks that are delivered again until they are done, as `multiprocessing.JoinableQueue`.
//!
//! Tasks wait as the [records](crate::raw::records) of a queue, in the same chunks and under the same locks. What was taken
//! stands in slots until it is done:
//!
//! - `slots`: where it stands; `leases`: who has it, and what happens at every death;
//! - `task`: a task in hand; `taking`: how it is taken; `ending`: how it ends or goes back;
//! - `joining`: waiting until all are done;
//! - `tasks`: the methods of handles and ends; `ends`: producers and consumers; `face`: the queue as users see it, and how it is
//!   to be made.

mod ending;
mod ends;
mod face;
mod joining;
pub(super) mod leases;
mod slots;
mod taking;
mod task;
mod tasks;
#[cfg(test)]
mod tests;

pub use ends::{JoinableConsumer, JoinableProducer};
pub use face::{JoinableQueue, JoinableQueueBuilder};
pub use task::Task;
pub use tasks::{TaskIter, TryTaskIter};
