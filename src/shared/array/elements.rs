//! `Array`: many values of one type that processes share, as `multiprocessing.Array`, in a block of their own.
//!
//! # Layout
//!
//! The object's payload:
//!
//! ```text
//! 0   8  borrow      who touches the data ([`crate::shared::borrow`])                   under the lock
//! 8   4  block       the number of the block; 0: no bytes at all               the creator, once
//! 12  4  element     bytes of an element                                       the creator, once
//! 16  8  len         how many elements                                         the creator, once
//! 24  4  open        how many entries of the claims may be in use              under the lock
//! 28  4  frozen      1: nobody writes any more, for ever ([`crate::raw::claims`])                under the lock, once
//! 32  4  partitions  how many were made                                        under the lock
//! 36  4  holder      the process whose guard lends the elements out; 0: none   under the lock
//! ```
//!
//! The block, of which only pages that somebody touches take memory:
//!
//! ```text
//! 0            16 each  claims: as many as there are elements, at most 1,024 ([`crate::raw::claims`])
//! from there,           the elements
//! up to 64
//! ```
//!
//! # Protocol
//!
//! Everything takes the lock, as in [`crate::shared::borrow`], with a check of the claims before the data is touched. Under the lock no
//! claim begins; so whoever found none has the elements alone, and copies them at the speed of plain memory. A frozen array
//! is read without the lock: the flag is set under it, when nobody has anything borrowed or claimed, and never taken back.
//!
//! # Invariants
//!
//! - I1: the elements are written by the lock's holder, while no part is claimed; or by the owner of a claim, to its part.
//! - I2: a slice of them is lent out only by guards (of I1's writers), or after `frozen` is 1.
//! - I3: as long as `holder` names a process that is not gone, nobody else writes. The lock alone does not tell: its holder is a
//!   thread, while a slice may have been lent to others, which live on if the thread ends with its guard forgotten, and for a
//!   moment if the process is killed.
//!
//! # If a process dies
//!
//! - with the lock: as [`crate::shared::borrow`] says; with a claim: as [`crate::raw::claims`] says. Whoever finds a dead claim, and does
//!   not claim the same part, first poisons the array and then forgets the claim.
//! - with a guard: whoever recovers waits until the process is gone with all its threads (I3).
//! - freezing, before the flag is set: nothing happened, but that the lock is poisoned.

#![allow(unsafe_code, reason = "elements in shared memory")]

use crate::error::{Error, ErrorKind, Result};
use crate::forms::forms;
use crate::raw::claims::{Claim, Claims, Found};
use crate::shared::borrow::{Borrow, Guarded, Hold, Purpose, Section, half_written};
use crate::shared::plain::{self, Plain};
use crate::shared::store::{self, Kind, MemoryObject, Object, OfKind, Words};
use crate::sync::RLock;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::testing::{self, Broken};
use core::any::type_name;
use std::time::Duration;

/// How long at most somebody waits until the threads of a killed process have ended.
const DYING: Duration = Duration::from_millis(500);

/// What using a slice in a forked child panics with.
pub(crate) const INHERITED: &str = "a guard of an array was inherited over a fork, and its elements belong to the process that forked";

/// What the object holds.
#[repr(C)]
pub(crate) struct Payload {
    pub(super) borrow: Borrow,
    pub(super) block: AtomicU32,
    pub(super) element: AtomicU32,
    pub(super) len: AtomicU64,
    open: AtomicU32,
    frozen: AtomicU32,
    pub(crate) partitions: AtomicU32,
    holder: AtomicU32,
}

const _: () = assert!(size_of::<Payload>() == 40);

// SAFETY: a structure of atomics only.
unsafe impl Words for Payload {}
// SAFETY: a structure of atomics only.
unsafe impl Words for Claim {}

/// Objects that are arrays.
pub(crate) enum ArrayKind {}

impl OfKind for ArrayKind {
    const KIND: Kind = Kind::Array;

    fn block(object: &'static MemoryObject) -> Option<&'static AtomicU32> {
        Some(&object.view::<Payload>().block)
    }

    /// Claims stand in the block.
    fn may_hold(object: &'static MemoryObject) -> bool {
        object.view::<Payload>().open.load(Ordering::Relaxed) != 0
    }
}

/// Many values of one type that processes share, as Python's `multiprocessing.Array`.
///
/// The elements lie in one piece; every process sees them in place, and only pages that somebody writes to take memory.
/// Cloning gives another handle to the same array; handles travel as those of a [`Value`](crate::Value) do. There are three
/// ways to the elements:
///
/// - one by one or as copies of a range, each call under the lock: [`get`](Array::get), [`set`](Array::set),
///   [`read`](Array::read), [`write`](Array::write);
/// - as a slice, with the lock held: [`lock`](Array::lock);
/// - in parts, without a lock, by several processes at the same time: [`partition`](Array::partition), [`chunks`](Array::chunks).
///
/// And for reading alone, by everybody, for ever: [`freeze`](Array::freeze).
///
/// # When a process dies
///
/// If a process is killed, or a thread ends or panics, in the middle of writing or with a guard, all others are told with
/// [`is_owner_died`](crate::Error::is_owner_died) until [`recover`](Array::recover)'s guard is dropped or the whole is written
/// ([`copy_from_slice`](Array::copy_from_slice), [`fill`](Array::fill)). A part that a dead process had claimed is free again; what it left of
/// it is told in the same way, until the same part was claimed again and given back.
///
/// # Errors
///
/// All calls that touch the elements:
///
/// - [`is_owner_died`](crate::Error::is_owner_died), see above;
/// - [`is_already_borrowed`](crate::Error::is_already_borrowed) if this thread has a guard of the whole;
/// - [`is_busy`](crate::Error::is_busy) while some process has claimed a part;
/// - [`is_invalid_input`](crate::Error::is_invalid_input) for an index or a range that is not in the array;
/// - [`is_permission_denied`](crate::Error::is_permission_denied) when writing to an array that is frozen;
/// - [`is_corrupted`](crate::Error::is_corrupted) if the bits read are no `T`.
///
/// # Examples
///
/// ```
/// use multiproc::{Array, Process};
///
/// fn double(numbers: Array<i32>) -> multiproc::Result<()> {
///     for number in numbers.lock()?.iter_mut() {
///         *number *= 2;
///     }
///     Ok(())
/// }
///
/// let numbers = Array::from_slice(&[1, 2, 3])?;
/// Process::spawn(double, (&numbers,))?.join()??;
/// assert_eq!(numbers.to_vec()?, [2, 4, 6]);
/// assert_eq!(numbers.read(1..)?, [4, 6]);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Array<T> {
    pub(crate) object: Object<ArrayKind>,
    pub(crate) guarded: Guarded,
    pub(crate) payload: &'static Payload,
    pub(super) claims: &'static [Claim],
    pub(super) data: *mut T,
    pub(super) len: usize,
}

// SAFETY: the elements are plain data in shared memory; who touches them is decided by the protocol, for threads as for
// processes.
unsafe impl<T> Send for Array<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Array<T> {}

impl<T: Plain> Array<T> {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    forms! {
        /// A copy of element `index`.
        ///
        /// Blocks while another live thread holds the lock; woken when it is released or its holder dies.
        ///
        /// # Errors
        ///
        /// See [`Array`](Array#errors).
        pub fn get, try_get, get_timeout, get_deadline(&self, index: usize; until) -> T {
            self.get_until(index, until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    fn get_until(&self, index: usize, until: Deadline) -> Result<T> {
        self.check_index(index)?;
        let _section = self.begin_reading(until)?;
        self.load(index)
    }

    forms! {
        /// Replaces element `index`.
        ///
        /// Blocks as [`get`](Array::get).
        ///
        /// # Errors
        ///
        /// See [`Array`](Array#errors).
        pub fn set, try_set, set_timeout, set_deadline
        (&self, index: usize, value: T; until) -> () {
            self.set_until(index, value, until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    fn set_until(&self, index: usize, value: T, until: Deadline) -> Result<()> {
        self.check_index(index)?;
        let _section = self.enter(Purpose::Write, until)?;
        self.store(index, value);
        Ok(())
    }

    forms! {
        /// Changes element `index` in place, under the lock; gives what `change` returns.
        ///
        /// Blocks as [`get`](Array::get). `change` works on a copy, which is written back. If it panics, the element is what it was
        /// before, and the array is poisoned, as in a death.
        ///
        /// # Errors
        ///
        /// See [`Array`](Array#errors).
        pub fn update, try_update, update_timeout, update_deadline
        [R](&self, index: usize, change: impl FnOnce(&mut T) -> R; until) -> R {
            self.update_until(index, change, until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    fn update_until<R>(
        &self,
        index: usize,
        change: impl FnOnce(&mut T) -> R,
        until: Deadline,
    ) -> Result<R> {
        self.check_index(index)?;
        /// Writes the element back, also when a panic keeps it from being changed.
        struct Element<'a, T: Plain> {
            array: &'a Array<T>,
            index: usize,
            value: T,
            hold: Hold<'a>,
        }
        impl<T: Plain> Drop for Element<'_, T> {
            fn drop(&mut self) {
                self.hold.end(|| self.array.store(self.index, self.value));
            }
        }
        let load = || self.load(index);
        let (section, value) = self.enter_if(Purpose::Guard, until, load)?;
        let hold = section.hold()?;
        let mut element = Element { array: self, index, value, hold };
        Ok(change(&mut element.value))
    }

    /// The lock of the array, as Python's `get_lock()`. While this thread holds it, every call costs no lock of its own.
    pub fn get_lock(&self) -> &RLock {
        self.guarded.lock()
    }

    fn check_index(&self, index: usize) -> Result<()> {
        if index < self.len {
            return Ok(());
        }
        Err(Error::of(
            ErrorKind::InvalidInput,
            format!("index {index} is out of range for an array of {} elements", self.len),
        ))
    }

    /// Reads an element; in a section that reads, or after freezing.
    pub(crate) fn load(&self, index: usize) -> Result<T> {
        // SAFETY:
        // - the callers have checked the index against the length, and that against the block;
        // - no process writes to the elements while this one reads (I1), and any bytes are a value of `Bits`.
        let bits = unsafe { self.data.cast::<T::Bits>().wrapping_add(index).read_unaligned() };
        plain::checked(bits)
    }

    /// Writes an element; in a section that writes.
    pub(crate) fn store(&self, index: usize, value: T) {
        // SAFETY:
        // - the callers have checked the index against the length, and that against the block;
        // - no other process touches the elements while this one writes (I1).
        unsafe { self.data.wrapping_add(index).write(value) };
    }

    /// The claims, for a check under the lock.
    pub(crate) fn claims(&self) -> Claims<'_> {
        let Payload { open, frozen, .. } = self.payload;
        Claims { entries: self.claims, open, frozen }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.claims().is_frozen()
    }

    pub(crate) fn first(&self) -> *mut T {
        self.data
    }

    /// Before reading: under the lock, or without if the array is frozen.
    pub(crate) fn begin_reading(&self, until: Deadline) -> Result<Option<Section<'_>>> {
        if self.is_frozen() {
            return self.object.check().map(|()| None);
        }
        let check = || self.check_claims(Purpose::Read);
        self.guarded.enter(Purpose::Read, until, check).map(|(section, ())| Some(section))
    }

    /// Before anything else.
    pub(crate) fn enter(&self, purpose: Purpose, until: Deadline) -> Result<Section<'_>> {
        self.enter_if(purpose, until, || Ok(())).map(|(section, ())| section)
    }

    /// The same, if `check` finds nothing against it, which may read the elements.
    pub(crate) fn enter_if<R>(
        &self,
        purpose: Purpose,
        until: Deadline,
        check: impl FnOnce() -> Result<R>,
    ) -> Result<(Section<'_>, R)> {
        self.guarded.enter(purpose, until, || {
            self.check_whole(purpose, until)?;
            check()
        })
    }

    /// Under the lock: refuses where the elements are not one's to write to.
    pub(crate) fn check_whole(&self, purpose: Purpose, until: Deadline) -> Result<()> {
        self.check_frozen()?;
        self.check_holder(purpose, until)?;
        self.check_claims(purpose)
    }

    pub(crate) fn check_frozen(&self) -> Result<()> {
        if !self.is_frozen() {
            return Ok(());
        }
        Err(Error::of(
            ErrorKind::PermissionDenied,
            "the array is frozen: it can be read, and nobody can write to it any more",
        ))
    }

    /// Under the lock, which was a dead thread's: refuses as long as its process may have slices of the elements (I3). A killed
    /// process is gone in a moment, and waited for; a live one has forgotten a guard.
    pub(crate) fn check_holder(&self, purpose: Purpose, until: Deadline) -> Result<()> {
        let holder = self.payload.holder.load(Ordering::Relaxed);
        if holder == 0 || !purpose.takes_all() {
            return Ok(());
        }
        let enough = until.earlier(Deadline::after(DYING));
        while !self.object.is_gone(holder) {
            if holder == self.object.process() || enough.is_over() {
                return Err(Error::of(
                    ErrorKind::Busy,
                    "a thread has ended and left a guard of the array behind, in a process that lives: the array stays borrowed until that process ends",
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.payload.holder.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// A guard begins, or ends. Under the lock.
    pub(crate) fn set_holder(&self, holder: u32) {
        self.payload.holder.store(holder, Ordering::Relaxed);
    }

    /// Under the lock: refuses while a part is claimed, or was left half written.
    pub(crate) fn check_claims(&self, purpose: Purpose) -> Result<()> {
        let claims = self.claims();
        match claims.check(|owner| self.object.is_gone(owner)) {
            Found::Nobody => Ok(()),
            Found::Live => Err(Error::of(
                ErrorKind::Busy,
                "a part of the array is claimed by a process: use the whole when all parts are given back",
            )),
            Found::Dead => {
                self.settle_dead_claims();
                let goes_on = matches!(purpose, Purpose::Overwrite | Purpose::Recover)
                    || testing::is_broken(Broken::DeadClaimsForgotten);
                if goes_on { Ok(()) } else { Err(half_written()) }
            }
        }
    }

    /// From now on the poison tells what the claims of the dead have told.
    pub(crate) fn settle_dead_claims(&self) {
        let poison = || {
            if !testing::is_broken(Broken::DeadClaimsForgotten) {
                self.guarded.poison();
            }
        };
        self.claims().settle_dead(|owner| self.object.is_gone(owner), poison);
    }
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Array<T> {
        Array {
            object: self.object.clone(),
            guarded: self.guarded.clone(),
            payload: self.payload,
            claims: self.claims,
            data: self.data,
            len: self.len,
        }
    }
}

impl<T: Plain + core::fmt::Debug> core::fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut text = f.debug_struct("Array");
        match self.try_to_vec() {
            Ok(values) => text.field("values", &values),
            Err(error) => {
                text.field("len", &self.len).field("values", &format_args!("<{:?}>", error.kind()))
            }
        };
        text.field("frozen", &self.is_frozen())
            .field("half_written", &self.guarded.is_left_half_written())
            .field("lock", self.get_lock())
            .finish()
    }
}

impl<T: Plain> serde::Serialize for Array<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (type_name::<T>(), self.get_lock(), &self.object).serialize(serializer)
    }
}

impl<'de, T: Plain> serde::Deserialize<'de> for Array<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Array<T>, D::Error> {
        let (name, lock, object) = <(String, RLock, Object<ArrayKind>)>::deserialize(deserializer)?;
        store::check_name::<T, _>("Array", &name)?;
        Array::attach(object, lock).map_err(store::refuse)
    }
}
