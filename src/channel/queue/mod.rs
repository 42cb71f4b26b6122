//! `Queue`: messages between any number of processes, as `multiprocessing.Queue`.
//!
//! The typed face of [`super::ring`]: messages are encoded into private memory before anything is locked, because their
//! size is unknown and a user's `Serialize` may block, panic or put something itself; and they are decoded from a private
//! copy, because another process could change shared bytes between a check and a use.

use super::ends::{Consumer, Producer};
use super::ring::{Form, Item, Ring};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{self, Message};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::world::handle::{self, CONSUMER, Kind, PRODUCER};
use core::any::type_name;
use core::cell::Cell;
use core::marker::PhantomData;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// Scratch memory larger than this is given back after use.
const KEPT: usize = 1 << 20;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `f` with empty scratch memory of this thread; a nested call gets its own.
fn with_scratch<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    let result = f(&mut scratch);
    if scratch.capacity() <= KEPT {
        SCRATCH.set(scratch);
    }
    result
}

/// A ring whose typed messages are `T`.
pub(super) struct Port<T> {
    ring: Ring,
    /// 1 once a message of this type was read back from its own bytes.
    verified: AtomicU32,
    message: PhantomData<fn(T) -> T>,
}

impl<T> Port<T> {
    pub(super) fn new(ring: Ring) -> Port<T> {
        Port { ring, verified: AtomicU32::new(0), message: PhantomData }
    }

    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Another handle to the same queue.
    pub(super) fn with_roles(&self, roles: u32) -> Port<T> {
        Port::new(self.ring.with_roles(roles))
    }

    pub(super) fn put_bytes(&self, bytes: &[u8], until: Deadline) -> Result<()> {
        self.ring.push(&Item { form: Form::Bytes, bytes, parcel: None }, until)
    }

    pub(super) fn put_with<R>(
        &self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
        until: Deadline,
    ) -> Result<R> {
        self.ring.check_len(len)?;
        with_scratch(|scratch| {
            scratch.try_reserve_exact(len).map_err(|_| {
                Error::new(
                    ErrorKind::TooLarge,
                    format!("no memory for a message of {len} bytes: send it in parts"),
                )
            })?;
            scratch.resize(len, 0);
            let result = fill(scratch);
            self.put_bytes(scratch, until)?;
            Ok(result)
        })
    }

    pub(super) fn get_bytes(&self, until: Deadline) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.ring.pop(Form::Bytes, type_name::<T>(), until, &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn get_with<R>(&self, read: impl FnOnce(&[u8]) -> R, until: Deadline) -> Result<R> {
        with_scratch(|scratch| {
            self.ring.pop(Form::Bytes, type_name::<T>(), until, scratch)?;
            Ok(read(scratch))
        })
    }
}

impl<T: Serialize + DeserializeOwned> Port<T> {
    pub(super) fn put<M: Message<T>>(&self, item: &M, until: Deadline) -> Result<()> {
        if let Some(bytes) = message::raw(item) {
            return self.ring.push(&Item { form: Form::Typed, bytes, parcel: None }, until);
        }
        with_scratch(|scratch| {
            let ((), parcel) = handle::pack(|| message::encode::<T, M>(item, scratch))?;
            if !parcel.is_empty() {
                handle::seal(scratch, &parcel);
                return self.ring.push(
                    &Item { form: Form::Typed, bytes: scratch, parcel: Some(&parcel) },
                    until,
                );
            }
            if self.verified.load(Ordering::Relaxed) == 0 {
                message::verify::<T>(scratch)?;
                self.verified.store(1, Ordering::Relaxed);
            }
            self.ring.push(&Item { form: Form::Typed, bytes: scratch, parcel: None }, until)
        })
    }

    pub(super) fn put_many<M: Message<T>>(
        &self,
        items: impl IntoIterator<Item = M>,
        until: Deadline,
    ) -> Result<()> {
        items.into_iter().try_for_each(|item| self.put(&item, until))
    }

    pub(super) fn get(&self, until: Deadline) -> Result<T> {
        with_scratch(|scratch| {
            match self.ring.pop(Form::Typed, type_name::<T>(), until, scratch)? {
                None => message::decode(scratch),
                Some(claimed) => handle::unpack(claimed, || message::decode(scratch)),
            }
        })
    }

    pub(super) fn get_many(&self, max: usize, until: Deadline) -> Result<Vec<T>> {
        let mut items = Vec::new();
        if max == 0 {
            return Ok(items);
        }
        items.push(self.get(until)?);
        while items.len() < max {
            match self.get(Deadline::NOW) {
                Ok(item) => items.push(item),
                // The rest stays for the next call, which also tells what is wrong.
                Err(_) => break,
            }
        }
        Ok(items)
    }
}

/// Messages of type `T` between any number of processes, first in, first out, as Python's `multiprocessing.Queue`.
///
/// Cloning gives another handle to the same queue; handles travel to other processes in the arguments of
/// [`Process::spawn`](crate::Process::spawn) and through other queues. Any handle can put and get; [`split`](Queue::split)
/// gives ends that are counted, so that getters learn when no producer is left.
///
/// A message is there for every process once `put` has returned, and [`len`](Queue::len) counts it: there is no feeder
/// thread. Messages may be of any size below a quarter of the memory of the machine or control group, which is also the
/// ceiling of a queue without a limit.
///
/// # When a process dies
///
/// Wherever a process is killed, in the middle of putting or getting or asleep, the others go on: a message that it was
/// putting was put whole or not at all, and a message that it was getting is gone with it or still there. No other message
/// is lost, doubled or torn.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, Queue};
///
/// fn square(input: Queue<u64>, output: Queue<u64>) -> multiproc::Result<()> {
///     output.put(input.get()?.pow(2))
/// }
///
/// let (input, output) = (Queue::new()?, Queue::new()?);
/// let child = Process::spawn(square, (&input, &output))?;
/// input.put(12)?;
/// assert_eq!(output.get()?, 144);
/// child.join()??;
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Queue<T> {
    port: Port<T>,
}

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
        let ring = Ring::new(type_name::<T>(), max_items, self.capacity_bytes.unwrap_or(0))?;
        Ok(Queue { port: Port::new(ring) })
    }
}

impl<T> Queue<T> {
    /// Makes a queue without a limit on messages, gone with its last user.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new() -> Result<Queue<T>> {
        Queue::builder().build()
    }

    /// Makes a queue of at most `max_items` messages, gone with its last user.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) if `max_items` is 0; else as [`Queue::new`].
    pub fn bounded(max_items: usize) -> Result<Queue<T>> {
        Queue::builder().max_items(max_items).build()
    }

    /// For the less common choices.
    pub fn builder() -> QueueBuilder<T> {
        QueueBuilder { max_items: None, capacity_bytes: None, message: PhantomData }
    }

    /// Gives this handle up for two counted ends.
    ///
    /// When every producer, in whatever process, is dropped or dead, consumers get what is left and then an error with
    /// [`is_closed`](crate::Error::is_closed); and the other way round. Another handle of this queue that is alive counts as both.
    pub fn split(self) -> (Producer<T>, Consumer<T>) {
        (
            Producer::new(self.port.with_roles(PRODUCER)),
            Consumer::new(self.port.with_roles(CONSUMER)),
        )
    }

    /// No more messages from now on: `put` is an error with [`is_closed`](crate::Error::is_closed), and so is `get` once what is
    /// left has been got. Wakes everyone who waits.
    pub fn close(&self) {
        // Fails only if this thread can get no place in shared memory; then it never used the queue.
        let _ = self.port.ring().close();
    }

    /// As [`close`](Queue::close), and drops what is left.
    pub fn shutdown(&self) {
        self.close();
        let mut bytes = Vec::new();
        loop {
            let typed = self.port.ring().pop(Form::Typed, "", Deadline::NOW, &mut bytes);
            let taken = match typed {
                Err(error) if error.is_mismatch() => {
                    self.port.ring().pop(Form::Bytes, "", Deadline::NOW, &mut bytes)
                }
                other => other,
            };
            if taken.is_err() {
                return;
            }
            bytes.clear();
        }
    }
}

/// The methods of whatever can look at a queue.
macro_rules! looking {
    ($Type:ident) => {
        impl<T> $Type<T> {
            /// How many messages are in the queue at this moment; exact.
            pub fn len(&self) -> usize {
                self.port.ring().len()
            }

            /// Whether no message is in the queue at this moment.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether a `put` would have to wait at this moment.
            pub fn is_full(&self) -> bool {
                !self.port.ring().has_room_for(0)
            }

            /// The most messages that the queue may hold; `None` for no limit.
            pub fn capacity(&self) -> Option<usize> {
                self.port.ring().most_items()
            }

            /// Whether the queue was closed.
            pub fn is_closed(&self) -> bool {
                self.port.ring().is_closed()
            }
        }

        impl<T> Clone for $Type<T> {
            /// Another handle to the same queue.
            fn clone(&self) -> Self {
                $Type { port: self.port.with_roles(self.port.ring().roles()) }
            }
        }

        impl<T> core::fmt::Debug for $Type<T> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.port.ring().describe(stringify!($Type), f)
            }
        }
    };
}

/// The methods of whatever can put.
macro_rules! putting {
    ($Type:ident) => {
        impl<T: Serialize + DeserializeOwned> $Type<T> {
            /// Puts a message; waits while a bounded queue is full.
            ///
            /// Takes the message itself or a reference to it; see [`Message`]. Once it has returned, the message is there
            /// for every process. Woken by a getter that makes room.
            ///
            /// # Errors
            ///
            /// [`is_closed`](crate::Error::is_closed) if the queue is closed or no consumer is left;
            /// [`is_encode`](crate::Error::is_encode) if the message's `Serialize` refuses or could not be read back;
            /// [`is_too_large`](crate::Error::is_too_large) and [`is_out_of_memory`](crate::Error::is_out_of_memory) if there is not that
            /// much memory. Nothing was put then.
            pub fn put(&self, item: impl Message<T>) -> Result<()> {
                self.port.put(&item, Deadline::NEVER)
            }

            /// As [`put`](Self::put), without waiting.
            ///
            /// # Errors
            ///
            /// [`is_full`](crate::Error::is_full) if there is no room; else as [`put`](Self::put).
            pub fn try_put(&self, item: impl Message<T>) -> Result<()> {
                self.port.put(&item, Deadline::NOW)
            }

            /// As [`put`](Self::put), waiting at most `timeout`.
            ///
            /// # Errors
            ///
            /// [`is_timeout`](crate::Error::is_timeout) if there was no room in time; else as [`put`](Self::put).
            pub fn put_timeout(&self, item: impl Message<T>, timeout: Duration) -> Result<()> {
                timed(self.port.put(&item, Deadline::after(timeout)))
            }

            /// As [`put`](Self::put), waiting at most until `deadline`.
            ///
            /// # Errors
            ///
            /// As [`put_timeout`](Self::put_timeout).
            pub fn put_deadline(&self, item: impl Message<T>, deadline: Instant) -> Result<()> {
                timed(self.port.put(&item, Deadline::at(deadline)))
            }

            /// Puts messages one after the other, each by itself: other processes see each as soon as it is put.
            ///
            /// # Errors
            ///
            /// As [`put`](Self::put), for the first message that could not be put; those before it are in the queue.
            pub fn put_many<M: Message<T>>(
                &self,
                items: impl IntoIterator<Item = M>,
            ) -> Result<()> {
                self.port.put_many(items, Deadline::NEVER)
            }

            /// As [`put_many`](Self::put_many), without waiting.
            ///
            /// # Errors
            ///
            /// As [`try_put`](Self::try_put), for the first message that could not be put.
            pub fn try_put_many<M: Message<T>>(
                &self,
                items: impl IntoIterator<Item = M>,
            ) -> Result<()> {
                self.port.put_many(items, Deadline::NOW)
            }

            /// As [`put_many`](Self::put_many), waiting at most `timeout` for all together.
            ///
            /// # Errors
            ///
            /// As [`put_timeout`](Self::put_timeout), for the first message that could not be put.
            pub fn put_many_timeout<M: Message<T>>(
                &self,
                items: impl IntoIterator<Item = M>,
                timeout: Duration,
            ) -> Result<()> {
                timed(self.port.put_many(items, Deadline::after(timeout)))
            }

            /// As [`put_many`](Self::put_many), waiting at most until `deadline`.
            ///
            /// # Errors
            ///
            /// As [`put_timeout`](Self::put_timeout), for the first message that could not be put.
            pub fn put_many_deadline<M: Message<T>>(
                &self,
                items: impl IntoIterator<Item = M>,
                deadline: Instant,
            ) -> Result<()> {
                timed(self.port.put_many(items, Deadline::at(deadline)))
            }
        }

        impl<T> $Type<T> {
            /// Puts plain bytes, to be taken with `get_bytes` or `get_with`; else as `put`.
            ///
            /// # Errors
            ///
            /// As `put`, but that nothing is encoded.
            pub fn put_bytes(&self, bytes: &[u8]) -> Result<()> {
                self.port.put_bytes(bytes, Deadline::NEVER)
            }

            /// As [`put_bytes`](Self::put_bytes), without waiting.
            ///
            /// # Errors
            ///
            /// [`is_full`](crate::Error::is_full) if there is no room; else as [`put_bytes`](Self::put_bytes).
            pub fn try_put_bytes(&self, bytes: &[u8]) -> Result<()> {
                self.port.put_bytes(bytes, Deadline::NOW)
            }

            /// As [`put_bytes`](Self::put_bytes), waiting at most `timeout`.
            ///
            /// # Errors
            ///
            /// [`is_timeout`](crate::Error::is_timeout) if there was no room in time; else as [`put_bytes`](Self::put_bytes).
            pub fn put_bytes_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<()> {
                timed(self.port.put_bytes(bytes, Deadline::after(timeout)))
            }

            /// As [`put_bytes`](Self::put_bytes), waiting at most until `deadline`.
            ///
            /// # Errors
            ///
            /// As [`put_bytes_timeout`](Self::put_bytes_timeout).
            pub fn put_bytes_deadline(&self, bytes: &[u8], deadline: Instant) -> Result<()> {
                timed(self.port.put_bytes(bytes, Deadline::at(deadline)))
            }

            /// Puts `len` bytes that `fill` writes into zeroed memory; else as [`put_bytes`](Self::put_bytes).
            ///
            /// # Errors
            ///
            /// As [`put_bytes`](Self::put_bytes).
            pub fn put_with<R>(&self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> Result<R> {
                self.port.put_with(len, fill, Deadline::NEVER)
            }

            /// As [`put_with`](Self::put_with), without waiting.
            ///
            /// # Errors
            ///
            /// As [`try_put_bytes`](Self::try_put_bytes).
            pub fn try_put_with<R>(
                &self,
                len: usize,
                fill: impl FnOnce(&mut [u8]) -> R,
            ) -> Result<R> {
                self.port.put_with(len, fill, Deadline::NOW)
            }

            /// As [`put_with`](Self::put_with), waiting at most `timeout`.
            ///
            /// # Errors
            ///
            /// As [`put_bytes_timeout`](Self::put_bytes_timeout).
            pub fn put_with_timeout<R>(
                &self,
                len: usize,
                fill: impl FnOnce(&mut [u8]) -> R,
                timeout: Duration,
            ) -> Result<R> {
                timed(self.port.put_with(len, fill, Deadline::after(timeout)))
            }

            /// As [`put_with`](Self::put_with), waiting at most until `deadline`.
            ///
            /// # Errors
            ///
            /// As [`put_bytes_timeout`](Self::put_bytes_timeout).
            pub fn put_with_deadline<R>(
                &self,
                len: usize,
                fill: impl FnOnce(&mut [u8]) -> R,
                deadline: Instant,
            ) -> Result<R> {
                timed(self.port.put_with(len, fill, Deadline::at(deadline)))
            }
        }
    };
}

/// The methods of whatever can get.
macro_rules! getting {
    ($Type:ident) => {
        impl<T: Serialize + DeserializeOwned> $Type<T> {
            /// Takes the first message; waits while the queue is empty. Woken by a putter.
            ///
            /// # Errors
            ///
            /// [`is_closed`](crate::Error::is_closed) if the queue is empty and closed, or no producer is left;
            /// [`is_mismatch`](crate::Error::is_mismatch) if the first message was put as plain bytes: it stays;
            /// [`is_decode`](crate::Error::is_decode) if the bytes are no `T`: the message is gone.
            pub fn get(&self) -> Result<T> {
                self.port.get(Deadline::NEVER)
            }

            /// As [`get`](Self::get), without waiting.
            ///
            /// # Errors
            ///
            /// [`is_empty`](crate::Error::is_empty) if there is no message; else as [`get`](Self::get).
            pub fn try_get(&self) -> Result<T> {
                self.port.get(Deadline::NOW)
            }

            /// As [`get`](Self::get), waiting at most `timeout`.
            ///
            /// # Errors
            ///
            /// [`is_timeout`](crate::Error::is_timeout) if no message came in time; else as [`get`](Self::get).
            pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
                timed(self.port.get(Deadline::after(timeout)))
            }

            /// As [`get`](Self::get), waiting at most until `deadline`.
            ///
            /// # Errors
            ///
            /// As [`get_timeout`](Self::get_timeout).
            pub fn get_deadline(&self, deadline: Instant) -> Result<T> {
                timed(self.port.get(Deadline::at(deadline)))
            }

            /// Waits for a message, then takes it and those behind it that are there, `max` at most, each by itself.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get), for the first message.
            pub fn get_many(&self, max: usize) -> Result<Vec<T>> {
                self.port.get_many(max, Deadline::NEVER)
            }

            /// As [`get_many`](Self::get_many), without waiting.
            ///
            /// # Errors
            ///
            /// As [`try_get`](Self::try_get), for the first message.
            pub fn try_get_many(&self, max: usize) -> Result<Vec<T>> {
                self.port.get_many(max, Deadline::NOW)
            }

            /// As [`get_many`](Self::get_many), waiting at most `timeout`.
            ///
            /// # Errors
            ///
            /// As [`get_timeout`](Self::get_timeout), for the first message.
            pub fn get_many_timeout(&self, max: usize, timeout: Duration) -> Result<Vec<T>> {
                timed(self.port.get_many(max, Deadline::after(timeout)))
            }

            /// As [`get_many`](Self::get_many), waiting at most until `deadline`.
            ///
            /// # Errors
            ///
            /// As [`get_timeout`](Self::get_timeout), for the first message.
            pub fn get_many_deadline(&self, max: usize, deadline: Instant) -> Result<Vec<T>> {
                timed(self.port.get_many(max, Deadline::at(deadline)))
            }

            /// Messages as they come, until the queue is empty and closed or no producer is left.
            pub fn iter(&self) -> Iter<'_, T> {
                Iter { port: &self.port }
            }
        }

        impl<'a, T: Serialize + DeserializeOwned> IntoIterator for &'a $Type<T> {
            type Item = Result<T>;
            type IntoIter = Iter<'a, T>;

            fn into_iter(self) -> Iter<'a, T> {
                self.iter()
            }
        }

        impl<T> $Type<T> {
            /// Takes the first message, which was put as plain bytes; else as `get`.
            ///
            /// # Errors
            ///
            /// [`is_closed`](crate::Error::is_closed) as `get`; [`is_mismatch`](crate::Error::is_mismatch) if the first message was put
            /// as a value: it stays.
            pub fn get_bytes(&self) -> Result<Vec<u8>> {
                self.port.get_bytes(Deadline::NEVER)
            }

            /// As [`get_bytes`](Self::get_bytes), without waiting.
            ///
            /// # Errors
            ///
            /// [`is_empty`](crate::Error::is_empty) if there is no message; else as [`get_bytes`](Self::get_bytes).
            pub fn try_get_bytes(&self) -> Result<Vec<u8>> {
                self.port.get_bytes(Deadline::NOW)
            }

            /// As [`get_bytes`](Self::get_bytes), waiting at most `timeout`.
            ///
            /// # Errors
            ///
            /// [`is_timeout`](crate::Error::is_timeout) if no message came in time; else as [`get_bytes`](Self::get_bytes).
            pub fn get_bytes_timeout(&self, timeout: Duration) -> Result<Vec<u8>> {
                timed(self.port.get_bytes(Deadline::after(timeout)))
            }

            /// As [`get_bytes`](Self::get_bytes), waiting at most until `deadline`.
            ///
            /// # Errors
            ///
            /// As [`get_bytes_timeout`](Self::get_bytes_timeout).
            pub fn get_bytes_deadline(&self, deadline: Instant) -> Result<Vec<u8>> {
                timed(self.port.get_bytes(Deadline::at(deadline)))
            }

            /// Takes the first message, which was put as plain bytes, and lets `read` see it; else as
            /// [`get_bytes`](Self::get_bytes), without memory of its own for each message. The message is this process's
            /// before `read` runs.
            ///
            /// # Errors
            ///
            /// As [`get_bytes`](Self::get_bytes).
            pub fn get_with<R>(&self, read: impl FnOnce(&[u8]) -> R) -> Result<R> {
                self.port.get_with(read, Deadline::NEVER)
            }

            /// As [`get_with`](Self::get_with), without waiting.
            ///
            /// # Errors
            ///
            /// As [`try_get_bytes`](Self::try_get_bytes).
            pub fn try_get_with<R>(&self, read: impl FnOnce(&[u8]) -> R) -> Result<R> {
                self.port.get_with(read, Deadline::NOW)
            }

            /// As [`get_with`](Self::get_with), waiting at most `timeout`.
            ///
            /// # Errors
            ///
            /// As [`get_bytes_timeout`](Self::get_bytes_timeout).
            pub fn get_with_timeout<R>(
                &self,
                read: impl FnOnce(&[u8]) -> R,
                timeout: Duration,
            ) -> Result<R> {
                timed(self.port.get_with(read, Deadline::after(timeout)))
            }

            /// As [`get_with`](Self::get_with), waiting at most until `deadline`.
            ///
            /// # Errors
            ///
            /// As [`get_bytes_timeout`](Self::get_bytes_timeout).
            pub fn get_with_deadline<R>(
                &self,
                read: impl FnOnce(&[u8]) -> R,
                deadline: Instant,
            ) -> Result<R> {
                timed(self.port.get_with(read, Deadline::at(deadline)))
            }
        }
    };
}

/// How handles of a role travel.
macro_rules! travelling {
    ($Type:ident, $roles:expr) => {
        impl<T> Serialize for $Type<T> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                handle::serialize(
                    self.port.ring().reference(),
                    self.port.ring().roles(),
                    serializer,
                )
            }
        }

        impl<'de, T> serde::Deserialize<'de> for $Type<T> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let port = received(deserializer, $roles, stringify!($Type))?;
                Ok($Type { port })
            }
        }
    };
}

pub(super) use {getting, looking, putting, travelling};

looking!(Queue);
putting!(Queue);
getting!(Queue);
travelling!(Queue, PRODUCER | CONSUMER);

/// A look with a deadline in the past that found nothing is a timeout all the same.
pub(super) fn timed<R>(result: Result<R>) -> Result<R> {
    result.map_err(|error| {
        if error.is_full() || error.is_empty() { Error::simple(ErrorKind::Timeout) } else { error }
    })
}

/// Brings a port back that travelled, if it is for this message type and these roles.
pub(super) fn received<'de, T, D: serde::Deserializer<'de>>(
    deserializer: D,
    wanted: u32,
    what: &str,
) -> Result<Port<T>, D::Error> {
    let (reference, roles) = handle::deserialize(deserializer, Kind::Queue)?;
    let refuse =
        |text: String| message::refuse_to_deserialize(Error::new(ErrorKind::Mismatch, text));
    // From here on the ring gives the roles back when it is dropped.
    let ring = Ring::from_reference(reference, roles).map_err(message::refuse_to_deserialize)?;
    if roles != wanted {
        return Err(refuse(format!(
            "opened as the {what} of a queue, which is another end than was sent"
        )));
    }
    if !ring.is_of(type_name::<T>()) {
        let holds = ring.type_name().map_err(message::refuse_to_deserialize)?;
        return Err(refuse(format!(
            "queue: opened as Queue<{}>, holds Queue<{holds}>",
            type_name::<T>()
        )));
    }
    Ok(Port::new(ring))
}

/// Messages of a queue as they come; ends when it is empty and closed or no producer is left.
pub struct Iter<'a, T> {
    pub(super) port: &'a Port<T>,
}

impl<T: Serialize + DeserializeOwned> Iterator for Iter<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match self.port.get(Deadline::NEVER) {
            Err(error) if error.is_closed() => None,
            result => Some(result),
        }
    }
}

impl<T> core::fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.port.ring().describe("Iter", f)
    }
}
