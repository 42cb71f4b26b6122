//! An outcome: how far a child came with its call, and where it left what came of it.
//!
//! ```text
//! offset  size  what                                                  who writes
//! 0       8     state                                                 the child
//! 8       8     length of what it left                                the child, before the state
//! 16      8     where that is: a block, plus one; 0: beside the call  the child, before the state
//! ```
//!
//! One store is the truth: that of the state, the last of three. Who finds a state finds the length, the place and the bytes that
//! belong to it; a child that is killed before that store has left nothing, whatever the two other words say. Three read it: the
//! parent, once the child has ended; a sweep, at any moment, which asks what the bytes refer to; and the parent again, which marks
//! what it has taken over.
//!
//! Nobody waits on these words: that a child has ended is told by its process.

#![allow(unsafe_code, reason = "the layout of words in shared memory")]

use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::shared::Shared;

/// The words. All zero: nothing was left.
#[repr(C)]
pub(crate) struct OutcomeWords {
    state: AtomicU64,
    len: AtomicU64,
    place: AtomicU64,
}

// SAFETY: three atomics, of which any bits are a value.
unsafe impl Shared for OutcomeWords {}

/// What stands there at one moment. Each number is whatever was found: the reader checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) state: u64,
    pub(crate) len: u64,
    pub(crate) place: u64,
}

impl OutcomeWords {
    /// Before anybody else knows the words: nothing was left.
    pub(crate) fn clear(&self, state: u64) {
        // ORDERING: none needed. Who reads them is told of them later.
        self.len.store(0, Ordering::Relaxed);
        self.place.store(0, Ordering::Relaxed);
        self.state.store(state, Ordering::Relaxed);
    }

    /// How far one is, when nothing was left or nothing more is to be read.
    pub(crate) fn note(&self, state: u64) {
        // ORDERING: Relaxed: nothing goes with it.
        self.state.store(state, Ordering::Relaxed);
    }

    /// Leaves what was written before.
    pub(crate) fn publish(&self, outcome: Outcome) {
        self.len.store(outcome.len, Ordering::Relaxed);
        self.place.store(outcome.place, Ordering::Relaxed);
        // ORDERING(outcome): Release, pairs with the Acquire in `read`; the bytes, their length and their place before the state.
        self.state.store(outcome.state, Ordering::Release);
    }

    /// What was left.
    pub(crate) fn read(&self) -> Outcome {
        // ORDERING(outcome): Acquire, pairs with the Release in `publish`.
        let state = self.state.load(Ordering::Acquire);
        let (len, place) = (&self.len, &self.place);
        Outcome { state, len: len.load(Ordering::Relaxed), place: place.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_block_held_before_is_cleared() {
        let words = OutcomeWords {
            state: AtomicU64::new(1),
            len: AtomicU64::new(2),
            place: AtomicU64::new(3),
        };
        assert_eq!(words.read(), Outcome { state: 1, len: 2, place: 3 });
        words.clear(4);
        assert_eq!(words.read(), Outcome { state: 4, len: 0, place: 0 });
        let left = Outcome { state: 5, len: 6, place: 7 };
        words.publish(left);
        assert_eq!(words.read(), left);
    }
}
