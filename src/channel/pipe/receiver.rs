//! The receiving end of a simplex pipe.

use super::ends::End;
use super::inlet::Inlet;
use super::receiving::receiving;
use super::store::RECEIVER;
use crate::error::Result;
use crate::handle::Claimed;
use crate::sys::clock::Deadline;
use core::marker::PhantomData;

/// The receiving end of a pipe; see [`Pipe`](super::Pipe).
///
/// There is one for each pipe. It can be sent to another process, which has it then, together with what was sent and not yet
/// received: in the arguments or the result of a [`Process`](crate::Process), through a [`Queue`](crate::Queue) or another pipe.
/// When it is dropped, or the process that has it dies, the [`Sender`](super::Sender) gets an error with
/// [`is_closed`](crate::Error::is_closed).
pub struct Receiver<T> {
    pub(super) inlet: Inlet,
    message: PhantomData<fn(T) -> T>,
}

impl<T> Receiver<T> {
    pub(super) fn of(inlet: Inlet) -> Receiver<T> {
        Receiver { inlet, message: PhantomData }
    }
}

impl<T> Receiver<T> {
    /// From now on it takes longer until a message comes, by about so many nanoseconds: polling lasts so much longer, too.
    pub(crate) fn expect_later(&mut self, by: u32) {
        self.inlet.expect_later(by / 250);
    }

    /// Receives a message that `decode` reads, which is given the handles in it.
    pub(crate) fn recv_as<R>(
        &mut self,
        until: Deadline,
        decode: impl FnOnce(&[u8], Claimed) -> Result<R>,
    ) -> Result<R> {
        self.inlet.recv_as(until, core::any::type_name::<T>, decode)
    }
}

receiving!(Receiver [T] T);

impl<T> serde::Serialize for Receiver<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.inlet.end.serialize(serializer)
    }
}

impl<'de, T> serde::Deserialize<'de> for Receiver<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Receiver<T>, D::Error> {
        let end = End::deserialize::<T, D>(deserializer, RECEIVER)?;
        Ok(Receiver::of(Inlet::new(end)))
    }
}

impl<T> core::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut f = f.debug_struct("Receiver");
        self.inlet.describe(&mut f);
        f.finish()
    }
}
