//! Finding out that a type parameter is in fact this crate's error.

#![allow(unsafe_code, reason = "a type parameter that was compared is used as what it is")]

use std::any::TypeId;
use std::mem::ManuallyDrop;

use crate::error::Error;

/// `value` as what it is, if `A` is [`Error`]; otherwise unchanged.
pub(super) fn own<A>(value: A) -> Result<Error, A> {
    if typeid::of::<A>() != TypeId::of::<Error>() {
        return Err(value);
    }
    let value = ManuallyDrop::new(value);
    // SAFETY:
    // - `A` is `Error`: their ids are equal, and `Error` holds no lifetime in which they could differ.
    //   `ManuallyDrop` has the layout of what it holds.
    // - The value is moved, not doubled: `ManuallyDrop` never drops the original.
    // - The peer: the value lies on this stack, out of reach of other processes.
    Ok(unsafe { std::mem::transmute_copy::<ManuallyDrop<A>, Error>(&value) })
}
