//! How an array is made, and how a handle that has arrived finds it.

#![allow(unsafe_code, reason = "elements in shared memory")]

use crate::error::{Error, ErrorKind, Result};
use crate::raw::claims::Claim;
use crate::shared::array::elements::{Array, ArrayKind, Payload};
use crate::shared::borrow::Guarded;
use crate::shared::plain::Plain;
use crate::shared::store::Object;
use crate::sync::RLock;
use crate::sys::atomic::Ordering;
use core::any::type_name;

/// At most so many parts are claimed at the same time.
const CLAIMS: usize = 1024;

/// How a block for so many elements is divided: claims, where the elements start, and bytes in all.
fn layout<T>(len: usize) -> Result<(usize, usize, usize)> {
    const { assert!(align_of::<T>() <= 64, "elements of an array are aligned to 64 bytes at most") };
    let claims = len.min(CLAIMS);
    let start = (claims * size_of::<Claim>()).next_multiple_of(64);
    let total = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(start));
    let Some(total) = total else {
        return Err(Error::of(
            ErrorKind::TooLarge,
            format!("{len} elements of {} bytes are more than any memory has", size_of::<T>()),
        ));
    };
    Ok((claims, start, total))
}

impl<T: Plain> Array<T> {
    /// Makes an array of these values, with a lock of its own, gone with its last user.
    ///
    /// # Errors
    ///
    /// [`is_too_large`](crate::Error::is_too_large) if it is more than the memory of this machine or control group leaves;
    /// [`is_limit`](crate::Error::is_limit) if it is more than `ulimit -f` allows; or if this process cannot get shared memory.
    pub fn from_slice(values: &[T]) -> Result<Array<T>> {
        Array::builder(values).build()
    }

    /// Makes an array of `len` zeros. However large it is, only what is touched later takes memory.
    ///
    /// # Errors
    ///
    /// As [`from_slice`](Array::from_slice).
    pub fn zeroed(len: usize) -> Result<Array<T>>
    where
        T: bytemuck::Zeroable,
    {
        let array: Array<T> = Array::create(len, None)?;
        array.object.clear(layout::<T>(len)?.2)?;
        Ok(array)
    }

    /// Makes an array whose element `i` is `make(i)`.
    ///
    /// # Errors
    ///
    /// As [`from_slice`](Array::from_slice).
    pub fn from_fn(len: usize, mut make: impl FnMut(usize) -> T) -> Result<Array<T>> {
        let array: Array<T> = Array::create(len, None)?;
        array.clear_claims()?;
        for index in 0..len {
            let value = make(index);
            // SAFETY:
            // - `index` is below `len`, for which the block was made;
            // - nobody else has a handle yet.
            unsafe { array.data.wrapping_add(index).write(value) };
        }
        Ok(array)
    }

    /// For an array that shares its lock with others.
    pub fn builder(values: &[T]) -> ArrayBuilder<'_, T> {
        ArrayBuilder { values, lock: None }
    }

    /// Everything but the contents of the block.
    fn create(len: usize, lock: Option<RLock>) -> Result<Array<T>> {
        let (_, _, total) = layout::<T>(len)?;
        let mut object = Object::<ArrayKind>::create()?;
        let payload: &Payload = object.view();
        if total > 0 {
            object.make_block(total)?;
        }
        payload.element.store(size_of::<T>() as u32, Ordering::Relaxed);
        payload.len.store(len as u64, Ordering::Relaxed);
        let guarded = Guarded::create(&payload.borrow, lock)?;
        Array::from_parts(object, guarded)
    }

    pub(super) fn attach(mut object: Object<ArrayKind>, lock: RLock) -> Result<Array<T>> {
        let payload: &Payload = object.view();
        let element = payload.element.load(Ordering::Relaxed) as usize;
        if element != size_of::<T>() {
            return Err(Error::of(
                ErrorKind::Mismatch,
                format!(
                    "an array was opened as Array<{}> with elements of {} bytes, its elements have {element}",
                    type_name::<T>(),
                    size_of::<T>()
                ),
            ));
        }
        let (_, _, total) = layout::<T>(payload.len.load(Ordering::Relaxed) as usize)?;
        if total > 0 {
            object.find_block(total)?;
        }
        let guarded = Guarded::attach(&payload.borrow, lock)?;
        Array::from_parts(object, guarded)
    }

    /// The length is read here for the last time, and checked against the block: what a peer writes later changes nothing.
    fn from_parts(object: Object<ArrayKind>, guarded: Guarded) -> Result<Array<T>> {
        let payload: &Payload = object.view();
        let len = payload.len.load(Ordering::Relaxed) as usize;
        let (claims, start, total) = layout::<T>(len)?;
        if total > object.capacity() {
            return Err(Error::of(
                ErrorKind::Corrupted,
                format!(
                    "shared memory is corrupted: an array of {len} elements does not fit its block"
                ),
            ));
        }
        // SAFETY:
        // - the claims are at the start of the block, which was just found to be large enough, aligned, and never unmapped;
        // - they are atomics: any bytes are values. Without a block there are none.
        let claims = unsafe { core::slice::from_raw_parts(object.base().cast::<Claim>(), claims) };
        let data = object.base().wrapping_add(start).cast::<T>();
        Ok(Array { object, guarded, payload, claims, data, len })
    }

    /// No part is claimed; in a new array, whose block may have been another's.
    fn clear_claims(&self) -> Result<()> {
        self.object.clear(size_of_val(self.claims))
    }
}

/// How an [`Array`] is to be made; see [`Array::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct ArrayBuilder<'a, T> {
    values: &'a [T],
    lock: Option<RLock>,
}

impl<T: Plain> ArrayBuilder<'_, T> {
    /// Puts the array under this lock, which may guard other objects, too.
    ///
    /// Writing the whole array then leaves the poison of a dead holder on the lock, because other objects may be half written; it
    /// goes with [`Array::recover`], or with that of the lock.
    pub fn lock(mut self, lock: &RLock) -> Self {
        self.lock = Some(lock.clone());
        self
    }

    /// Makes the array.
    ///
    /// # Errors
    ///
    /// As [`Array::from_slice`].
    pub fn build(self) -> Result<Array<T>> {
        let array: Array<T> = Array::create(self.values.len(), self.lock)?;
        array.clear_claims()?;
        // SAFETY:
        // - the block was made for so many elements, and private memory does not overlap it;
        // - nobody else has a handle yet.
        unsafe {
            core::ptr::copy_nonoverlapping(self.values.as_ptr(), array.data, self.values.len());
        }
        Ok(array)
    }
}
