//! `Queue`: messages between any number of processes, as `multiprocessing.Queue`.
//!
//! - `store`: its memory, and who is on the other side;
//! - `special`: large messages, and those that carry shared objects;
//! - `port`: a handle's side, with the message type;
//! - `looking`, `putting`, `getting`, `travelling`: the methods of handles and ends;
//! - `builder`: how a queue is to be made; `ends`: producers and consumers.
//!
//! The protocol, and what happens at every death, is described in [`crate::raw::records`].

mod builder;
mod ends;
mod getting;
mod looking;
mod port;
mod putting;
mod special;
mod store;
#[cfg(test)]
mod tests;
mod travelling;

use crate::error::Result;
use crate::handle::{CONSUMER, PRODUCER};
use getting::getting;
use looking::looking;
use port::Port;
use putting::putting;
use travelling::travelling;

pub use builder::QueueBuilder;
pub use ends::{Consumer, Producer};
pub use getting::{IntoIter, Iter, TryIter};

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

    /// For the less common choices.
    pub fn builder() -> QueueBuilder<T> {
        QueueBuilder::new()
    }

    /// Gives this handle up for two counted ends.
    ///
    /// When every producer, in whatever process, is dropped or dead, consumers get what is left and then an error with
    /// [`is_closed`](crate::Error::is_closed); and the other way round. Another handle of this queue that is alive counts as both.
    pub fn split(self) -> (Producer<T>, Consumer<T>) {
        (
            Producer::new(self.port.with_roles(PRODUCER)),
            Consumer::new(self.port.with_roles(CONSUMER)),
        )
    }

    /// As [`close`](Queue::close), and drops what is left.
    ///
    /// # Errors
    ///
    /// As [`close`](Queue::close).
    pub fn shutdown(&self) -> Result<()> {
        self.close()?;
        while self.port.discard() {}
        Ok(())
    }
}

looking!(Queue);
putting!(Queue);
getting!(Queue);
travelling!(Queue, PRODUCER | CONSUMER);
