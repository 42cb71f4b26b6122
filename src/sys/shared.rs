//! What may be seen through a reference into shared memory.

#![allow(unsafe_code, reason = "a trait with a promise")]

use crate::sys::atomic::{AtomicU32, AtomicU64};

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
