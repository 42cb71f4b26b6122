//! What the records of a pipe hold.

use super::layout::CAPACITY;

/// Larger messages get a block of their own.
pub(super) const INLINE: usize = 16 << 10;
/// Another message in a block of its own is sent only while those that are in the pipe have no more bytes than this.
pub(super) const LARGE_IN_FLIGHT: u64 = 1 << 20;
/// The payload of a record that names a block: its number and the length of the message.
pub(super) const NAMED: usize = 16;

/// What a record's `info` says.
pub(super) const FORM: u32 = 0xff;
pub(super) const NAMES_BLOCK: u32 = 1 << 8;
pub(super) const CARRIES: u32 = 1 << 9;

/// How a message is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Form {
    /// A value of the pipe's type.
    Typed = 1,
    /// Plain bytes.
    Bytes = 2,
}

pub(super) fn name_block(id: u32, len: usize) -> [u8; NAMED] {
    let mut name = [0; NAMED];
    name[..4].copy_from_slice(&id.to_le_bytes());
    name[8..].copy_from_slice(&(len as u64).to_le_bytes());
    name
}

/// The block and the length that a record names.
pub(super) fn named(name: &[u8]) -> Option<(u32, u64)> {
    let name: &[u8; NAMED] = name.try_into().ok()?;
    let (id, len) = (name.first_chunk()?, name.last_chunk()?);
    Some((u32::from_le_bytes(*id), u64::from_le_bytes(*len)))
}

/// Every message within the limit fits an empty ring.
const _: () = assert!(INLINE <= crate::raw::ring::largest(CAPACITY) as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_named_and_found() {
        assert_eq!(named(&name_block(0x10_0007, 5 << 32)), Some((0x10_0007, 5 << 32)));
        assert_eq!(named(&[0; 15]), None);
    }
}
