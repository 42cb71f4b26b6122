//! How handles of a queue travel.

use super::port::Port;
use super::store;
use crate::channel::tag::{tag_of, task_tag_of};
use crate::error::{Error, ErrorKind, Result};
use crate::handle;
use crate::message;
use crate::sys::atomic::Ordering;
use crate::world::Kind;
use core::any::type_name;

/// Lets a handle with a `port` and these roles travel.
macro_rules! travelling {
    ($Type:ident, $roles:expr) => {
        $crate::channel::queue::travelling::travelling!($Type, $roles, Messages);
    };
    ($Type:ident, $roles:expr, $Of:ident) => {
        impl<T> ::serde::Serialize for $Type<T> {
            fn serialize<S: ::serde::Serializer>(
                &self,
                serializer: S,
            ) -> $crate::error::Result<S::Ok, S::Error> {
                let reference = &self.port.records().store.reference;
                $crate::handle::serialize(reference, self.port.roles(), serializer)
            }
        }

        impl<'de, T> ::serde::Deserialize<'de> for $Type<T> {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> $crate::error::Result<Self, D::Error> {
                let port = $crate::channel::queue::travelling::received(
                    deserializer,
                    $roles,
                    stringify!($Type),
                    $crate::channel::queue::travelling::Of::$Of,
                )?;
                Ok($Type { port })
            }
        }
    };
}

pub(super) use travelling;

/// What a queue is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Messages,
    Tasks,
}

impl Of {
    /// What the queue is called.
    fn queue(self) -> &'static str {
        match self {
            Of::Messages => "Queue",
            Of::Tasks => "JoinableQueue",
        }
    }
}

/// Brings a port back that travelled, if it is for this message type and these roles.
pub(super) fn received<'de, T, D: serde::Deserializer<'de>>(
    deserializer: D,
    wanted: u32,
    what: &str,
    of: Of,
) -> Result<Port<T>, D::Error> {
    let (reference, roles) = handle::deserialize(deserializer, Kind::Queue)?;
    // From here on the port gives the roles back when it is dropped.
    let records =
        store::from_reference(reference, roles).map_err(message::refuse_to_deserialize)?;
    let port = Port::<T>::new(records);
    let refuse =
        |text: String| message::refuse_to_deserialize(Error::of(ErrorKind::Mismatch, text));
    if roles != wanted {
        return Err(refuse(format!(
            "opened as the {what} of a queue, which is another end than was sent"
        )));
    }
    let (_, tail) = port.records().lines();
    let tag = match of {
        Of::Messages => tag_of::<T>(),
        Of::Tasks => task_tag_of::<T>(),
    };
    if tail.type_hash.load(Ordering::Relaxed) != tag.hash {
        let holds = store::type_name(port.records()).map_err(message::refuse_to_deserialize)?;
        let is_of_tasks = port.records().store.leases.is_some();
        let found = if is_of_tasks { Of::Tasks } else { Of::Messages };
        let wanted = type_name::<T>();
        let namesake =
            if holds == wanted && found == of { ", another type of that name" } else { "" };
        let (of, found) = (of.queue(), found.queue());
        return Err(refuse(format!(
            "queue: opened as {of}<{wanted}>, holds {found}<{holds}>{namesake}"
        )));
    }
    Ok(port)
}
