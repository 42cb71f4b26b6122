//! What bypasses serde: text, bytes, plain numbers and vectors of them, copied as they lie in memory.
//!
//! Which of the two ways a message takes is decided by its type alone. The decision is a comparison
//! of type ids, constants to the compiler, which removes it. What follows from it works on memory
//! whose type is forgotten ([`Plain`]): generic functions would be compiled once for each pair of a
//! message's type and a plain one, which was a third of all code of a program that is not optimised.

#![allow(unsafe_code, reason = "a type parameter that was compared is used as what it is")]

use std::any::{TypeId, type_name};
use std::mem::MaybeUninit;

use bytemuck::Pod;

use super::refusal::{no_memory, undecodable};
use crate::error::Result;

/// Calls the macro `$each` with the number types of which a vector is sent as it lies in memory.
macro_rules! numbers {
    ($each:ident) => {
        $each! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }
    };
}

#[cfg(test)]
pub(super) use numbers;

/// A type that bypasses serde.
///
/// No lifetime occurs in it. Type ids do not tell lifetimes apart, so that for such a type alone,
/// equal ids mean the same type.
trait Bypass: Sized + 'static {
    fn bytes(&self) -> &[u8];

    fn read(bytes: &[u8]) -> Result<Self>;
}

impl Bypass for String {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn read(bytes: &[u8]) -> Result<String> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            undecodable(type_name::<String>(), bytes.len(), &"the bytes are not UTF-8")
                .with_source(error)
        })?;
        let mut string = String::new();
        string.try_reserve_exact(text.len()).map_err(|_| no_memory(text.len()))?;
        string.push_str(text);
        Ok(string)
    }
}

/// Numbers and vectors of them; `bytes` may lie at any address.
macro_rules! numbers_and_vectors {
    ($($N:ty)*) => {$(
        impl Bypass for $N {
            #[inline]
            fn bytes(&self) -> &[u8] {
                bytemuck::bytes_of(self)
            }

            #[inline]
            fn read(bytes: &[u8]) -> Result<$N> {
                bytemuck::try_pod_read_unaligned(bytes).map_err(|_| {
                    let why = format_args!("a number of this type has {}", size_of::<$N>());
                    undecodable(type_name::<$N>(), bytes.len(), &why)
                })
            }
        }

        impl Bypass for Vec<$N> {
            #[inline]
            fn bytes(&self) -> &[u8] {
                bytemuck::cast_slice(self)
            }

            fn read(bytes: &[u8]) -> Result<Vec<$N>> {
                numbers_from(bytes)
            }
        }
    )*};
}
numbers!(numbers_and_vectors);

fn numbers_from<N: Pod>(bytes: &[u8]) -> Result<Vec<N>> {
    let chunks = bytes.chunks_exact(size_of::<N>());
    if !chunks.remainder().is_empty() {
        let why = format_args!("an element has {}", size_of::<N>());
        return Err(undecodable(type_name::<Vec<N>>(), bytes.len(), &why));
    }
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(chunks.len()).map_err(|_| no_memory(bytes.len()))?;
    match bytemuck::try_cast_slice(bytes) {
        Ok(aligned) => numbers.extend_from_slice(aligned),
        Err(_) => numbers.extend(chunks.map(bytemuck::pod_read_unaligned::<N>)),
    }
    Ok(numbers)
}

/// What [`Bypass`] offers, for values whose type is forgotten.
#[derive(Clone, Copy)]
struct Plain {
    /// The bytes of the value at an address.
    bytes: unsafe fn(*const ()) -> *const [u8],
    /// Reads a value from bytes and writes it to an address.
    read: unsafe fn(&[u8], *mut ()) -> Result<()>,
}

impl Plain {
    #[inline]
    const fn of<C: Bypass>() -> Plain {
        Plain { bytes: bytes_at::<C>, read: read_to::<C> }
    }
}

/// # Safety
///
/// A `C` is at `value`, and is neither written nor dropped while the result is used.
#[inline]
unsafe fn bytes_at<C: Bypass>(value: *const ()) -> *const [u8] {
    // SAFETY: a `C` is there (the caller). The peer: nothing is read but the value itself, which
    // lies in memory of this process, or in shared memory under a guard that its reader holds.
    let value = unsafe { &*value.cast::<C>() };
    value.bytes()
}

/// # Safety
///
/// `to` has room for a `C`, aligned for one.
#[inline]
unsafe fn read_to<C: Bypass>(bytes: &[u8], to: *mut ()) -> Result<()> {
    let value = C::read(bytes)?;
    // SAFETY: there is room (the caller). The peer: it lies on a stack, out of reach of others.
    unsafe { to.cast::<C>().write(value) };
    Ok(())
}

/// What the type with this id offers, if it bypasses serde.
#[inline]
fn plain(id: TypeId) -> Option<Plain> {
    if id == TypeId::of::<String>() {
        return Some(Plain::of::<String>());
    }
    macro_rules! any {
        ($($N:ty)*) => {$(
            if id == TypeId::of::<$N>() {
                return Some(Plain::of::<$N>());
            }
            if id == TypeId::of::<Vec<$N>>() {
                return Some(Plain::of::<Vec<$N>>());
            }
        )*};
    }
    numbers!(any);
    None
}

/// Whether the type with this id is a number that bypasses serde.
#[inline]
fn is_number(id: TypeId) -> bool {
    macro_rules! any {
        ($($N:ty)*) => { $(id == TypeId::of::<$N>())||* };
    }
    numbers!(any)
}

/// The bytes of `item`, if a `T` is sent without serde.
#[inline]
pub(super) fn raw_value<T>(item: &T) -> Option<&[u8]> {
    let plain = plain(typeid::of::<T>())?;
    // SAFETY: `T` is the very type that `plain` speaks of: their ids are equal, and that type holds
    // no lifetime in which they could differ (`Bypass`). `item` is borrowed for as long as the
    // result. The peer: as at `bytes_at`.
    let bytes = unsafe { (plain.bytes)((&raw const *item).cast()) };
    // SAFETY: it comes from a reference, to the content of `item`.
    Some(unsafe { &*bytes })
}

/// The bytes of `elements`, if a `Vec<U>` is sent without serde.
#[inline]
pub(super) fn raw_elements<U>(elements: &[U]) -> Option<&[u8]> {
    if !is_number(typeid::of::<U>()) {
        return None;
    }
    let len = size_of_val(elements);
    // SAFETY: `U` is a number, all of whose bytes are initialised. The lifetime of the result is that
    // of the argument, and both are shared. The peer: as at `bytes_at`.
    Some(unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), len) })
}

/// The value of `bytes`, if a `T` is sent without serde.
#[inline]
pub(super) fn from_raw<T>(bytes: &[u8]) -> Option<Result<T>> {
    let plain = plain(typeid::of::<T>())?;
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: `T` is the very type that `plain` speaks of, as in `raw_value`: there is room for it.
    let read = unsafe { (plain.read)(bytes, value.as_mut_ptr().cast()) };
    // SAFETY: it was written, since there was no error.
    Some(read.map(|()| unsafe { value.assume_init() }))
}
