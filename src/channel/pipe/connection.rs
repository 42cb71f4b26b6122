//! An end of a duplex pipe: a sender of one pipe and the receiver of another.

use super::ends::End;
use super::inlet::Inlet;
use super::outlet::Outlet;
use super::receiver::Receiver;
use super::receiving::receiving;
use super::sender::Sender;
use super::sending::sending;
use super::store::{RECEIVER, SENDER};
use crate::channel::tag::tag_of;
use crate::error::{Error, ErrorKind};
use crate::message;
use core::any::type_name;
use core::marker::PhantomData;

/// An end of a duplex pipe, which sends `S` and receives `R`; see [`Pipe`](super::Pipe).
///
/// The other end is a `Connection<R, S>`. Each can be sent to another process, which has it then: in the arguments or the result
/// of a [`Process`](crate::Process), through a [`Queue`](crate::Queue) or another pipe. When it is dropped, or the process that
/// has it dies, the other end receives what was sent and then gets an error with [`is_closed`](crate::Error::is_closed), as
/// does whoever sends to it.
pub struct Connection<S, R> {
    pub(super) out: Outlet,
    pub(super) inlet: Inlet,
    message: PhantomData<fn(S) -> R>,
}

impl<S, R> Connection<S, R> {
    pub(super) fn of(sender: Sender<S>, receiver: Receiver<R>) -> Connection<S, R> {
        Connection { out: sender.out, inlet: receiver.inlet, message: PhantomData }
    }

    /// The sending half, which is told what the other one has received.
    #[inline]
    fn outlet(&mut self) -> &mut Outlet {
        self.out.note_received(self.inlet.received());
        &mut self.out
    }

    /// Takes the end apart, so that one thread or process can send while another one receives.
    pub fn split(self) -> (Sender<S>, Receiver<R>) {
        (Sender::of(self.out), Receiver::of(self.inlet))
    }
}

sending!(Connection [S, R] S);
receiving!(Connection [S, R] R);

impl<S, R> serde::Serialize for Connection<S, R> {
    fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        use serde::ser::SerializeTuple;
        let mut both = serializer.serialize_tuple(2)?;
        both.serialize_element(&Half(&self.out.end))?;
        both.serialize_element(&Half(&self.inlet.end))?;
        both.end()
    }
}

struct Half<'a>(&'a End);

impl serde::Serialize for Half<'_> {
    fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, S, R> serde::Deserialize<'de> for Connection<S, R> {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Connection<S, R>, D::Error> {
        let (sender, receiver): (Arrived<SENDER>, Arrived<RECEIVER>) =
            serde::Deserialize::deserialize(deserializer)?;
        let (sender, receiver) = (sender.0, receiver.0);
        if sender.store.is_of(&tag_of::<S>()) && receiver.store.is_of(&tag_of::<R>()) {
            let (out, inlet) = (Outlet::new(sender), Inlet::new(receiver));
            return Ok(Connection { out, inlet, message: PhantomData });
        }
        let names = sender.store.type_name().and_then(|s| Ok((s, receiver.store.type_name()?)));
        let error = names.map_or_else(
            |error| error,
            |(sends, receives)| {
                let (s, r) = (type_name::<S>(), type_name::<R>());
                let text = format!(
                    "pipe: opened as Connection<{s}, {r}>, holds Connection<{sends}, {receives}>"
                );
                Error::of(ErrorKind::Mismatch, text)
            },
        );
        Err(message::refuse_to_deserialize(error))
    }
}

/// An end of whatever message type.
struct Arrived<const ROLE: u32>(End);

impl<'de, const ROLE: u32> serde::Deserialize<'de> for Arrived<ROLE> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        End::deserialize_any_type(deserializer, ROLE).map(Arrived)
    }
}

impl<S, R> core::fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut f = f.debug_struct("Connection");
        self.out.describe(&mut f);
        self.inlet.describe(&mut f);
        f.finish()
    }
}
