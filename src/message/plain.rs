//! What bypasses serde: text, bytes, plain numbers and vectors of them, copied as they lie in memory.
//!
//! Which of the two ways a message takes is decided by its type alone. The decision is a comparison
//! of type ids, constants to the compiler, which removes it.

use bytemuck::Pod;

use super::refusal::{no_memory, undecodable};
use super::same::{self, numbers};
use crate::error::Result;

/// The bytes of `item`, if a `T` is sent without serde.
#[inline]
pub(super) fn raw_value<T>(item: &T) -> Option<&[u8]> {
    let one = std::slice::from_ref(item);
    if let Some([text]) = same::slice::<T, String>(one) {
        return Some(text.as_bytes());
    }
    macro_rules! numbers_and_vectors {
        ($($N:ty)*) => {$(
            if let Some(number) = same::slice::<T, $N>(one) {
                return Some(bytemuck::cast_slice(number));
            }
            if let Some([numbers]) = same::slice::<T, Vec<$N>>(one) {
                return Some(bytemuck::cast_slice(numbers));
            }
        )*};
    }
    numbers!(numbers_and_vectors);
    None
}

/// The bytes of `elements`, if a `Vec<U>` is sent without serde.
#[inline]
pub(super) fn raw_elements<U>(elements: &[U]) -> Option<&[u8]> {
    macro_rules! slices {
        ($($N:ty)*) => {$(
            if let Some(numbers) = same::slice::<U, $N>(elements) {
                return Some(bytemuck::cast_slice(numbers));
            }
        )*};
    }
    numbers!(slices);
    None
}

/// The value of `bytes`, if a `T` is sent without serde.
#[inline]
pub(super) fn from_raw<T>(bytes: &[u8]) -> Option<Result<T>> {
    /// `wire` gives the very type that `T` was just found to be.
    fn as_asked<C: same::Concrete, T>(wire: Result<C>) -> Option<Result<T>> {
        match wire {
            Ok(value) => same::value(value).map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
    if same::is::<T, String>() {
        return as_asked(text_from(bytes));
    }
    macro_rules! numbers_and_vectors {
        ($($N:ty)*) => {$(
            if same::is::<T, $N>() {
                return as_asked(number_from::<$N>(bytes));
            }
            if same::is::<T, Vec<$N>>() {
                return as_asked(numbers_from::<$N>(bytes));
            }
        )*};
    }
    numbers!(numbers_and_vectors);
    None
}

fn text_from(bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        undecodable::<String>(bytes.len(), "the bytes are not UTF-8").with_source(error)
    })?;
    let mut string = String::new();
    string.try_reserve_exact(text.len()).map_err(|_| no_memory(text.len()))?;
    string.push_str(text);
    Ok(string)
}

#[inline]
fn number_from<N: Pod>(bytes: &[u8]) -> Result<N> {
    bytemuck::try_pod_read_unaligned(bytes).map_err(|_| {
        let why = format_args!("a number of this type has {}", size_of::<N>());
        undecodable::<N>(bytes.len(), why)
    })
}

/// `bytes` may lie at any address.
fn numbers_from<N: Pod>(bytes: &[u8]) -> Result<Vec<N>> {
    let chunks = bytes.chunks_exact(size_of::<N>());
    if !chunks.remainder().is_empty() {
        let why = format_args!("an element has {}", size_of::<N>());
        return Err(undecodable::<Vec<N>>(bytes.len(), why));
    }
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(chunks.len()).map_err(|_| no_memory(bytes.len()))?;
    match bytemuck::try_cast_slice(bytes) {
        Ok(aligned) => numbers.extend_from_slice(aligned),
        Err(_) => numbers.extend(chunks.map(bytemuck::pod_read_unaligned::<N>)),
    }
    Ok(numbers)
}
