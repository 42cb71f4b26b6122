//! `Shared`: one structure of the user's, with atomics and plain data, that processes see in place.
//!
//! ```text
//! 0  4   block   the number of the block; 0: the structure is in the object     the creator, once
//! 8  40  the structure, if it has at most 40 bytes and needs no more than 8 bytes' alignment; else it starts the block
//! ```
//!
//! It is written once, before anybody else has a handle. From then on there are only shared references to it, so its atomics
//! change and its plain data does not. A death leaves each atomic before or after its instruction.

#![allow(unsafe_code, reason = "a reference to the user's structure in shared memory")]

use super::store::{self, Kind, MemoryObject, Object, OfKind, Words};
use crate::error::Result;
use crate::sys::atomic::AtomicU32;
use core::any::type_name;
use core::marker::PhantomData;
use core::ops::Deref;

const INLINE: usize = 40;

#[repr(C)]
struct Payload {
    block: AtomicU32,
    reserved: AtomicU32,
}

// SAFETY: a structure of atomics only.
unsafe impl Words for Payload {}

/// Objects of this kind.
pub(super) enum SharedKind {}

impl OfKind for SharedKind {
    const KIND: Kind = Kind::Shared;

    fn block(object: &'static MemoryObject) -> Option<&'static AtomicU32> {
        Some(&object.view::<Payload>().block)
    }
}

/// What a [`Shared`] can hold: std's atomics, integers, floats, arrays of these, and structures made with [`shared_type!`](crate::shared_type).
///
/// # Safety
///
/// For a type of your own: it has `repr(C)`; every field implements this trait; it has no `Drop`.
/// [`shared_type!`](crate::shared_type) makes sure of all that. The consequences that `Shared` relies on: any bytes are a value;
/// there is no pointer in it; whatever changes behind a shared reference is an atomic.
pub unsafe trait SharedType: Sync + Sized + 'static {}

macro_rules! shared_types {
    ($($type:ty),*) => {
        $(
            // SAFETY: any bytes are a value; an atomic, or never changed behind a reference.
            unsafe impl SharedType for $type {}
        )*
    };
}

shared_types!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64);
shared_types!(
    core::sync::atomic::AtomicI8,
    core::sync::atomic::AtomicI16,
    core::sync::atomic::AtomicI32,
    core::sync::atomic::AtomicI64,
    core::sync::atomic::AtomicIsize,
    core::sync::atomic::AtomicU8,
    core::sync::atomic::AtomicU16,
    core::sync::atomic::AtomicU32,
    core::sync::atomic::AtomicU64,
    core::sync::atomic::AtomicUsize
);

// SAFETY: as its elements.
unsafe impl<T: SharedType, const N: usize> SharedType for [T; N] {}

/// Declares a structure for a [`Shared`](crate::Shared): with `repr(C)`, and with fields that can be shared, which is checked when
/// it is compiled.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, Shared, shared_type};
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// shared_type! {
///     /// What the workers have done.
///     pub struct Statistics {
///         pub workers: u32,
///         pub done: AtomicU64,
///         pub by_size: [AtomicU64; 4],
///     }
/// }
///
/// fn work(statistics: Shared<Statistics>) {
///     statistics.done.fetch_add(1, Relaxed);
///     statistics.by_size[2].fetch_add(1, Relaxed);
/// }
///
/// let statistics = Shared::new(Statistics {
///     workers: 1,
///     done: AtomicU64::new(0),
///     by_size: Default::default(),
/// })?;
/// Process::spawn(work, (&statistics,))?.join()?;
/// assert_eq!(statistics.done.load(Relaxed), 1);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// A pointer cannot be shared:
///
/// ```compile_fail,E0277
/// multiproc::shared_type! {
///     struct Named {
///         name: &'static str,
///     }
/// }
/// ```
#[macro_export]
macro_rules! shared_type {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $(
                $(#[$field_attribute:meta])*
                $field_visibility:vis $field:ident: $type:ty
            ),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[repr(C)]
        $visibility struct $name {
            $(
                $(#[$field_attribute])*
                $field_visibility $field: $type,
            )*
        }

        const _: () = {
            const fn can_be_shared<T: $crate::SharedType>() {}
            $(can_be_shared::<$type>();)*
            assert!(!::core::mem::needs_drop::<$name>(), "it cannot have a Drop");
        };

        // SAFETY: repr(C), and all fields can be shared, as was just checked.
        #[allow(unsafe_code)]
        unsafe impl $crate::SharedType for $name {}
    };
}

/// One structure of atomics and plain data that processes see in place, without a lock.
///
/// Declare it with [`shared_type!`](crate::shared_type). A `Shared` gives shared references to it: its atomics can be changed,
/// its plain data is what it was made with. Cloning gives another handle to the same structure; handles travel as those of a
/// [`Value`](crate::Value) do. For plain data that changes take a `Value` or an [`Array`](crate::Array).
///
/// # Panics
///
/// Using it in a forked child that inherited it panics: the structure is its parent's.
pub struct Shared<T> {
    object: Object<SharedKind>,
    at: *const T,
    value: PhantomData<T>,
}

// SAFETY: it gives shared references only, and `SharedType` is `Sync`.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T: SharedType> Shared<T> {
    const IS_INLINE: bool = size_of::<T>() <= INLINE && align_of::<T>() <= 8;

    /// Puts a structure into shared memory, gone with its last user. No system call once the process uses shared objects, if it
    /// has at most 40 bytes.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory, or not so much.
    pub fn new(value: T) -> Result<Shared<T>> {
        const { assert!(align_of::<T>() <= 64, "a shared structure is aligned to 64 bytes at most") };
        const { assert!(!core::mem::needs_drop::<T>(), "a shared structure has no Drop") };
        let mut object = Object::<SharedKind>::create()?;
        if !Self::IS_INLINE {
            object.make_block(size_of::<T>())?;
        }
        let shared: Shared<T> = Shared::from_object(object);
        // SAFETY:
        // - the place is large enough and aligned, in a mapping that is never unmapped;
        // - nobody else has a handle yet.
        unsafe { shared.at.cast_mut().write(value) };
        Ok(shared)
    }

    /// The structure until the process ends: this handle is never dropped. So it is what the calls of [`raw`](crate::raw)'s words want,
    /// and the memory is given back when the processes that have leaked one have ended.
    ///
    /// # Panics
    ///
    /// In a forked child that inherited the handle. A structure that was leaked before the fork can be used by the child as long as
    /// its parent, or another process with a handle, lives.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::{Shared, raw::Flag};
    ///
    /// let flag: &'static Flag = Shared::new(Flag::new())?.leak();
    /// flag.set();
    /// flag.wait()?;
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn leak(self) -> &'static T {
        let at = core::ptr::from_ref::<T>(&self);
        core::mem::forget(self);
        // SAFETY: as in `deref`; the handle that keeps the place lives until the process ends, and the mapping as long.
        unsafe { &*at }
    }

    fn from_object(object: Object<SharedKind>) -> Shared<T> {
        let at = if Self::IS_INLINE {
            object.payload()[1..].as_ptr().cast::<T>()
        } else {
            object.base().cast_const().cast::<T>()
        };
        Shared { object, at, value: PhantomData }
    }

    fn attach(mut object: Object<SharedKind>) -> Result<Shared<T>> {
        if !Self::IS_INLINE {
            object.find_block(size_of::<T>())?;
        }
        Ok(Shared::from_object(object))
    }
}

impl<T: SharedType> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        assert!(
            self.object.is_current(),
            "a shared structure was inherited over a fork, and belongs to the process that forked"
        );
        // SAFETY:
        // - the place is large enough and aligned, was written before anybody had a handle, and lives as long as this one;
        // - `T: SharedType`: any bytes are a value, and what other processes change are atomics.
        unsafe { &*self.at }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared { object: self.object.clone(), at: self.at, value: PhantomData }
    }
}

impl<T: SharedType + core::fmt::Debug> core::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.object.is_current() {
            f.debug_tuple("Shared").field(&**self).finish()
        } else {
            f.write_str("Shared(<inherited over a fork>)")
        }
    }
}

impl<T: SharedType> serde::Serialize for Shared<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (type_name::<T>(), &self.object).serialize(serializer)
    }
}

impl<'de, T: SharedType> serde::Deserialize<'de> for Shared<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Shared<T>, D::Error> {
        let (name, object) = <(String, Object<SharedKind>)>::deserialize(deserializer)?;
        store::check_name::<T, _>("Shared", &name)?;
        Shared::attach(object).map_err(store::refuse)
    }
}
