//! What can be put into a queue or passed to a process, and how it becomes bytes.
//!
//! [`Message<T>`] says in which forms a `T` may be given. [`encode`] and [`decode`] are the codec:
//! postcard for everything, except that text, bytes and vectors of plain numbers are copied as
//! they lie in memory, which is 15 times faster for a large one.
//!
//! | file | holds |
//! |---|---|
//! | `plain` | what is copied as it lies in memory |
//! | `encoder`, `decoder` | serde's two sides over postcard: texts of errors, counts, depth |
//! | `refusal` | why a value is not written or read, and the limit of depth |
//! | `form` | in which forms a message may be given |
//! | `same` | finding out that a type parameter is a certain type |
//! | `codec` | the calls for the rest of the crate |
//! | `length` | lengths in front of parts of a message |
//!
//! Which of the two ways a message takes is decided by the message type `T` alone, never by the
//! form it was given in, so that putter and getter agree: both are the same program, and what is
//! in a world never leaves its machine. The decision is a comparison of constants; the compiler
//! removes it.
//!
//! | `T` | bytes |
//! |---|---|
//! | `String` | its UTF-8 |
//! | `Vec<N>`, `N` one of `u8` to `u128`, `i8` to `i128`, `usize`, `isize`, `f32`, `f64` | its elements in the machine's own order (little-endian wherever this was tried), no length |
//! | anything else, also these inside something else | postcard's wire format |

pub(crate) use codec::{decode, encode, raw, verify, verify_once};
pub use form::Message;
pub(crate) use refusal::{refuse_to_deserialize, refuse_to_serialize};

mod codec;
mod decoder;
mod encoder;
mod form;
pub(crate) mod length;
mod plain;
mod refusal;
mod same;

#[cfg(test)]
mod tests;
