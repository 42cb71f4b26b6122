//! Why a value could not be written or read: the error type of encoder and decoder, and the errors
//! that the codec makes of it.
//!
//! postcard's own error has no place for a text. [`Refusal`] has: what a type's own `Serialize` or
//! `Deserialize` says reaches the caller. If a handle of this crate says it, it says it with an
//! [`Error`]; [`Refusal`] finds that out and keeps the error as it is, with its kind.

use std::fmt;

use serde::{de, ser};

use super::same;
use crate::error::{Error, ErrorKind};

/// How many values may stand inside one another in a message.
///
/// Encoder and decoder count the same levels: every sequence, tuple, map, struct, newtype, `Some`
/// and enum variant with content is one. They call themselves once a level, so that the limit
/// bounds the stack of the putter and of the getter, and of the drop of a value that was read in
/// part. `serde_json` has the same limit.
///
/// Measured in debug builds: reading a level takes 0.6 KiB of stack for a derived enum, 1.8 KiB for
/// a map in a tuple, 4.6 KiB for a struct of 600 bytes. The deepest value of the last takes about
/// a quarter of the 2 MiB of a thread.
pub(super) const MAX_DEPTH: u32 = 128;

/// For a handle's `Serialize`: makes the serializer's error. [`encode`](super::encode) returns
/// `error` as it is, with its kind, if it is the one that serialises.
#[cold]
pub(crate) fn refuse_to_serialize<E: ser::Error>(error: Error) -> E {
    E::custom(error)
}

/// For a handle's `Deserialize`: the same with [`decode`](super::decode).
#[cold]
pub(crate) fn refuse_to_deserialize<E: de::Error>(error: Error) -> E {
    E::custom(error)
}

/// Why encoder or decoder stopped. One word, so that `Result<(), Refusal>` is one too.
#[derive(Debug)]
pub(super) struct Refusal(Box<Reason>);

#[derive(Debug)]
enum Reason {
    /// postcard stopped.
    Format(postcard::Error),
    /// A type's own implementation stopped, or encoder or decoder did.
    Text(String),
    /// A handle of this crate stopped, or a type handed on what a call of this crate returned.
    Ours(Error),
}

impl Refusal {
    #[cold]
    #[inline(never)]
    pub(super) fn new(text: impl fmt::Display) -> Refusal {
        Refusal(Box::new(Reason::Text(text.to_string())))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn too_deep() -> Refusal {
        Refusal::new(format_args!(
            "it is nested more than {MAX_DEPTH} levels deep; send a long list as a Vec, and a tree \
             as a Vec of nodes that name one another by index"
        ))
    }

    /// What [`encode`](super::encode) returns for the type of this name, after `written` bytes of it.
    #[cold]
    pub(super) fn into_encode_error(self, name: &str, written: usize) -> Error {
        use postcard::Error::*;
        let why = match *self.0 {
            Reason::Ours(error) => return error,
            Reason::Text(text) => text,
            Reason::Format(SerializeBufferFull) => return no_memory(written),
            Reason::Format(SerializeSeqLengthUnknown) => {
                "a sequence or map in it does not know its length beforehand; collect it first, \
                 and derive Serialize without flatten"
                    .to_owned()
            }
            Reason::Format(CollectStrError) => {
                "a Display in it failed, or wrote another text the second time".to_owned()
            }
            Reason::Format(cause) => cause.to_string(),
        };
        Error::of(ErrorKind::Encode, format!("{name} cannot be turned into a message: {why}"))
    }

    /// What [`decode`](super::decode) returns for the type of this name and a message of `len` bytes.
    #[cold]
    pub(super) fn into_decode_error(self, name: &str, len: usize) -> Error {
        use postcard::Error::*;
        let cause = match *self.0 {
            Reason::Ours(error) => return error,
            Reason::Text(text) => return undecodable(name, len, &text),
            Reason::Format(cause) => cause,
        };
        let why = match cause {
            DeserializeUnexpectedEnd => "they end too early",
            DeserializeBadUtf8 => "a text in it is not UTF-8",
            DeserializeBadBool | DeserializeBadChar | DeserializeBadOption | DeserializeBadEnum
            | DeserializeBadVarint => "a part of it has no such value",
            WontImplement | NotYetImplemented => {
                "the type wants to be told what comes next (deserialize_any), which messages do \
                 not do"
            }
            _ => "they are not well formed",
        };
        undecodable(name, len, &why).with_source(cause)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Reason::Format(cause) => cause.fmt(f),
            Reason::Text(text) => f.write_str(text),
            Reason::Ours(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

impl ser::Error for Refusal {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Refusal {
        match same::own(message) {
            Ok(error) => Refusal(Box::new(Reason::Ours(error))),
            Err(message) => Refusal::new(message),
        }
    }
}

impl de::Error for Refusal {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Refusal {
        match same::own(message) {
            Ok(error) => Refusal(Box::new(Reason::Ours(error))),
            Err(message) => {
                Refusal::new(format_args!("the type's own Deserialize refused them: {message}"))
            }
        }
    }
}

impl From<postcard::Error> for Refusal {
    #[cold]
    fn from(cause: postcard::Error) -> Refusal {
        Refusal(Box::new(Reason::Format(cause)))
    }
}

#[cold]
pub(super) fn undecodable(name: &str, len: usize, why: &dyn fmt::Display) -> Error {
    Error::of(ErrorKind::Decode, format!("a message of {len} bytes is no {name}: {why}"))
}

#[cold]
pub(super) fn no_memory(len: usize) -> Error {
    let message = format!("no memory for a message of {len} bytes in this process");
    Error::of(ErrorKind::OutOfMemory, message)
}
