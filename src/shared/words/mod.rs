//! The calls of the words of [`raw`](crate::raw), which are declared in [`crate::raw::words`]: they know the world. And that words can
//! stand in a [`Shared`](crate::Shared).
//!
//! - `lock`, `rlock`: mutual exclusion; `once`: what is done once;
//! - `event_count`: waiting for what other words say; `semaphore`: permits.

#![allow(unsafe_code, reason = "words are what a shared structure can hold")]

mod event_count;
mod lock;
mod once;
mod rlock;
mod semaphore;

use crate::raw::{EventCount, Flag, Guarded, Lock, Once, RLock, Semaphore};
use crate::shared::Plain;
use crate::shared::structure::SharedType;

// SAFETY: here and below: repr(C) structures of atomics, without a pointer and without Drop; any bytes are a value.
unsafe impl SharedType for Lock {}
// SAFETY: as above.
unsafe impl SharedType for RLock {}
// SAFETY: as above.
unsafe impl SharedType for Once {}
// SAFETY: as above.
unsafe impl SharedType for EventCount {}
// SAFETY: as above.
unsafe impl SharedType for Flag {}
// SAFETY: as above.
unsafe impl SharedType for Semaphore {}
// SAFETY: an atomic, and plain data that is maybe not initialised, in whole words that are accessed as atomics alone.
unsafe impl<T: Plain> SharedType for Guarded<T> {}
