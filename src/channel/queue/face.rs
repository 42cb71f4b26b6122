//! The queue as users see it, and how it is to be made.

use super::ends::{Consumer, Producer};
use super::getting::getting;
use super::looking::looking;
use super::port::Port;
use super::putting::putting;
use super::store;
use super::travelling::travelling;
use crate::channel::tag::tag_of;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{CONSUMER, PRODUCER};
use core::marker::PhantomData;

/// Messages of type `T` between any number of processes, first in, first out, as Python's `multiprocessing.Queue`.
///
/// Cloning gives another handle to the same queue; handles travel to other processes in the arguments of
/// [`Process::spawn`](crate::Process::spawn) and through other queues. Any handle can put and get; [`split`](Queue::split)
/// gives ends that are counted, so that getters learn when no producer is left.
///
/// A message is there for every process once `put` has returned, and [`len`](Queue::len) counts it: there is no feeder
/// thread. Messages may be of any size below a quarter of the memory of the machine or control group, which is also the
/// ceiling of a queue without a limit.
///
/// # When a process dies
///
/// Wherever a process is killed, in the middle of putting or getting or asleep, the others go on: a message that it was
/// putting was put whole or not at all, and a message that it was getting is gone with it or still there. No other message
/// is lost, doubled or torn.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, Queue};
///
/// fn square(input: Queue<u64>, output: Queue<u64>) -> multiproc::Result<()> {
///     output.put(input.get()?.pow(2))
/// }
///
/// let (input, output) = (Queue::new()?, Queue::new()?);
/// let child = Process::spawn(square, (&input, &output))?;
/// input.put(12)?;
/// assert_eq!(output.get()?, 144);
/// child.join()??;
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Queue<T> {
    port: Port<T>,
}

impl<T> Queue<T> {
    fn from_port(port: Port<T>) -> Queue<T> {
        Queue { port }
    }

    /// Makes a queue without a limit on messages, gone with its last user.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new() -> Result<Queue<T>> {
        Queue::builder().build()
    }

    /// Makes a queue of at most `max_items` messages, gone with its last user.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) if `max_items` is 0; else as [`Queue::new`].
    pub fn bounded(max_items: usize) -> Result<Queue<T>> {
        Queue::builder().max_items(max_items).build()
    }

    /// A builder, for a queue with a limit of messages, of bytes, or of both.
    pub fn builder() -> QueueBuilder<T> {
        QueueBuilder::unlimited()
    }

    /// Gives this handle up for two counted ends.
    ///
    /// When every producer, in whatever process, is dropped or dead, consumers get what is left and then an error with
    /// [`is_closed`](crate::Error::is_closed); and the other way round. Another handle of this queue that is alive counts as both.
    pub fn split(self) -> (Producer<T>, Consumer<T>) {
        let producer = Producer::of(self.port.with_roles(PRODUCER));
        (producer, Consumer::of(self.port.into_roles(CONSUMER)))
    }
}

looking!(Queue);
putting!(Queue);
getting!(Queue);
travelling!(Queue, PRODUCER | CONSUMER);

/// How a [`Queue`] is to be made; see [`Queue::builder`].
#[derive(Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct QueueBuilder<T> {
    max_items: Option<usize>,
    capacity_bytes: Option<u64>,
    message: PhantomData<fn(T) -> T>,
}

impl<T> Clone for QueueBuilder<T> {
    fn clone(&self) -> QueueBuilder<T> {
        QueueBuilder { ..*self }
    }
}

impl<T> QueueBuilder<T> {
    /// At most this many messages at a time; `put` waits for room.
    pub fn max_items(mut self, max_items: usize) -> QueueBuilder<T> {
        self.max_items = Some(max_items);
        self
    }

    /// At most this many bytes of encoded messages at a time; `put` waits for room.
    pub fn capacity_bytes(mut self, bytes: u64) -> QueueBuilder<T> {
        self.capacity_bytes = Some(bytes);
        self
    }

    /// Makes the queue.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) for a limit of 0, or of more than 2^31 - 1 messages; else as
    /// [`Queue::new`].
    pub fn build(self) -> Result<Queue<T>> {
        let records = store::make(0, &tag_of::<T>(), self.limits()?)?;
        Ok(Queue::from_port(Port::new(records)))
    }
}

impl<T> QueueBuilder<T> {
    pub(super) fn unlimited() -> QueueBuilder<T> {
        QueueBuilder { max_items: None, capacity_bytes: None, message: PhantomData }
    }

    /// The limits, if they are such.
    pub(super) fn limits(&self) -> Result<store::Limits> {
        let most = i32::MAX as usize;
        let max_items = match self.max_items {
            Some(0) => {
                return Err(Error::of(
                    ErrorKind::InvalidInput,
                    "a queue of at most 0 messages could never hold one: give at least 1, or use Queue::new for no limit",
                ));
            }
            Some(max) if max > most => {
                return Err(Error::of(
                    ErrorKind::InvalidInput,
                    format!(
                        "a queue of at most {max} messages is more than can be counted ({most}): use Queue::new for no limit"
                    ),
                ));
            }
            max => max.unwrap_or(0) as u32,
        };
        if self.capacity_bytes == Some(0) {
            return Err(Error::of(
                ErrorKind::InvalidInput,
                "a queue of at most 0 bytes could never hold a message: give at least 1, or leave capacity_bytes out for no limit",
            ));
        }
        Ok(store::Limits {
            items: max_items,
            bytes: self.capacity_bytes.unwrap_or(0),
            deliveries: None,
        })
    }
}
