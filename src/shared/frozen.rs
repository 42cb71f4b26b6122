//! An array that nobody writes to any more: `&[T]` for everyone, without a lock.
//!
//! The flag in the array's object is set under its lock, when nobody has it borrowed and no part is claimed, and is never taken
//! back. Whoever wants to write checks it under the lock. A process that dies in the middle has set it or not. If it has, the
//! poison that it may have left on the lock is never cleared, and nobody asks for it.

#![allow(unsafe_code, reason = "elements in shared memory")]

use super::array::{Array, INHERITED};
use super::borrow::Purpose;
use super::plain::{self, Plain};
use super::store;
use crate::error::{Error, ErrorKind, Result};
use crate::forms::forms;
use core::ops::Deref;

impl<T: Plain> Array<T> {
    forms! {
        /// Makes the array read-only, for all processes and for ever, and gives its elements as a slice that needs no lock.
        ///
        /// Blocks as [`get`](Array::get). The handle itself, and all others, can still read.
        ///
        /// # Errors
        ///
        /// See [`Array`](Array#errors). Freezing again is none.
        ///
        /// # Examples
        ///
        /// ```
        /// use multiproc::{Array, FrozenArray, Process};
        ///
        /// let table = Array::from_slice(&[2, 3, 5, 7])?.freeze()?;
        /// let sum = |table: FrozenArray<u64>| table.iter().sum::<u64>();
        /// assert_eq!(Process::spawn(sum, (&table,))?.join()?, 17);
        /// # Ok::<(), multiproc::Error>(())
        /// ```
        pub fn freeze, try_freeze, freeze_timeout, freeze_deadline
        (&self; until) -> FrozenArray<T> {
            if self.is_frozen() {
                // What anybody left on the lock says nothing about elements that do not change any more.
                self.object.check()?;
                plain::check_all(self.first(), self.len())?;
                return Ok(FrozenArray { array: self.clone() });
            }
            let check = || {
                self.check_claims(Purpose::Read)?;
                plain::check_all(self.first(), self.len())
            };
            let (_section, ()) = self.guarded.enter(Purpose::Read, until, check)?;
            self.claims().freeze();
            Ok(FrozenArray { array: self.clone() })
        }
        try: Busy, is_busy, "another thread holds the lock"
    }
}

/// An [`Array`] that nobody writes to any more; made by [`Array::freeze`]. It is a slice of the elements, in place.
///
/// # Panics
///
/// Using it as a slice in a forked child that inherited it panics: the elements are its parent's.
#[derive(Clone)]
pub struct FrozenArray<T> {
    array: Array<T>,
}

impl<T: Plain> Deref for FrozenArray<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        assert!(self.array.object.is_current(), "{INHERITED}");
        // SAFETY:
        // - `len` elements from `first` were checked against the block, which is never unmapped, and lives as long as this
        //   handle; they are aligned;
        // - they were found to be values after the array was frozen, or under its lock before it; and nobody writes to a frozen
        //   array (I2 of the array).
        unsafe { core::slice::from_raw_parts(self.array.first(), self.array.len()) }
    }
}

impl<'a, T: Plain> IntoIterator for &'a FrozenArray<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> core::slice::Iter<'a, T> {
        self.iter()
    }
}

impl<T: Plain + core::fmt::Debug> core::fmt::Debug for FrozenArray<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.array.object.is_current() {
            f.debug_tuple("FrozenArray").field(&&**self).finish()
        } else {
            f.write_str("FrozenArray(<inherited over a fork>)")
        }
    }
}

impl<T: Plain> serde::Serialize for FrozenArray<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.array.serialize(serializer)
    }
}

impl<'de, T: Plain> serde::Deserialize<'de> for FrozenArray<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let array = Array::<T>::deserialize(deserializer)?;
        if !array.is_frozen() {
            return Err(store::refuse(Error::of(
                ErrorKind::Mismatch,
                "an array was opened as FrozenArray, and it is not frozen: call freeze() first",
            )));
        }
        plain::check_all(array.first(), array.len()).map_err(store::refuse)?;
        Ok(FrozenArray { array })
    }
}
