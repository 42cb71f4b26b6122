//! What an error consists of, behind one word.
//!
//! Nearly every function of the crate returns a `Result`. An enum of a kind and a box has two words, which the compiler returns through
//! memory: it writes a byte and then reads whole words, and a processor that reads what was written in parts waits until the parts have
//! reached the cache. An error of one word that cannot be 0 makes a `Result<()>` a word, too: it is returned in a register, and
//! success is 0.
//!
//! An error of which only the kind is known allocates nothing: there is one of each kind in the program. That it is one of these stands
//! in itself, and not in its address: a program and a plugin made of the same build have the same types, and each has its own ones.

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
    /// None if `child` or the kind says it all.
    pub(super) message: Option<String>,
    pub(super) child: Option<ChildFailure>,
    pub(super) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Inner {
    /// One of which only the kind is known.
    pub(super) const fn of(kind: ErrorKind) -> Inner {
        Inner { kind, message: None, child: None, source: None }
    }
}

/// Where it stands.
struct Place {
    inner: Inner,
    /// One of [`SIMPLE`], and in no box.
    is_static: bool,
}

macro_rules! simple {
    ($($(#[doc = $doc:literal])+ $kind:ident, $predicate:ident, $text:literal;)+) => {
        /// For each kind, in their order, an error of which nothing else is known.
        static SIMPLE: [Place; [$(ErrorKind::$kind),+].len()] =
            [$(Place { inner: Inner::of(ErrorKind::$kind), is_static: true }),+];
    };
}
kinds!(simple);

/// Owns what is known of an error: a box, or one of [`SIMPLE`].
pub(super) struct Repr(NonNull<Place>, PhantomData<Box<Place>>);

// SAFETY: it is a box that is not shared, or points to what nobody changes, and both can be sent: the assertion below. The peer:
// no other process has this memory.
unsafe impl Send for Repr {}
// SAFETY: a shared one only gives shared references to its content, which can be shared: the assertion below.
unsafe impl Sync for Repr {}

const _: () = {
    const fn can_be_sent_and_shared<T: Send + Sync>() {}
    can_be_sent_and_shared::<Place>();
};

impl Repr {
    /// One of which only the kind is known.
    #[inline]
    pub(super) const fn simple(kind: ErrorKind) -> Repr {
        Repr(NonNull::from_ref(&SIMPLE[kind as usize]), PhantomData)
    }

    #[cold]
    pub(super) fn boxed(inner: Inner) -> Repr {
        let place = Box::new(Place { inner, is_static: false });
        Repr(NonNull::from(Box::leak(place)), PhantomData)
    }

    /// Whether nothing but the kind is known.
    #[inline]
    pub(super) fn is_simple(&self) -> bool {
        self.place().is_static
    }

    #[inline]
    fn place(&self) -> &Place {
        // SAFETY: it points into a box that it owns, or to a static. The peer: as at `Send`.
        unsafe { self.0.as_ref() }
    }

    /// Its content, to be changed.
    #[cold]
    pub(super) fn into_inner(self) -> Inner {
        let repr = std::mem::ManuallyDrop::new(self);
        if repr.is_simple() {
            return Inner::of(repr.kind);
        }
        // SAFETY: it came from a box (`boxed`), which nobody else has, and is not dropped any more. The peer: as at `Send`.
        unsafe { Box::from_raw(repr.0.as_ptr()) }.inner
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
        &self.place().inner
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
