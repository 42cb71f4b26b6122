//! The methods of whatever can receive, and its iterator.

use super::inlet::Inlet;
use crate::error::Result;
use crate::sys::clock::Deadline;
use core::marker::PhantomData;
use serde::de::DeserializeOwned;

/// The methods of whatever can receive: `receiving!(Receiver [T] T)` for messages `T`, with an inlet `inlet`.
macro_rules! receiving {
    ($Type:ident [$($param:ident),*] $T:ident) => {
        impl<$($param),*> $Type<$($param),*>
        where
            $T: ::serde::Serialize + ::serde::de::DeserializeOwned,
        {
            $crate::forms::forms! {
                /// Takes the next message; waits while there is none. Woken by the sender, and by its death.
                ///
                /// # Errors
                ///
                /// [`is_closed`](crate::Error::is_closed) if there is no message and the other end is gone;
                /// [`is_mismatch`](crate::Error::is_mismatch) if the next message was sent as plain bytes: it stays;
                /// [`is_decode`](crate::Error::is_decode) if the bytes are none of the type: the message is gone;
                /// [`is_out_of_memory`](crate::Error::is_out_of_memory) if this process has no memory for it: it stays;
                /// [`is_foreign`](crate::Error::is_foreign) if this end was sent away, or inherited over a fork.
                pub fn recv, try_recv, recv_timeout, recv_deadline
                (&mut self; until) -> $T {
                    self.inlet.recv::<$T>(until)
                }
                try: Empty, is_empty, "there is no message"
            }

            /// Messages as they come, until the pipe is empty and the other end gone.
            pub fn iter(&mut self) -> $crate::channel::pipe::receiving::Incoming<'_, $T> {
                $crate::channel::pipe::receiving::Incoming::of(&mut self.inlet)
            }
        }

        impl<'a, $($param),*> IntoIterator for &'a mut $Type<$($param),*>
        where
            $T: ::serde::Serialize + ::serde::de::DeserializeOwned,
        {
            type Item = $crate::error::Result<$T>;
            type IntoIter = $crate::channel::pipe::receiving::Incoming<'a, $T>;

            fn into_iter(self) -> $crate::channel::pipe::receiving::Incoming<'a, $T> {
                self.iter()
            }
        }

        impl<$($param),*> $Type<$($param),*> {
            /// Waits at most `timeout` until a call that receives would return at once; whether it would: there is a message, or
            /// the other end is gone and no message can come any more.
            ///
            /// # Errors
            ///
            /// [`is_foreign`](crate::Error::is_foreign) if this end was sent away, or inherited over a fork.
            pub fn poll(&mut self, timeout: ::std::time::Duration) -> $crate::error::Result<bool> {
                self.inlet.poll($crate::sys::clock::Deadline::after(timeout))
            }

            /// As [`poll`](Self::poll), waiting at most until `deadline`.
            ///
            /// # Errors
            ///
            /// As [`poll`](Self::poll).
            pub fn poll_deadline(
                &mut self,
                deadline: ::std::time::Instant,
            ) -> $crate::error::Result<bool> {
                self.inlet.poll($crate::sys::clock::Deadline::at(deadline))
            }

            $crate::forms::forms! {
                /// Takes the next message, which was sent as plain bytes; else as `recv`.
                ///
                /// # Errors
                ///
                /// [`is_closed`](crate::Error::is_closed), [`is_out_of_memory`](crate::Error::is_out_of_memory) and
                /// [`is_foreign`](crate::Error::is_foreign) as `recv`; [`is_mismatch`](crate::Error::is_mismatch) if the next
                /// message was sent as a value: it stays.
                pub fn recv_bytes, try_recv_bytes, recv_bytes_timeout, recv_bytes_deadline
                (&mut self; until) -> ::std::vec::Vec<u8> {
                    self.inlet.recv_bytes::<$T>(until)
                }
                try: Empty, is_empty, "there is no message"
            }

            $crate::forms::forms! {
                /// As [`recv_bytes`](Self::recv_bytes), for a message of at most `most` bytes.
                ///
                /// # Errors
                ///
                /// [`is_too_large`](crate::Error::is_too_large) if the next message is longer: it stays, and the error says how
                /// long it is; else as [`recv_bytes`](Self::recv_bytes).
                pub fn recv_bytes_max, try_recv_bytes_max, recv_bytes_max_timeout, recv_bytes_max_deadline
                (&mut self, most: usize; until) -> ::std::vec::Vec<u8> {
                    self.inlet.recv_bytes_max::<$T>(most, until)
                }
                try: Empty, is_empty, "there is no message"
            }

            $crate::forms::forms! {
                /// Copies the next message, which was sent as plain bytes, to the start of `buffer`; gives its length.
                ///
                /// # Errors
                ///
                /// [`is_too_large`](crate::Error::is_too_large) if the buffer is too small: the message stays, and the error says
                /// how long it is; else as [`recv_bytes`](Self::recv_bytes).
                pub fn recv_bytes_into, try_recv_bytes_into, recv_bytes_into_timeout, recv_bytes_into_deadline
                (&mut self, buffer: &mut [u8]; until) -> usize {
                    self.inlet.recv_bytes_into::<$T>(buffer, until)
                }
                try: Empty, is_empty, "there is no message"
            }

            $crate::forms::forms! {
                /// Lets `read` see the next message, which was sent as plain bytes, in place; it is taken when `read` returns or
                /// panics.
                ///
                /// # Errors
                ///
                /// As [`recv_bytes`](Self::recv_bytes); `read` was not called then.
                pub fn recv_with, try_recv_with, recv_with_timeout, recv_with_deadline
                [U] (&mut self, read: impl FnOnce(&[u8]) -> U; until) -> U {
                    self.inlet.recv_with::<$T, U>(read, until)
                }
                try: Empty, is_empty, "there is no message"
            }
        }
    };
}

pub(super) use receiving;

/// Messages of a pipe as they come; ends when the pipe is empty and the other end gone.
pub struct Incoming<'a, T> {
    inlet: &'a mut Inlet,
    message: PhantomData<fn() -> T>,
}

impl<'a, T> Incoming<'a, T> {
    pub(super) fn of(inlet: &'a mut Inlet) -> Incoming<'a, T> {
        Incoming { inlet, message: PhantomData }
    }
}

impl<T: DeserializeOwned> Iterator for Incoming<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match self.inlet.recv(Deadline::NEVER) {
            Err(error) if error.is_closed() => None,
            result => Some(result),
        }
    }
}

impl<T> core::fmt::Debug for Incoming<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut f = f.debug_struct("Incoming");
        self.inlet.describe(&mut f);
        f.finish()
    }
}
