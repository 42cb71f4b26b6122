//! The counted ends of a queue: see [`Queue::split`](super::Queue::split).
//!
//! The process has a role's presence bit while it has a handle with that role; a role is alive while any living process has
//! the bit, or a message or the result of a process carries it ([`crate::world::cells`]). The last handle's drop clears the bit
//! and raises the alarm, a death is an alarm: who waits for the other side looks again.

use super::queue::{Iter, Port, getting, looking, putting, received, timed, travelling};
use crate::error::Result;
use crate::message::Message;
use crate::sys::clock::Deadline;
use crate::world::handle::{self, CONSUMER, PRODUCER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// The putting end of a split [`Queue`](crate::Queue).
///
/// When the last one, in whatever process, is dropped or its process is dead, consumers get what is left and then an error
/// with [`is_closed`](crate::Error::is_closed).
pub struct Producer<T> {
    port: Port<T>,
}

/// The getting end of a split [`Queue`](crate::Queue).
///
/// When the last one, in whatever process, is dropped or its process is dead, producers get an error with
/// [`is_closed`](crate::Error::is_closed).
pub struct Consumer<T> {
    port: Port<T>,
}

impl<T> Producer<T> {
    pub(super) fn new(port: Port<T>) -> Producer<T> {
        Producer { port }
    }
}

impl<T> Consumer<T> {
    pub(super) fn new(port: Port<T>) -> Consumer<T> {
        Consumer { port }
    }
}

looking!(Producer);
putting!(Producer);
travelling!(Producer, PRODUCER);

looking!(Consumer);
getting!(Consumer);
travelling!(Consumer, CONSUMER);
