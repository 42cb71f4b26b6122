//! What may be seen through a reference into shared memory.

#![allow(unsafe_code, reason = "a trait with a promise")]

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU32, AtomicU64};

/// The low half of a word of 64 bits, as a word to sleep on. It is never accessed otherwise through this reference.
#[inline]
pub(crate) fn low_half(word: &AtomicU64) -> &AtomicU32 {
    const _: () = assert!(cfg!(target_endian = "little"), "the low half of a word comes first");
    // SAFETY:
    // - the first half of a live, aligned 64-bit atomic;
    // - it is only slept on and woken, so no access of two sizes meets but the kernel's comparison, which is atomic;
    // - another process that writes the word only ends the sleep.
    unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) }
}

/// A place must be one at which a structure of this alignment can stand.
pub(crate) fn check_place(place: *mut u8, align: usize) -> Result<()> {
    if !place.is_null() && (place as usize).is_multiple_of(align) {
        return Ok(());
    }
    Err(Error::of(
        ErrorKind::InvalidInput,
        format!("{place:?} is no place for what is aligned to {align} bytes"),
    ))
}

/// Types of which every bit pattern is a value and every field is an atomic. References to them are sound whatever other
/// processes write.
///
/// # Safety
///
/// Only `repr(C)` structures of atomics, and arrays of them, may implement it.
pub(crate) unsafe trait Shared: 'static {}

// SAFETY: an atomic.
unsafe impl Shared for AtomicU32 {}
// SAFETY: an atomic.
unsafe impl Shared for AtomicU64 {}
