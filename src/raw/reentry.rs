//! Reentry: how often the holder of a lock holds it, which makes an `RLock` of a [`RobustLock`](crate::raw::lock::RobustLock).
//!
//! # Layout
//!
//! ```text
//! 0  4  depth       how often the holder holds the lock              the holder alone
//! 4  4  unfinished  1: a panic dropped a guard of the holder         the holder alone
//! 8  4  lent        how many guards of data the holder has under it  the holder alone
//! ```
//!
//! - *Lock*: if the lock names the caller, depth + 1. Else take the lock; then depth = 1, unfinished = 0, lent = 0.
//! - *Drop of a guard*: if depth is above 1, depth - 1. Else depth = 0 and give the lock back: with its poison if unfinished
//!   is 1, without it if not. Guards may be dropped in any order.
//!
//! # If a process dies
//!
//! The words mean something only to the thread that the lock names. Whatever they are when it dies, whoever takes the lock over
//! writes all of them before it does anything else. All accesses are relaxed: the lock orders one holder after the other.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU32, Ordering};

/// The words beside a lock that its holder can take again.
#[repr(C)]
pub(crate) struct Reentry {
    /// How often the holder holds the lock. Written by the holder alone, as the next two.
    pub(crate) depth: AtomicU32,
    /// 1: a panic dropped a guard of the holder.
    pub(crate) unfinished: AtomicU32,
    /// How many guards of data it has under the lock: [`ValueGuard`](crate::ValueGuard) and the like.
    pub(crate) lent: AtomicU32,
}

impl Reentry {
    /// The lock has just been taken.
    #[inline]
    pub(crate) fn enter(&self) {
        self.depth.store(1, Ordering::Relaxed);
        self.unfinished.store(0, Ordering::Relaxed);
        self.lent.store(0, Ordering::Relaxed);
    }

    /// The calling thread, which holds the lock, takes it once more.
    #[inline]
    pub(crate) fn deepen(&self) -> Result<()> {
        let Some(depth) = self.depth.load(Ordering::Relaxed).checked_add(1) else {
            return Err(too_deep());
        };
        self.depth.store(depth, Ordering::Relaxed);
        Ok(())
    }

    /// One hold of the holder's ends; of the outermost: whether all ended without a panic.
    #[inline]
    pub(crate) fn leave(&self, is_broken: bool) -> Option<bool> {
        if is_broken {
            self.unfinished.store(1, Ordering::Relaxed);
        }
        let outer = self.depth.load(Ordering::Relaxed).saturating_sub(1);
        self.depth.store(outer, Ordering::Relaxed);
        (outer == 0).then(|| self.unfinished.load(Ordering::Relaxed) == 0)
    }
}

#[cold]
fn too_deep() -> Error {
    Error::of(
        ErrorKind::Limit,
        format!("this thread holds the lock {} times already: drop some guards", u32::MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_dead_holder_left_means_nothing() {
        let reentry = Reentry {
            depth: AtomicU32::new(7),
            unfinished: AtomicU32::new(1),
            lent: AtomicU32::new(3),
        };
        reentry.enter();
        let words = [&reentry.depth, &reentry.unfinished, &reentry.lent];
        assert_eq!(words.map(|word| word.load(Ordering::Relaxed)), [1, 0, 0]);
        reentry.deepen().unwrap();
        assert_eq!(reentry.leave(false), None);
        assert_eq!(reentry.leave(false), Some(true));
        reentry.enter();
        assert_eq!(reentry.leave(true), Some(false), "a panic dropped it");
        reentry.depth.store(u32::MAX, Ordering::Relaxed);
        assert!(reentry.deepen().unwrap_err().is_limit());
    }
}
