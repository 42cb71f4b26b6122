//! Making a pipe.

use super::connection::Connection;
use super::ends::End;
use super::inlet::Inlet;
use super::outlet::Outlet;
use super::receiver::Receiver;
use super::sender::Sender;
use super::store::{RECEIVER, SENDER, Store};
use crate::channel::tag::tag_of;
use crate::error::Result;

/// Makes pipes: messages between one sender and one receiver, first in, first out.
///
/// The ends are values that belong to one process at a time, and move when they are sent: in the arguments and the result of
/// a [`Process`](crate::Process), through a [`Queue`](crate::Queue) or another pipe, alone or inside a structure of your own.
///
/// A pipe holds 63 KiB of messages, each with 8 bytes and rounded up to whole words, and beside that messages above 16 KiB as
/// long as those before them have no more than 1 MiB. A sender waits while it is full. A message may have any size below a
/// quarter of the memory of the machine or control group. A pipe that nobody uses costs no descriptor, and one page of memory
/// (64 KiB once as much was sent).
///
/// # When a process dies
///
/// Wherever the process that has an end is killed, the other end is released at once: the receiver gets what was sent and then
/// an error with [`is_closed`](crate::Error::is_closed), the sender gets that error. A message is received whole or not at all.
/// An end that is on its way is closed when nobody can receive the message any more in which it stands.
///
/// # Differences from Python
///
/// Python hangs when a process that holds a copy of the other end forgets to close it; here there are no copies. `poll`,
/// `recv_bytes` and `recv_bytes_into` are as in Python; a message that does not fit stays in the pipe.
///
/// # Examples
///
/// ```
/// use multiproc::{Connection, Pipe, Process};
///
/// fn square(mut questions: Connection<u64, u32>) -> multiproc::Result<()> {
///     while let Ok(n) = questions.recv() {
///         questions.send(u64::from(n).pow(2))?;
///     }
///     Ok(())
/// }
///
/// let (mut here, there) = Pipe::duplex::<u32, u64>()?;
/// let child = Process::spawn(square, (there,))?;
/// here.send(12)?;
/// assert_eq!(here.recv()?, 144);
/// drop(here);
/// child.join()??;
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Pipe;

impl Pipe {
    /// Makes a pipe for both directions, gone with its last end: one end sends `A` and receives `B`, and the other one the other
    /// way round.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn duplex<A, B>() -> Result<(Connection<A, B>, Connection<B, A>)> {
        let (a_sender, a_receiver) = Pipe::simplex()?;
        let (b_sender, b_receiver) = Pipe::simplex()?;
        Ok((Connection::of(a_sender, b_receiver), Connection::of(b_sender, a_receiver)))
    }

    /// Makes a pipe for one direction, gone with its last end.
    ///
    /// # Errors
    ///
    /// As [`Pipe::duplex`].
    pub fn simplex<T>() -> Result<(Sender<T>, Receiver<T>)> {
        let store = Store::create(&tag_of::<T>())?;
        let outlet = Outlet::new(End::new(store.clone(), SENDER));
        let inlet = Inlet::new(End::new(store, RECEIVER));
        Ok((Sender::of(outlet), Receiver::of(inlet)))
    }
}
