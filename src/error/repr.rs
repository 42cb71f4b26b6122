//! An error's content behind one word.
//!
//! Nearly every function of the crate returns a `Result`. With an error of one word that cannot be 0, a `Result<()>` is a word that
//! travels in a register, and success is the word 0. As an enum of a kind and a box it had two words, which the compiler keeps in
//! memory: it wrote a byte, and read both words back at once to hand them on. A processor cannot take such a read from the stores
//! that are under way, and waits for them.
//!
//! An error of which only the kind is known allocates nothing: there is one of each kind in the program.

#![allow(unsafe_code, reason = "a pointer to what is in a box or in the program")]

use std::error::Error as StdError;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use super::child::ChildFailure;
use super::kind::{ErrorKind, kinds};

/// What is known of an error.
pub(super) struct Inner {
    pub(super) kind: ErrorKind,
    /// Empty if `child` or the kind says it all.
    pub(super) message: String,
    pub(super) child: Option<ChildFailure>,
    pub(super) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Inner {
    /// One of which only the kind is known.
    pub(super) const fn of(kind: ErrorKind) -> Inner {
        Inner { kind, message: String::new(), child: None, source: None }
    }
}

macro_rules! simple {
    ($($(#[doc = $doc:literal])+ $kind:ident, $predicate:ident, $text:literal;)+) => {
        /// For each kind, in their order, an error of which nothing else is known.
        static SIMPLE: &[Inner] = &[$(Inner::of(ErrorKind::$kind)),+];
    };
}
kinds!(simple);

/// Owns what is known of an error: a box, or one of [`SIMPLE`].
pub(super) struct Repr(NonNull<Inner>, PhantomData<Box<Inner>>);

// SAFETY: it is a box that is not shared, or points to what nobody changes, and both can be sent: the assertion below. The peer:
// no other process has this memory.
unsafe impl Send for Repr {}
// SAFETY: a shared one only gives shared references to its content, which can be shared: the assertion below.
unsafe impl Sync for Repr {}

const _: () = {
    const fn can_be_sent_and_shared<T: Send + Sync>() {}
    can_be_sent_and_shared::<Inner>();
};

impl Repr {
    /// One of which only the kind is known.
    #[inline]
    pub(super) const fn simple(kind: ErrorKind) -> Repr {
        Repr(NonNull::from_ref(&SIMPLE[kind as usize]), PhantomData)
    }

    #[cold]
    pub(super) fn boxed(inner: Inner) -> Repr {
        Repr(NonNull::from(Box::leak(Box::new(inner))), PhantomData)
    }

    /// Whether it is one of [`SIMPLE`].
    #[inline]
    pub(super) fn is_simple(&self) -> bool {
        SIMPLE.as_ptr_range().contains(&self.0.as_ptr().cast_const())
    }

    /// Its content, to be changed.
    #[cold]
    pub(super) fn into_inner(self) -> Inner {
        let repr = std::mem::ManuallyDrop::new(self);
        if repr.is_simple() {
            return Inner::of(repr.kind);
        }
        // SAFETY: it came from a box (`boxed`), which nobody else has, and is not dropped any more. The peer: as at `Send`.
        *unsafe { Box::from_raw(repr.0.as_ptr()) }
    }

    #[cold]
    fn free(&mut self) {
        // SAFETY: it came from a box (`boxed`), which nobody else has; this is its drop. The peer: as at `Send`.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl Deref for Repr {
    type Target = Inner;

    #[inline]
    fn deref(&self) -> &Inner {
        // SAFETY: it points into a box that it owns, or to a static. The peer: as at `Send`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Repr {
    #[inline]
    fn drop(&mut self) {
        if !self.is_simple() {
            self.free();
        }
    }
}
