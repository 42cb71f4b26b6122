//! The counted ends of a queue: see [`Queue::split`](super::Queue::split).
//!
//! The process has a role's presence bit while it has a handle with that role. A role is there while any living process has
//! the bit, or is under way to one in a message or the result of a process ([`crate::memory`]). Whoever drops the last handle of a
//! role in its process clears the bit and wakes all who sleep at the queue. A death is an alarm. In both cases whoever waits for the
//! other side checks again.

use super::getting::{IntoIter, getting};
use super::looking::looking;
use super::port::{Body, Port};
use super::putting::putting;
use super::travelling::travelling;
use crate::error::Result;
use crate::handle::{CONSUMER, Claimed, ObjectRef, PRODUCER, Parcel};
use crate::raw::records::Store;
use crate::sys::atomic::spin_loop;
use crate::sys::clock::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The putting end of a split [`Queue`](crate::Queue).
///
/// When the last one, in whatever process, is dropped or its process is dead, consumers get what is left and then an error
/// with [`is_closed`](crate::Error::is_closed). A producer that nobody can ever get, because it stands in a queue without a living
/// consumer, counts for nothing.
pub struct Producer<T> {
    port: Port<T>,
}

/// The getting end of a split [`Queue`](crate::Queue).
///
/// When the last one, in whatever process, is dropped or its process is dead, producers get an error with
/// [`is_closed`](crate::Error::is_closed). So they do when the only consumers stand in the queue's own messages, or in each other's.
pub struct Consumer<T> {
    port: Port<T>,
}

impl<T> Producer<T> {
    pub(super) fn of(port: Port<T>) -> Producer<T> {
        Producer { port }
    }
}

/// So often the only consumer of a queue polls without a pause before it waits as others do.
const GLANCES: u32 = 200;

impl<T> Consumer<T> {
    pub(super) fn of(port: Port<T>) -> Consumer<T> {
        Consumer { port }
    }
}

impl<T> Producer<T> {
    /// The reference to the queue.
    pub(crate) fn reference(&self) -> &Arc<ObjectRef> {
        &self.port.records().store.reference
    }

    /// Puts bytes with the handles of the values in them, which the caller packed.
    pub(crate) fn put_parcel(&self, bytes: &mut Vec<u8>, parcel: &Parcel) -> Result<()> {
        self.port.put_parcel(bytes, parcel)
    }
}

impl<T> Consumer<T> {
    /// The reference to the queue.
    pub(crate) fn reference(&self) -> &Arc<ObjectRef> {
        &self.port.records().store.reference
    }

    /// Waits until there is a message, for the only consumer; false if the caller has something else to do, as `is_due` says.
    /// What makes that true is an alarm.
    pub(crate) fn wait_unless(&self, is_due: impl Fn() -> bool) -> Result<bool> {
        let records = self.port.records();
        let glances = if records.store.liveness().pauses().helps() { GLANCES } else { 0 };
        while !is_due() {
            let puts = records.puts();
            if records.len() != 0 {
                return Ok(true);
            }
            // Where questions and answers go to and fro, the next one is often there within a microsecond.
            let is_there = |_| {
                spin_loop();
                records.puts() != puts
            };
            if (0..glances).any(is_there) {
                records.prefetch_first();
                continue;
            }
            records.wait_for_messages(Deadline::NEVER, &is_due)?;
        }
        Ok(false)
    }

    /// Takes the first message for `read`, with the handles of the values in it.
    pub(crate) fn get_parcel<R>(
        &self,
        read: impl FnOnce(Body<'_>, Claimed) -> R,
        until: Deadline,
    ) -> Result<R> {
        self.port.get_parcel(read, until)
    }
}

looking!(Producer);
putting!(Producer);
travelling!(Producer, PRODUCER);

looking!(Consumer);
getting!(Consumer);
travelling!(Consumer, CONSUMER);

impl<T: Serialize + DeserializeOwned> IntoIterator for Consumer<T> {
    type Item = Result<T>;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { port: self.port }
    }
}
