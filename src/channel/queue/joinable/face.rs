//! The queue of tasks as users see it, and how it is to be made.

use super::ends::{JoinableConsumer, JoinableProducer};
use super::slots::MOST_DELIVERIES;
use super::tasks::{getting_tasks, joining};
use crate::channel::queue::face::QueueBuilder;
use crate::channel::queue::looking::looking;
use crate::channel::queue::port::Port;
use crate::channel::queue::putting::putting;
use crate::channel::queue::store;
use crate::channel::queue::travelling::travelling;
use crate::channel::tag::task_tag_of;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{CONSUMER, PRODUCER};

/// How often a task is delivered, if nothing else is said.
const DELIVERIES: u32 = 3;

/// A queue of tasks, each of which is delivered until somebody says that it is done, as Python's
/// `multiprocessing.JoinableQueue`.
///
/// [`get`](JoinableQueue::get) gives a [`Task`](crate::Task), which this process has until it calls
/// [`done`](crate::Task::done). A task that is dropped undone, or whose process is dead, is delivered again, to someone, possibly
/// after tasks that were put later. After three deliveries (see [`JoinableQueueBuilder::max_deliveries`]) it is not: it is listed
/// by [`failed`](JoinableQueue::failed). One task that takes long holds up no other.
///
/// [`join`](JoinableQueue::join) waits until every task is done or has failed.
///
/// Tasks that wait are first in, first out, and are limited as the messages of a [`Queue`](crate::Queue) are; tasks in hand count
/// for no limit. A shared object in a task stays alive until the task is done.
///
/// # When a process dies
///
/// Nothing is lost, wherever a process is killed, not even in the middle of `get` or `done`. A task that it was putting was put
/// whole or not at all. Every task that it had is delivered again, also one that it had all but done: a task is worked on at least
/// once, and if nobody dies or drops it, exactly once.
///
/// # Differences from Python
///
/// There is no `task_done`: a task is done once, by the value that stands for it, and saying so once too often cannot be written.
/// Python loses the tasks of a worker that dies, and `join` then waits for ever.
///
/// # Examples
///
/// ```
/// use multiproc::{JoinableConsumer, JoinableQueue, Process, Queue};
///
/// fn work(jobs: JoinableConsumer<u64>, results: Queue<u64>) -> multiproc::Result<()> {
///     for task in &jobs {
///         let task = task?;
///         if *task == 3 && task.attempt() == 1 {
///             std::process::abort(); // The task is not lost.
///         }
///         results.put(*task * *task)?;
///         task.done()?;
///     }
///     Ok(())
/// }
///
/// let (producer, consumer) = JoinableQueue::new()?.split();
/// let results = Queue::new()?;
/// let workers: Vec<_> = (0..2)
///     .map(|_| Process::spawn(work, (&consumer, &results)))
///     .collect::<multiproc::Result<_>>()?;
/// producer.put_many(1..=4)?;
/// producer.join()?;
/// drop(producer);
/// let ended_well = workers.into_iter().filter_map(|worker| worker.join().ok()).count();
/// assert_eq!(ended_well, 1);
/// let mut squares = results.get_many(9)?;
/// squares.sort();
/// assert_eq!(squares, [1, 4, 9, 16]);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct JoinableQueue<T> {
    port: Port<T>,
}

impl<T> JoinableQueue<T> {
    /// Makes a queue without a limit on tasks, gone with its last user.
    ///
    /// # Errors
    ///
    /// As [`Queue::new`](crate::Queue::new).
    pub fn new() -> Result<JoinableQueue<T>> {
        JoinableQueue::builder().build()
    }

    /// Makes a queue in which at most `max_items` tasks wait, gone with its last user.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) if `max_items` is 0; else as [`JoinableQueue::new`].
    pub fn bounded(max_items: usize) -> Result<JoinableQueue<T>> {
        JoinableQueue::builder().max_items(max_items).build()
    }

    /// A builder, for a queue with limits, or with another number of deliveries.
    pub fn builder() -> JoinableQueueBuilder<T> {
        JoinableQueueBuilder { queue: QueueBuilder::unlimited(), deliveries: DELIVERIES }
    }

    /// Gives this handle up for two counted ends.
    ///
    /// When every producer, in whatever process, is dropped or dead, consumers get what is left and comes back, and then an error
    /// with [`is_closed`](crate::Error::is_closed); and the other way round. Another handle of this queue that is alive counts as
    /// both.
    pub fn split(self) -> (JoinableProducer<T>, JoinableConsumer<T>) {
        let producer = JoinableProducer::of(self.port.with_roles(PRODUCER));
        (producer, JoinableConsumer::of(self.port.into_roles(CONSUMER)))
    }
}

looking!(JoinableQueue, shutdown_tasks);
putting!(JoinableQueue, values);
getting_tasks!(JoinableQueue);
joining!(JoinableQueue);
travelling!(JoinableQueue, PRODUCER | CONSUMER, Tasks);

/// How a [`JoinableQueue`] is to be made; see [`JoinableQueue::builder`].
#[derive(Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct JoinableQueueBuilder<T> {
    queue: QueueBuilder<T>,
    deliveries: u32,
}

impl<T> Clone for JoinableQueueBuilder<T> {
    fn clone(&self) -> JoinableQueueBuilder<T> {
        JoinableQueueBuilder { queue: self.queue.clone(), ..*self }
    }
}

impl<T> JoinableQueueBuilder<T> {
    /// At most this many tasks wait at a time; `put` waits for room. Tasks in hand do not count.
    pub fn max_items(mut self, max_items: usize) -> JoinableQueueBuilder<T> {
        self.queue = self.queue.max_items(max_items);
        self
    }

    /// At most this many bytes of encoded tasks wait at a time; `put` waits for room. Tasks in hand do not count.
    pub fn capacity_bytes(mut self, bytes: u64) -> JoinableQueueBuilder<T> {
        self.queue = self.queue.capacity_bytes(bytes);
        self
    }

    /// Each task is delivered at most this often; without this call three times. 1 means that no task is delivered again.
    pub fn max_deliveries(mut self, deliveries: u32) -> JoinableQueueBuilder<T> {
        self.deliveries = deliveries;
        self
    }

    /// Makes the queue.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) for a limit of 0, of more than 2^31 - 1 tasks or of more than 2^24 - 1
    /// deliveries; else as [`JoinableQueue::new`].
    pub fn build(self) -> Result<JoinableQueue<T>> {
        let deliveries = self.deliveries;
        if deliveries == 0 || deliveries > MOST_DELIVERIES {
            return Err(Error::of(
                ErrorKind::InvalidInput,
                format!(
                    "tasks that are delivered at most {deliveries} times: give max_deliveries a number from 1 to {MOST_DELIVERIES}, or leave it out for {DELIVERIES}"
                ),
            ));
        }
        let limits = store::Limits { deliveries: Some(deliveries), ..self.queue.limits()? };
        Ok(JoinableQueue { port: Port::new(store::make(0, &task_tag_of::<T>(), limits)?) })
    }
}
