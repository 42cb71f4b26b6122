//! The methods of whatever can look at a queue.

/// Implements them for a handle with a `port`.
macro_rules! looking {
    ($Type:ident) => {
        $crate::channel::queue::looking::looking!($Type, shutdown);
    };
    ($Type:ident, $shutdown:ident) => {
        impl<T> $Type<T> {
            /// How many messages are in the queue at this moment; exact.
            pub fn len(&self) -> usize {
                self.port.records().len()
            }

            /// Whether no message is in the queue at this moment.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether a `put` of the smallest message would have to wait at this moment, for a limit of messages or of bytes.
            pub fn is_full(&self) -> bool {
                !self.port.records().has_room_for(1)
            }

            /// The most messages that the queue may hold; `None` for no limit.
            pub fn capacity(&self) -> Option<usize> {
                self.port.records().most_items()
            }

            /// The most bytes of encoded messages that the queue may hold; `None` for no limit.
            pub fn capacity_bytes(&self) -> Option<u64> {
                self.port.records().most_bytes()
            }

            /// Whether the queue was closed.
            pub fn is_closed(&self) -> bool {
                self.port.records().is_closed()
            }

            /// No more messages from now on: `put` is an error with [`is_closed`](crate::Error::is_closed), and so is `get` once what
            /// is left has been got. Wakes everyone who waits. Closing a queue twice is no error.
            ///
            /// # Errors
            ///
            /// If all slots for threads are taken, and this thread needs one: the queue is not closed then.
            pub fn close(&self) -> $crate::error::Result<()> {
                self.port.records().close()
            }

            /// Closes the queue as [`close`](Self::close), and drops what is left: getters and putters alike get an error with
            /// [`is_closed`](crate::Error::is_closed) from now on. A getter that is just taking a message gets that one.
            ///
            /// If this process is killed in the middle, the queue is closed, and getters get what was not dropped yet.
            ///
            /// # Errors
            ///
            /// As [`close`](Self::close).
            pub fn shutdown(&self) -> $crate::error::Result<()> {
                self.port.$shutdown()
            }
        }

        impl<T> Clone for $Type<T> {
            /// Another handle to the same queue.
            fn clone(&self) -> Self {
                $Type { port: self.port.with_roles(self.port.roles()) }
            }
        }

        impl<T> core::fmt::Debug for $Type<T> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.port.describe(stringify!($Type), f)
            }
        }
    };
}

pub(super) use looking;
