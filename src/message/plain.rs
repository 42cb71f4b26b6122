//! What bypasses serde: text, bytes and vectors of plain numbers, copied as they lie in memory.
//!
//! Which of the two ways a message takes is decided by its type alone. The decision is a comparison
//! of type ids, constants to the compiler, which removes it.

use std::any::TypeId;

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

/// The bytes of `item`, if a `T` is sent without serde.
#[inline]
pub(super) fn raw_value<T>(item: &T) -> Option<&[u8]> {
    let one = std::slice::from_ref(item);
    if let Some([text]) = same::slice::<T, String>(one) {
        return Some(text.as_bytes());
    }
    macro_rules! vectors {
        ($($N:ty)*) => {$(
            if let Some([numbers]) = same::slice::<T, Vec<$N>>(one) {
                return Some(bytemuck::cast_slice(numbers));
            }
        )*};
    }
    numbers!(vectors);
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
    macro_rules! vectors {
        ($($N:ty)*) => {$(
            if same::is::<T, Vec<$N>>() {
                return as_asked(numbers_from::<$N>(bytes));
            }
        )*};
    }
    numbers!(vectors);
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

/// Finding out that a type parameter is in fact a certain type.
pub(super) mod same {
    #![allow(unsafe_code, reason = "a type parameter that was compared is used as what it is")]

    use super::TypeId;
    use crate::error::Error;

    /// A type in which no lifetime occurs. Type ids do not tell lifetimes apart, so that for such
    /// a type alone, equal ids mean the same type.
    pub(in super::super) trait Concrete: 'static {}

    macro_rules! concrete {
        ($($N:ty)*) => {$(
            impl Concrete for $N {}
            impl Concrete for Vec<$N> {}
        )*};
    }
    numbers!(concrete);
    impl Concrete for String {}
    impl Concrete for Error {}

    /// Whether `A` is `C`. A constant to the compiler.
    #[inline(always)]
    pub(super) fn is<A, C: Concrete>() -> bool {
        typeid::of::<A>() == TypeId::of::<C>()
    }

    /// `slice`, if `A` is `C`.
    #[inline(always)]
    pub(super) fn slice<A, C: Concrete>(slice: &[A]) -> Option<&[C]> {
        if !is::<A, C>() {
            return None;
        }
        // SAFETY:
        // - `A` and `C` are the same type: their ids are equal, and `C` holds no lifetime in which
        //   they could differ (`Concrete`). So pointer, length, alignment and content are right.
        // - The lifetime of the result is that of the argument, and both are shared.
        // - The peer: nothing new is read; whoever made the argument had the right to these bytes,
        //   also if they lie in shared memory under a guard.
        Some(unsafe { std::slice::from_raw_parts(slice.as_ptr().cast::<C>(), slice.len()) })
    }

    /// `value`, if `A` is `C`.
    #[inline(always)]
    pub(super) fn value<C: Concrete, A>(value: C) -> Option<A> {
        if !is::<A, C>() {
            return None;
        }
        // SAFETY: `A` and `C` are the same type: their ids are equal, and `C` is `Concrete`.
        Some(unsafe { retyped(value) })
    }

    /// `value` as what it is, if `A` is `C`; otherwise unchanged.
    pub(in super::super) fn own<A, C: Concrete>(value: A) -> Result<C, A> {
        if !is::<A, C>() {
            return Err(value);
        }
        // SAFETY: `A` and `C` are the same type: their ids are equal, and `C` is `Concrete`.
        Ok(unsafe { retyped(value) })
    }

    /// # Safety
    ///
    /// `A` and `B` must be the same type.
    #[inline(always)]
    unsafe fn retyped<A, B>(value: A) -> B {
        let value = std::mem::ManuallyDrop::new(value);
        // SAFETY:
        // - `A` and `B` are the same type (the caller), and `ManuallyDrop<A>` has the layout of
        //   `A`: the bits are a valid `B`.
        // - The value is moved, not doubled: `ManuallyDrop` never drops the original.
        // - The peer: the value lies on this stack, out of reach of other processes.
        unsafe { std::mem::transmute_copy::<std::mem::ManuallyDrop<A>, B>(&value) }
    }
}
