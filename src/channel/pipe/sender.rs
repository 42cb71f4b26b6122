//! The sending end of a simplex pipe.

use super::ends::End;
use super::outlet::Outlet;
use super::sending::sending;
use super::store::SENDER;
use crate::error::Result;
use crate::handle::Parcel;
use crate::sys::clock::Deadline;
use core::marker::PhantomData;

/// The sending end of a pipe; see [`Pipe`](super::Pipe).
///
/// There is one for each pipe. It can be sent to another process, which has it then: in the arguments or the result of a
/// [`Process`](crate::Process), through a [`Queue`](crate::Queue) or another pipe. When it is dropped, or the process that has
/// it dies, the [`Receiver`](super::Receiver) gets what was sent and then an error with
/// [`is_closed`](crate::Error::is_closed).
///
/// # Examples
///
/// An end that was sent away cannot be used here any more:
///
/// ```compile_fail,E0382
/// use multiproc::{Pipe, Process, Sender};
///
/// let (mut sender, receiver) = Pipe::simplex::<u32>().unwrap();
/// Process::spawn(|mut sender: Sender<u32>| sender.send(1), (sender,)).unwrap();
/// sender.send(2).unwrap();
/// ```
///
/// Where only a reference was given, that is found out later: [`send`](Sender::send) is an error with
/// [`is_foreign`](crate::Error::is_foreign).
pub struct Sender<T> {
    pub(super) out: Outlet,
    message: PhantomData<fn(T) -> T>,
}

impl<T> Sender<T> {
    pub(super) fn of(out: Outlet) -> Sender<T> {
        Sender { out, message: PhantomData }
    }
}

impl<T> Sender<T> {
    /// Sends an answer, without waiting: bytes that are encoded already, with the handles that were packed with them, for
    /// [`Receiver::recv_as`](super::Receiver).
    pub(crate) fn try_answer_packed(&mut self, bytes: &mut Vec<u8>, parcel: &Parcel) -> Result<()> {
        self.out.note_answer();
        self.out.send_packed(bytes, parcel, Deadline::NOW)
    }

    #[inline]
    fn outlet(&mut self) -> &mut Outlet {
        &mut self.out
    }

    /// Whether the receiver is gone for good.
    pub(crate) fn is_alone(&self) -> bool {
        self.out.end.is_alone()
    }
}

sending!(Sender [T] T);

impl<T> serde::Serialize for Sender<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.out.end.serialize(serializer)
    }
}

impl<'de, T> serde::Deserialize<'de> for Sender<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Sender<T>, D::Error> {
        let end = End::deserialize::<T, D>(deserializer, SENDER)?;
        Ok(Sender::of(Outlet::new(end)))
    }
}

impl<T> core::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut f = f.debug_struct("Sender");
        self.out.describe(&mut f);
        f.finish()
    }
}
