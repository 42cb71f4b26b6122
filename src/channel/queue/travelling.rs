//! How handles of a queue travel.

use super::port::Port;
use super::store;
use crate::channel::tag::tag_of;
use crate::error::{Error, ErrorKind, Result};
use crate::handle;
use crate::message;
use crate::sys::atomic::Ordering;
use crate::world::Kind;
use core::any::type_name;

/// Lets a handle with a `port` and these roles travel.
macro_rules! travelling {
    ($Type:ident, $roles:expr) => {
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
                )?;
                Ok($Type { port })
            }
        }
    };
}

pub(super) use travelling;

/// Brings a port back that travelled, if it is for this message type and these roles.
pub(super) fn received<'de, T, D: serde::Deserializer<'de>>(
    deserializer: D,
    wanted: u32,
    what: &str,
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
    if tail.type_hash.load(Ordering::Relaxed) != tag_of::<T>().hash {
        let holds = store::type_name(port.records()).map_err(message::refuse_to_deserialize)?;
        let wanted = type_name::<T>();
        let namesake = if holds == wanted { ", another type of that name" } else { "" };
        return Err(refuse(format!(
            "queue: opened as Queue<{wanted}>, holds Queue<{holds}>{namesake}"
        )));
    }
    Ok(port)
}
