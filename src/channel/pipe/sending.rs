//! The methods of whatever can send.

/// The methods of whatever can send: `sending!(Sender [T] T)` for messages `T`, with an outlet `out`.
macro_rules! sending {
    ($Type:ident [$($param:ident),*] $T:ident) => {
        impl<$($param),*> $Type<$($param),*>
        where
            $T: ::serde::Serialize + ::serde::de::DeserializeOwned,
        {
            $crate::forms::forms! {
                /// Sends a message; waits while the pipe is full. Woken by the receiver, and by its death.
                ///
                /// Takes the message itself or a reference to it; see [`Message`](crate::Message). Once it has returned, the
                /// message is there for the receiver, also if this process is killed then. An end of a pipe inside the message
                /// moves; if the call fails, what was given by value is dropped.
                ///
                /// # Errors
                ///
                /// [`is_closed`](crate::Error::is_closed) if the other end is gone;
                /// [`is_encode`](crate::Error::is_encode) if the message's `Serialize` refuses or could not be read back;
                /// [`is_too_large`](crate::Error::is_too_large) and [`is_out_of_memory`](crate::Error::is_out_of_memory) if there
                /// is not that much memory; [`is_foreign`](crate::Error::is_foreign) if this end was sent away, or inherited over
                /// a fork. Nothing was sent then.
                pub fn send, try_send, send_timeout, send_deadline
                (&mut self, item: impl $crate::message::Message<$T>; until) -> () {
                    self.outlet().send::<$T, _>(&item, until)
                }
                try: Full, is_full, "there is no room"
            }
        }

        impl<$($param),*> $Type<$($param),*> {
            $crate::forms::forms! {
                /// Sends plain bytes, which are received as plain bytes; else as `send`.
                ///
                /// # Errors
                ///
                /// [`is_closed`](crate::Error::is_closed), [`is_too_large`](crate::Error::is_too_large),
                /// [`is_out_of_memory`](crate::Error::is_out_of_memory) and [`is_foreign`](crate::Error::is_foreign) as `send`.
                pub fn send_bytes, try_send_bytes, send_bytes_timeout, send_bytes_deadline
                (&mut self, bytes: &[u8]; until) -> () {
                    self.outlet().send_raw($crate::channel::pipe::records::Form::Bytes, bytes, until)
                }
                try: Full, is_full, "there is no room"
            }

            $crate::forms::forms! {
                /// Sends `len` plain bytes that `fill` writes in place, where the receiver reads them; else as
                /// [`send_bytes`](Self::send_bytes).
                ///
                /// Waits for room first, and then calls `fill`. What stands in the bytes before is not specified. If `fill`
                /// panics, nothing is sent.
                ///
                /// # Errors
                ///
                /// As [`send_bytes`](Self::send_bytes); `fill` was not called then.
                pub fn send_with, try_send_with, send_with_timeout, send_with_deadline
                [U] (&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> U; until) -> U {
                    let form = $crate::channel::pipe::records::Form::Bytes;
                    self.outlet().send_in_place(form, len, fill, until)
                }
                try: Full, is_full, "there is no room"
            }
        }
    };
}

pub(super) use sending;
