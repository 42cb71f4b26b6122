//! The head of a record, decoded in one place.
//!
//! ```text
//! bits 0..32   length of the payload that stands in the chunk
//! bits 32..40  form
//! bit 40       the payload names a block: 4 bytes its number, 4 unused, 8 the length
//! bit 41       the message carries references; it ends with their list
//! all ones     no record: the rest of the chunk is unused
//! ```

use crate::error::{Error, ErrorKind, Result};

/// Larger payloads get a block of their own.
pub(crate) const INLINE: usize = 4096;
/// The rest of the chunk is unused. No record has this length.
pub(super) const NEXT: u64 = u64::MAX;
const FORM: u32 = 0xff;
const NAMES_BLOCK: u32 = 1 << 8;
const CARRIES: u32 = 1 << 9;

/// How a payload is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Form {
    /// A value of the queue's type.
    Typed = 1,
    /// Plain bytes.
    Bytes = 2,
}

impl Form {
    pub(crate) fn other(self) -> Form {
        match self {
            Form::Typed => Form::Bytes,
            Form::Bytes => Form::Typed,
        }
    }
}

/// A record's first word, decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordHead {
    /// Bytes of payload in the chunk; at most [`INLINE`].
    pub(crate) len: usize,
    pub(crate) form: Form,
    pub(crate) names_block: bool,
    pub(crate) carries: bool,
}

impl RecordHead {
    /// A record that is all in the chunk.
    #[inline]
    pub(crate) fn plain(form: Form, len: usize) -> RecordHead {
        RecordHead { len, form, names_block: false, carries: false }
    }

    #[inline]
    pub(crate) fn is_plain(self) -> bool {
        !self.names_block && !self.carries
    }

    #[inline]
    pub(super) fn to_word(self) -> u64 {
        let info = self.form as u32
            | if self.names_block { NAMES_BLOCK } else { 0 }
            | if self.carries { CARRIES } else { 0 };
        u64::from(info) << 32 | self.len as u64
    }

    /// The length of a record that is all in the chunk and of this form, from its first word; `None` for any other.
    #[inline]
    pub(super) fn plain_len(word: u64, form: Form) -> Option<usize> {
        let len = word as u32 as usize;
        (word >> 32 == form as u64 && len <= INLINE).then_some(len)
    }

    /// Reads a head that a peer wrote.
    pub(super) fn from_word(word: u64) -> Result<RecordHead> {
        let (len, info) = (word as u32 as usize, (word >> 32) as u32);
        let form = match info & FORM {
            1 => Form::Typed,
            2 => Form::Bytes,
            form => return Err(damaged(format!("a record has form {form}, expected 1 or 2"))),
        };
        if len > INLINE || info & !(FORM | NAMES_BLOCK | CARRIES) != 0 {
            return Err(damaged(format!("a record begins with {word:#018x}")));
        }
        let (names_block, carries) = (info & NAMES_BLOCK != 0, info & CARRIES != 0);
        Ok(RecordHead { len, form, names_block, carries })
    }
}

/// What the payload of a record says that names a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NamedBlock {
    pub(crate) id: u32,
    pub(crate) len: u64,
}

impl NamedBlock {
    /// Bytes of such a payload.
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn to_bytes(self) -> [u8; NamedBlock::BYTES] {
        let mut bytes = [0; NamedBlock::BYTES];
        bytes[..4].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    /// Reads a payload that a peer wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<NamedBlock> {
        let Ok(bytes) = <[u8; NamedBlock::BYTES]>::try_from(bytes) else {
            return Err(damaged(format!("{} bytes name a block", bytes.len())));
        };
        let id = bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let len = bytes.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Ok(NamedBlock { id, len })
    }
}

#[cold]
pub(crate) fn damaged(what: String) -> Error {
    Error::of(ErrorKind::Corrupted, format!("the queue is corrupted: {what}"))
}
