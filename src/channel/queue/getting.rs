//! The methods of whatever can get, and its iterators.

use super::port::Port;
use crate::error::Result;
use crate::sys::clock::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Implements them for a handle with a `port`.
macro_rules! getting {
    ($Type:ident) => {
        impl<T: ::serde::Serialize + ::serde::de::DeserializeOwned> $Type<T> {
            $crate::forms::forms! {
                /// Takes the first message; waits while the queue is empty. Woken by a putter.
                ///
                /// # Errors
                ///
                /// [`is_closed`](crate::Error::is_closed) if the queue is empty and closed, or no producer is left;
                /// [`is_mismatch`](crate::Error::is_mismatch) if the first message was put as plain bytes: it stays;
                /// [`is_decode`](crate::Error::is_decode) if the bytes are no `T`: the message is gone.
                pub fn get, try_get, get_timeout, get_deadline(&self; until) -> T {
                    self.port.get(until)
                }
                try: Empty, is_empty, "there is no message"
            }

            $crate::forms::forms! {
                /// Waits for a message, then takes it and those behind it that are there, `max` at most, each by itself.
                ///
                /// A message that cannot be decoded ends the batch. If it was the first, this call tells of it; else the next call
                /// on this handle that gets something does, in whatever form, and then all is as before.
                ///
                /// # Errors
                ///
                /// As [`get`](Self::get), for the first message.
                pub fn get_many, try_get_many, get_many_timeout, get_many_deadline
                (&self, max: usize; until) -> Vec<T> {
                    self.port.get_many(max, until)
                }
                try: Empty, is_empty, "there is no message"
            }

            /// Messages as they come, until the queue is empty and closed or no producer is left.
            pub fn iter(&self) -> $crate::channel::queue::getting::Iter<'_, T> {
                $crate::channel::queue::getting::Iter { port: &self.port }
            }

            /// The messages that are there, without waiting for more.
            pub fn try_iter(&self) -> $crate::channel::queue::getting::TryIter<'_, T> {
                $crate::channel::queue::getting::TryIter { port: &self.port }
            }
        }

        impl<'a, T: ::serde::Serialize + ::serde::de::DeserializeOwned> IntoIterator
            for &'a $Type<T>
        {
            type Item = $crate::error::Result<T>;
            type IntoIter = $crate::channel::queue::getting::Iter<'a, T>;

            fn into_iter(self) -> $crate::channel::queue::getting::Iter<'a, T> {
                self.iter()
            }
        }

        impl<T> $Type<T> {
            $crate::forms::forms! {
                /// Takes the first message, which was put as plain bytes; else as `get`.
                ///
                /// # Errors
                ///
                /// [`is_closed`](crate::Error::is_closed) as `get`; [`is_mismatch`](crate::Error::is_mismatch) if the first message
                /// was put as a value: it stays.
                pub fn get_bytes, try_get_bytes, get_bytes_timeout, get_bytes_deadline
                (&self; until) -> Vec<u8> {
                    self.port.get_bytes(until)
                }
                try: Empty, is_empty, "there is no message"
            }

            $crate::forms::forms! {
                /// Takes the first message, which was put as plain bytes, and puts it into `buffer` instead of what was there; else
                /// as [`get_bytes`](Self::get_bytes). A buffer that is used again and again costs no new memory.
                ///
                /// # Errors
                ///
                /// As [`get_bytes`](Self::get_bytes); `buffer` is empty then.
                ///
                /// # Examples
                ///
                /// ```
                /// use multiproc::Queue;
                ///
                /// let queue: Queue<Vec<u8>> = Queue::new()?;
                /// queue.put_bytes(b"one")?;
                /// queue.put_bytes(b"two")?;
                /// let mut buffer = Vec::new();
                /// queue.get_bytes_into(&mut buffer)?;
                /// assert_eq!(buffer, b"one");
                /// queue.get_bytes_into(&mut buffer)?;
                /// assert_eq!(buffer, b"two");
                /// # Ok::<(), multiproc::Error>(())
                /// ```
                pub fn get_bytes_into, try_get_bytes_into, get_bytes_into_timeout, get_bytes_into_deadline
                (&self, buffer: &mut Vec<u8>; until) -> () {
                    self.port.get_bytes_into(buffer, until)
                }
                try: Empty, is_empty, "there is no message"
            }

            $crate::forms::forms! {
                /// Takes the first message, which was put as plain bytes, and lets `read` see it; else as
                /// [`get_bytes`](Self::get_bytes).
                ///
                /// A message of more than 4 KiB is read in place, in shared memory, at a cost that does not grow with its length;
                /// a shorter one is copied once. No lock is held while `read` runs: others put and get meanwhile. The message is
                /// this process's before `read` runs: it is gone when `read` returns or panics, or this process is killed in it,
                /// and its memory is free again.
                ///
                /// # Errors
                ///
                /// As [`get_bytes`](Self::get_bytes); `read` was not called then.
                pub fn get_with, try_get_with, get_with_timeout, get_with_deadline
                [R] (&self, read: impl FnOnce(&[u8]) -> R; until) -> R {
                    self.port.get_with(read, until)
                }
                try: Empty, is_empty, "there is no message"
            }
        }
    };
}

pub(super) use getting;

/// The next message, unless the queue has ended.
fn next<T: Serialize + DeserializeOwned>(port: &Port<T>) -> Option<Result<T>> {
    match port.get(Deadline::NEVER) {
        Err(error) if error.is_closed() => None,
        result => Some(result),
    }
}

/// Messages of a queue as they come; ends when it is empty and closed or no producer is left.
pub struct Iter<'a, T> {
    pub(super) port: &'a Port<T>,
}

impl<T: Serialize + DeserializeOwned> Iterator for Iter<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        next(self.port)
    }
}

impl<T> core::fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.port.describe("Iter", f)
    }
}

/// The messages that are in a queue; ends when it is empty.
pub struct TryIter<'a, T> {
    pub(super) port: &'a Port<T>,
}

impl<T: Serialize + DeserializeOwned> Iterator for TryIter<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match self.port.get(Deadline::NOW) {
            Err(error) if error.is_timeout() || error.is_closed() => None,
            result => Some(result),
        }
    }
}

impl<T> core::fmt::Debug for TryIter<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.port.describe("TryIter", f)
    }
}

/// Messages of a queue as they come, with the handle or end through which they come; ends as [`Iter`].
pub struct IntoIter<T> {
    pub(super) port: Port<T>,
}

impl<T: Serialize + DeserializeOwned> Iterator for IntoIter<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        next(&self.port)
    }
}

impl<T> core::fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.port.describe("IntoIter", f)
    }
}
