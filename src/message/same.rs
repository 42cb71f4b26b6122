//! Finding out that a type parameter is in fact a certain type.

#![allow(unsafe_code, reason = "a type parameter that was compared is used as what it is")]

use std::any::TypeId;

use crate::error::Error;

/// Calls the macro `$each` with the number types of which a vector is sent as it lies in memory.
macro_rules! numbers {
    ($each:ident) => {
        $each! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }
    };
}

pub(super) use numbers;

/// A type in which no lifetime occurs. Type ids do not tell lifetimes apart, so that for such
/// a type alone, equal ids mean the same type.
pub(super) trait Concrete: 'static {}

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
pub(super) fn own<A, C: Concrete>(value: A) -> Result<C, A> {
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
