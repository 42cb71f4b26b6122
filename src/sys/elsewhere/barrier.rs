//! A memory barrier of which both sides pay their part: no process is registered, since no system call does it for them.

use crate::sys::atomic::{Ordering, fence};

/// Registers nothing: [`light`] barriers are whole ones.
pub(crate) fn register() {}

/// There is nothing to forget.
pub(crate) fn forget() {}

/// The barrier of the side that does not sleep.
#[inline]
pub(crate) fn light() {
    // ORDERING(barrier): pairs with the fence in `heavy`.
    fence(Ordering::SeqCst);
}

/// The barrier of the side that is about to sleep; it holds for light ones, which are whole.
pub(crate) fn heavy() -> bool {
    // ORDERING(barrier): pairs with the fence in `light`.
    fence(Ordering::SeqCst);
    true
}
