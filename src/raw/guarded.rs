//! Guarded data: a lock and plain data in one cell, for shared memory that a library author has mapped.
//!
//! # Layout
//!
//! ```text
//! 0  8            lock   who holds the cell ([`super::lock`])                                THE TRUTH
//! 8  size of `T`  data   whole words of 64 bits, at the next multiple of the alignment        the holder
//! ```
//!
//! Zeroes are a free cell with data of zeroes.
//!
//! # Protocol
//!
//! Nobody ever has a reference to the data. 1. Take the lock. 2. Copy the data out, word by word. 3. The guard's user works on the
//! copy. 4. Copy it back. 5. Give the lock back.
//!
//! # If a process dies
//!
//! - before step 1, after step 5: nothing.
//! - in between: the lock names a dead thread, which is its poison: an error for all but those who recover. Up to step 3 the data is
//!   as it was; in step 4 each word is the old or the new one.

#![allow(unsafe_code, reason = "words of data in shared memory")]

use crate::error::Result;
use crate::liveness::Id;
use crate::raw::lock::RobustLock;
use crate::sys::atomic::AtomicU64;
use crate::sys::shared;
use bytemuck::{CheckedBitPattern, NoUninit};
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// A lock and plain data in one cell of shared memory; see [the module](crate::raw) for what the memory must be like.
///
/// It is used as a [`Value`](crate::Value) is: a guard has a private copy of the data, which is written back when the guard is
/// dropped. `Guarded<()>` is a lock alone, of 8 bytes. It waits, and costs, as a [`Lock`](crate::Lock) does.
///
/// # When the holder dies
///
/// As for [`Lock`](crate::Lock#when-the-holder-dies): all others get an error with [`is_owner_died`](crate::Error::is_owner_died) until
/// [`recover`](Guarded::recover) takes the cell and its guard is dropped. Data of up to 8 bytes is whole; of larger data each 8 bytes
/// are old or new.
///
/// # Examples
///
/// In a structure:
///
/// ```
/// use multiproc::raw::Guarded;
/// use multiproc::{Process, Shared, shared_type};
///
/// shared_type! {
///     struct Totals {
///         by_color: [Guarded<[u64; 2]>; 3],
///     }
/// }
///
/// fn add(totals: Shared<Totals>) -> multiproc::Result<()> {
///     totals.leak().by_color[1].lock()?[0] += 5;
///     Ok(())
/// }
///
/// let totals = Shared::new(Totals { by_color: [const { Guarded::new([0; 2]) }; 3] })?;
/// Process::spawn(add, (&totals,))?.join()??;
/// assert_eq!(*totals.leak().by_color[1].lock()?, [5, 0]);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// At a place in memory:
///
/// ```
/// use multiproc::SharedMemory;
/// use multiproc::raw::Guarded;
///
/// let memory = SharedMemory::new(size_of::<Guarded<[u32; 3]>>())?;
/// // SAFETY: the memory is of this process tree and never unmapped, zero at first, and used in no other way.
/// let cell = unsafe { Guarded::<[u32; 3]>::at(memory.as_ptr()) }?;
/// cell.lock()?[1] += 5;
/// assert_eq!(*cell.lock()?, [0, 5, 0]);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[repr(C, align(8))]
pub struct Guarded<T> {
    pub(crate) lock: RobustLock,
    data: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the lock is atomics; the data is accessed as atomics alone, by whoever holds the lock.
unsafe impl<T> Sync for Guarded<T> {}
// SAFETY: as above; plain data has no thread.
unsafe impl<T> Send for Guarded<T> {}

impl<T> Guarded<T> {
    /// The cell at a place in shared memory.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) if the place is null or not aligned to [`align_of`] this type.
    ///
    /// # Safety
    ///
    /// The [`size_of`] this type bytes from `place` on are as [the module](crate::raw) says.
    pub unsafe fn at(place: *mut u8) -> Result<&'static Guarded<T>> {
        shared::check_place(place, align_of::<Guarded<T>>())?;
        // SAFETY:
        // - not null, aligned, and mapped for as long as the process uses it, as the caller promises;
        // - any bytes are a value: atomics, and data that is in an `UnsafeCell` and maybe not initialised.
        Ok(unsafe { &*place.cast::<Guarded<T>>() })
    }

    /// The data as words.
    pub(crate) fn words(&'static self) -> &'static [AtomicU64] {
        const WORD: usize = size_of::<AtomicU64>();
        let first = self.data.get().cast::<AtomicU64>();
        // SAFETY:
        // - the data begins at a multiple of 8, and the cell's size is one: whole words are in the cell;
        // - all access is by these words, whatever a peer writes.
        unsafe { core::slice::from_raw_parts(first, size_of::<T>().div_ceil(WORD)) }
    }
}

impl<T: CheckedBitPattern + NoUninit + 'static> Guarded<T> {
    /// A free cell with this data, for a structure in a [`Shared`](crate::Shared). The data has whole words, of 8 bytes, which is
    /// checked when it is compiled; a cell at [a place](Guarded::at) can have data of any size.
    pub const fn new(value: T) -> Guarded<T> {
        const { assert!(size_of::<T>().is_multiple_of(8), "the data has whole words of 8 bytes") };
        Guarded {
            lock: crate::raw::words::Lock::new().lock,
            data: UnsafeCell::new(MaybeUninit::new(value)),
        }
    }
}

impl<T> core::fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Guarded")
            .field("held", &self.lock.owner().is_some())
            .field("waiters", &self.lock.has_waiters())
            .finish_non_exhaustive()
    }
}

/// The data of a held [`Guarded`] cell; dropping it writes the data back and releases the cell.
///
/// It belongs to the thread that locked. One that is forgotten keeps the cell until its thread ends, and then counts as a death.
#[must_use = "the cell is released as soon as the guard is dropped"]
pub struct Guard<T: CheckedBitPattern + NoUninit + 'static> {
    pub(crate) cell: &'static Guarded<T>,
    pub(crate) value: T,
    pub(crate) me: Id,
    /// The poison goes with the guard.
    pub(crate) recovered: bool,
    pub(crate) not_send: PhantomData<*const ()>,
}

impl<T: CheckedBitPattern + NoUninit + 'static> core::ops::Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: CheckedBitPattern + NoUninit + 'static> core::ops::DerefMut for Guard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: CheckedBitPattern + NoUninit + 'static + core::fmt::Debug> core::fmt::Debug for Guard<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Guard").field(&self.value).finish()
    }
}
