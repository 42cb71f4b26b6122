//! The methods of whatever can put.

/// Implements them for a handle with a `port`; for values alone, if that is said.
macro_rules! putting {
    ($Type:ident) => {
        $crate::channel::queue::putting::putting!($Type, values);
        $crate::channel::queue::putting::putting!($Type, bytes);
    };
    ($Type:ident, values) => {
        impl<T: ::serde::Serialize + ::serde::de::DeserializeOwned> $Type<T> {
            $crate::forms::forms! {
                /// Puts a message; waits while a bounded queue is full.
                ///
                /// Takes the message itself or a reference to it; see [`Message`](crate::Message). Once it has returned, the message
                /// is there for every process. Woken by a getter that makes room.
                ///
                /// # Errors
                ///
                /// [`is_closed`](crate::Error::is_closed) if the queue is closed or no consumer is left;
                /// [`is_encode`](crate::Error::is_encode) if the message's `Serialize` refuses or could not be read back;
                /// [`is_too_large`](crate::Error::is_too_large) and [`is_out_of_memory`](crate::Error::is_out_of_memory) if there is
                /// not that much memory. Nothing was put then.
                pub fn put, try_put, put_timeout, put_deadline
                (&self, item: impl $crate::message::Message<T>; until) -> () {
                    self.port.put(&item, until)
                }
                try: Full, is_full, "there is no room"
            }

            $crate::forms::forms! {
                /// Puts messages one after the other, each by itself: other processes see each as soon as it is put.
                ///
                /// # Errors
                ///
                /// As [`put`](Self::put), for the first message that could not be put; those before it are in the queue.
                pub fn put_many, try_put_many, put_many_timeout, put_many_deadline
                [M: $crate::message::Message<T>]
                (&self, items: impl IntoIterator<Item = M>; until) -> () {
                    self.port.put_many(items, until)
                }
                try: Full, is_full, "there is no room for one of them"
            }
        }
    };
    ($Type:ident, bytes) => {
        impl<T> $Type<T> {
            $crate::forms::forms! {
                /// Puts plain bytes, to be taken with `get_bytes` or `get_with`; else as `put`.
                ///
                /// # Errors
                ///
                /// As `put`, but that nothing is encoded.
                pub fn put_bytes, try_put_bytes, put_bytes_timeout, put_bytes_deadline
                (&self, bytes: &[u8]; until) -> () {
                    self.port.put_bytes(bytes, until)
                }
                try: Full, is_full, "there is no room"
            }

            $crate::forms::forms! {
                /// Puts `len` bytes that `fill` writes; else as [`put_bytes`](Self::put_bytes).
                ///
                /// More than 4 KiB are written in place, in shared memory, where getters read them; fewer are copied once. No lock
                /// is held while `fill` runs: others put and get meanwhile. It runs before this call waits for room. What stands in
                /// the bytes before is not specified. If `fill` panics, or this process is killed in it, nothing was put and the
                /// memory is free again.
                ///
                /// # Errors
                ///
                /// As [`put_bytes`](Self::put_bytes). What `fill` has written is dropped then.
                ///
                /// # Examples
                ///
                /// ```
                /// use multiproc::Queue;
                ///
                /// let queue: Queue<Vec<u8>> = Queue::new()?;
                /// queue.put_with(1 << 20, |image| image.fill(255))?;
                /// let brightest = queue.get_with(|image| image.iter().max().copied())?;
                /// assert_eq!(brightest, Some(255));
                /// # Ok::<(), multiproc::Error>(())
                /// ```
                pub fn put_with, try_put_with, put_with_timeout, put_with_deadline
                [R] (&self, len: usize, fill: impl FnOnce(&mut [u8]) -> R; until) -> R {
                    self.port.put_with(len, fill, until)
                }
                try: Full, is_full, "there is no room"
            }
        }
    };
}

pub(super) use putting;
