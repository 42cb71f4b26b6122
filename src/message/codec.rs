//! [`encode`] and [`decode`]: the two ways, past serde and through it, in one place.

use std::any::{TypeId, type_name};
use std::hash::{Hash, Hasher};

use serde::de::DeserializeOwned;

use super::encoder::reserve;
use super::form::{Message, private};
use super::refusal::{no_memory, undecodable};
use super::{decoder, encoder, plain};
use crate::error::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of a message that needs no encoding, as [`encode`] would copy them.
pub(crate) fn raw<T, M: Message<T>>(item: &M) -> Option<&[u8]> {
    item.raw(private::Token)
}

/// Appends the message that stands for `item` to `out`.
///
/// A value that panics while it is serialised leaves a part of itself at the end of `out`.
///
/// # Errors
///
/// `Encode` if the value refuses, is nested too deeply, or could not be read back because it leaves
/// out a field, has another number of parts than it declares, or does not know its length;
/// `OutOfMemory`; what a handle inside the value refused with. `out` then has its old length.
#[inline]
pub(crate) fn encode<T, M: Message<T>>(item: &M, out: &mut Vec<u8>) -> Result<()> {
    if let Some(bytes) = item.raw(private::Token) {
        reserve(out, bytes.len()).map_err(|_| no_memory(bytes.len()))?;
        out.extend_from_slice(bytes);
        return Ok(());
    }
    let before = out.len();
    match encoder::write(item.form(private::Token), out) {
        Ok(()) => Ok(()),
        Err(refusal) => {
            let needed = out.len() - before;
            out.truncate(before);
            Err(refusal.into_encode_error(type_name::<T>(), needed))
        }
    }
}

/// The value that the message `bytes` stands for.
///
/// # Errors
///
/// `Decode` if the bytes are no `T`, or more than one, or nested too deeply; `OutOfMemory`; what a
/// handle inside the value refused with.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    if let Some(value) = plain::from_raw(bytes) {
        return value;
    }
    match decoder::read(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => {
            let why = format_args!("{} of them are left over", rest.len());
            Err(undecodable(type_name::<T>(), bytes.len(), &why))
        }
        Err(refusal) => Err(refusal.into_decode_error(type_name::<T>(), bytes.len())),
    }
}

/// Checks that `bytes`, just encoded, can be turned back into a `T`, so that a type which cannot
/// be brought back is an error of the putter and not of the getter.
///
/// # Errors
///
/// `Encode`, with what to do.
#[cold]
pub(crate) fn verify<T: DeserializeOwned>(bytes: &[u8]) -> Result<()> {
    let Err(error) = decode::<T>(bytes) else {
        return Ok(());
    };
    if !error.is_decode() {
        return Err(error);
    }
    Err(irreversible(type_name::<T>(), error))
}

#[cold]
fn irreversible(name: &str, error: Error) -> Error {
    let message = format!(
        "{name} can be written but not read back, because messages do not describe themselves: for a \
         type that is untagged, has a tag or flattened fields, or skips a field or variant on one \
         side only, derive serde's traits without these attributes; for a free-form value such as \
         serde_json::Value send its text"
    );
    Error::of(ErrorKind::Encode, message).with_source(error)
}

/// Longer messages are not read back by [`verify_once`]: it would take as much memory again.
const VERIFIED_MOST: usize = 1 << 20;
/// How many types [`verify_once`] remembers.
const REMEMBERED: usize = 256;

/// As [`verify`], for the first message of a type in this process; later ones count as verified.
///
/// Which types were verified is remembered in a table without a lock, so that a forked process finds none that is held. Each hash has
/// one place: a type that lost it to another one is verified again.
#[inline]
pub(crate) fn verify_once<T: DeserializeOwned>(bytes: &[u8]) -> Result<()> {
    static VERIFIED: [AtomicU64; REMEMBERED] = [const { AtomicU64::new(0) }; REMEMBERED];
    if bytes.len() > VERIFIED_MOST {
        return Ok(());
    }
    let hash = hash_of(typeid::of::<T>());
    let place = &VERIFIED[hash as usize % REMEMBERED];
    // Relaxed: nothing but the number itself is of interest.
    if place.load(Ordering::Relaxed) != hash {
        verify::<T>(bytes)?;
        place.store(hash, Ordering::Relaxed);
    }
    Ok(())
}

/// A type id is a hash already, of which it gives 64 bits.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[inline]
    fn write_u64(&mut self, bits: u64) {
        self.0 ^= bits;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[inline]
fn hash_of(id: TypeId) -> u64 {
    let mut hasher = AsItIs::default();
    id.hash(&mut hasher);
    // 0 is an empty place.
    hasher.finish().max(1)
}
