//! Ranges of an array as copies: one lock and one copy each, at the speed of plain memory.

#![allow(unsafe_code, reason = "elements in shared memory")]

use crate::error::{Error, ErrorKind, Result};
use crate::forms::forms;
use crate::shared::array::elements::Array;
use crate::shared::borrow::Purpose;
use crate::shared::plain::{self, Plain};
use crate::sys::clock::Deadline;
use core::ops::{Bound, Range, RangeBounds};

impl<T: Plain> Array<T> {
    forms! {
        /// A copy of a range of the elements: `array.read(2..5)`, `array.read(..)`.
        ///
        /// Blocks as [`get`](Array::get).
        ///
        /// # Errors
        ///
        /// See [`Array`](Array#errors).
        pub fn read, try_read, read_timeout, read_deadline
        (&self, range: impl RangeBounds<usize>; until) -> Vec<T> {
            self.read_until(range, until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    fn read_until(&self, range: impl RangeBounds<usize>, until: Deadline) -> Result<Vec<T>> {
        let range = self.resolve(&range)?;
        let mut values = Vec::new();
        values.try_reserve_exact(range.len()).map_err(|_| {
            Error::of(
                ErrorKind::OutOfMemory,
                format!("no memory for a copy of {} elements: read them in parts", range.len()),
            )
        })?;
        let section = self.begin_reading(until)?;
        // SAFETY:
        // - the range was checked against the length, and that against the block; `values` has room for it;
        // - no process writes to the elements while this one reads (I1 of the array).
        unsafe {
            core::ptr::copy_nonoverlapping(
                self.first().wrapping_add(range.start),
                values.as_mut_ptr(),
                range.len(),
            );
        }
        drop(section);
        plain::check_all(values.as_ptr(), range.len())?;
        // SAFETY: so many elements were just copied, and found to be values.
        unsafe { values.set_len(range.len()) };
        Ok(values)
    }

    forms! {
        /// Copies all elements into `to`, which has as many.
        ///
        /// Blocks as [`get`](Array::get).
        ///
        /// # Errors
        ///
        /// [`is_invalid_input`](crate::Error::is_invalid_input) if `to` has another length; else see [`Array`](Array#errors).
        pub fn copy_to_slice, try_copy_to_slice, copy_to_slice_timeout, copy_to_slice_deadline
        (&self, to: &mut [T]; until) -> () {
            self.copy_to_until(to, until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    fn copy_to_until(&self, to: &mut [T], until: Deadline) -> Result<()> {
        self.check_len(to.len())?;
        let section = self.begin_reading(until)?;
        // While nobody can write to them, the elements themselves are checked: `to` never holds what is no value.
        plain::check_all(self.first(), to.len())?;
        // SAFETY:
        // - the lengths are the same, and private memory does not overlap the block;
        // - no process writes to the elements while this one reads (I1 of the array).
        unsafe { core::ptr::copy_nonoverlapping(self.first(), to.as_mut_ptr(), to.len()) };
        drop(section);
        Ok(())
    }

    forms! {
        /// Replaces the elements from `start` on by these.
        ///
        /// Blocks as [`get`](Array::get).
        ///
        /// # Errors
        ///
        /// See [`Array`](Array#errors).
        pub fn write, try_write, write_timeout, write_deadline
        (&self, start: usize, values: &[T]; until) -> () {
            self.write_until(start, values, until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    fn write_until(&self, start: usize, values: &[T], until: Deadline) -> Result<()> {
        self.resolve(&(start..start.saturating_add(values.len())))?;
        let is_whole = values.len() == self.len();
        let purpose = if is_whole { Purpose::Overwrite } else { Purpose::Write };
        let _section = self.enter(purpose, until)?;
        // SAFETY:
        // - the range was checked against the length, and private memory does not overlap the block;
        // - no other process touches the elements while this one writes (I1 of the array).
        unsafe {
            core::ptr::copy_nonoverlapping(
                values.as_ptr(),
                self.first().wrapping_add(start),
                values.len(),
            );
        }
        Ok(())
    }

    forms! {
        /// Replaces all elements. It writes the whole array, so it also makes good what somebody left half written.
        ///
        /// Blocks as [`get`](Array::get).
        ///
        /// # Errors
        ///
        /// [`is_invalid_input`](crate::Error::is_invalid_input) if there are more or fewer values than elements; else see
        /// [`Array`](Array#errors).
        pub fn copy_from_slice, try_copy_from_slice, copy_from_slice_timeout, copy_from_slice_deadline
        (&self, values: &[T]; until) -> () {
            self.check_len(values.len())?;
            self.write_until(0, values, until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    forms! {
        /// Sets all elements to one value. It writes the whole array, as [`copy_from_slice`](Array::copy_from_slice) does.
        ///
        /// Blocks as [`get`](Array::get).
        ///
        /// # Errors
        ///
        /// See [`Array`](Array#errors).
        pub fn fill, try_fill, fill_timeout, fill_deadline(&self, value: T; until) -> () {
            let _section = self.enter(Purpose::Overwrite, until)?;
            (0..self.len()).for_each(|index| self.store(index, value));
            Ok(())
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    forms! {
        /// A copy of all elements.
        ///
        /// Blocks as [`get`](Array::get).
        ///
        /// # Errors
        ///
        /// See [`Array`](Array#errors).
        pub fn to_vec, try_to_vec, to_vec_timeout, to_vec_deadline(&self; until) -> Vec<T> {
            self.to_vec_until(until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    fn to_vec_until(&self, until: Deadline) -> Result<Vec<T>> {
        self.read_until(0..self.len(), until)
    }

    fn check_len(&self, len: usize) -> Result<()> {
        if len == self.len() {
            return Ok(());
        }
        Err(Error::of(
            ErrorKind::InvalidInput,
            format!("a slice of {len} elements does not match an array of {}", self.len()),
        ))
    }

    fn resolve(&self, range: &impl RangeBounds<usize>) -> Result<Range<usize>> {
        let start = match range.start_bound() {
            Bound::Included(&start) => Some(start),
            Bound::Excluded(&start) => start.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => end.checked_add(1),
            Bound::Excluded(&end) => Some(end),
            Bound::Unbounded => Some(self.len()),
        };
        match (start, end) {
            (Some(start), Some(end)) if start <= end && end <= self.len() => Ok(start..end),
            _ => Err(Error::of(
                ErrorKind::InvalidInput,
                format!(
                    "range {:?} to {:?} is not within an array of {} elements",
                    range.start_bound(),
                    range.end_bound(),
                    self.len()
                ),
            )),
        }
    }
}

/// Yields copies of an array's elements, taken all at once when it was made; see [`Array::into_iter`](Array#impl-IntoIterator-for-%26Array%3CT%3E).
#[derive(Debug)]
pub struct ArrayIntoIter<T> {
    values: std::vec::IntoIter<T>,
    error: Option<Error>,
}

impl<T> Iterator for ArrayIntoIter<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match self.error.take() {
            Some(error) => Some(Err(error)),
            None => self.values.next().map(Ok),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.values.len() + usize::from(self.error.is_some());
        (len, Some(len))
    }
}

impl<T> ExactSizeIterator for ArrayIntoIter<T> {}

/// Copies all elements under one lock, and yields them; or yields the error for which that was not possible.
impl<T: Plain> IntoIterator for &Array<T> {
    type Item = Result<T>;
    type IntoIter = ArrayIntoIter<T>;

    fn into_iter(self) -> ArrayIntoIter<T> {
        let (values, error) = match self.to_vec() {
            Ok(values) => (values, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        ArrayIntoIter { values: values.into_iter(), error }
    }
}
