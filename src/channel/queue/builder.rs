//! How a queue is to be made.

use super::Queue;
use super::port::{Port, tag_of};
use super::store;
use crate::error::{Error, ErrorKind, Result};
use core::marker::PhantomData;

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
        let most = i32::MAX as usize;
        let max_items = match self.max_items {
            Some(0) => {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    "a queue of at most 0 messages could never hold one: give at least 1, or use Queue::new for no limit",
                ));
            }
            Some(max) if max > most => {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!(
                        "a queue of at most {max} messages is more than can be counted ({most}): use Queue::new for no limit"
                    ),
                ));
            }
            max => max.unwrap_or(0) as u32,
        };
        if self.capacity_bytes == Some(0) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "a queue of at most 0 bytes could never hold a message: give at least 1, or leave capacity_bytes out for no limit",
            ));
        }
        let records = store::make(0, &tag_of::<T>(), max_items, self.capacity_bytes.unwrap_or(0))?;
        Ok(Queue::from_port(Port::new(records)))
    }
}

impl<T> QueueBuilder<T> {
    pub(super) fn new() -> QueueBuilder<T> {
        QueueBuilder { max_items: None, capacity_bytes: None, message: PhantomData }
    }
}
