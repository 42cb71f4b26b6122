//! A claimed part of an array: a slice of its elements, in place. What a claim is: [`crate::raw::claims`].

#![allow(unsafe_code, reason = "elements in shared memory")]

use super::array::{Array, INHERITED};
use super::plain::Plain;
use core::ops::{Deref, DerefMut, Range};

/// A claimed [`ArrayPart`](crate::ArrayPart): a slice of its elements, in place. Dropping it gives the claim back.
///
/// It belongs to the process, not to a thread. A guard that is forgotten keeps the claim until the process ends. If a panic
/// goes through it, the claim is given back as after any other end.
///
/// # Panics
///
/// Using it in a forked child that inherited it panics: the elements are its parent's.
#[must_use = "the claim is given back as soon as the guard is dropped"]
pub struct PartGuard<'a, T: Plain> {
    pub(super) array: &'a Array<T>,
    pub(super) range: Range<usize>,
    /// The entry of the claim; `None` for an empty part.
    pub(super) entry: Option<usize>,
    /// The process that has claimed it.
    pub(super) me: u32,
    pub(super) is_taken_over: bool,
}

impl<T: Plain> PartGuard<'_, T> {
    /// Which elements of the array these are.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Whether another process died while it had this part claimed, so that its elements may be half written.
    pub fn is_taken_over(&self) -> bool {
        self.is_taken_over
    }

    /// Where they start.
    pub(super) fn first(&self) -> *mut T {
        self.array.first().wrapping_add(self.range.start)
    }

    fn is_mine(&self) -> bool {
        self.array.object.is_current()
    }
}

impl<T: Plain> Deref for PartGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        assert!(self.is_mine(), "{INHERITED}");
        // SAFETY:
        // - the range is within the array, whose elements were checked against the block, which is never unmapped;
        // - they were found to be values when the guard was made, and no other process touches them until it is dropped: it
        //   has the claim (I1 of the claims), and all other uses of the array are refused meanwhile.
        unsafe { core::slice::from_raw_parts(self.first(), self.range.len()) }
    }
}

impl<T: Plain> DerefMut for PartGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        assert!(self.is_mine(), "{INHERITED}");
        // SAFETY:
        // - as in `deref`;
        // - no element is in two claimed parts, in this process or in two (I1 of the claims), and the guard is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.first(), self.range.len()) }
    }
}

impl<T: Plain> Drop for PartGuard<'_, T> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.filter(|_| self.is_mine()) {
            self.array.claims().release(entry, self.me);
        }
    }
}

impl<T: Plain + core::fmt::Debug> core::fmt::Debug for PartGuard<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut text = f.debug_struct("PartGuard");
        text.field("range", &self.range);
        if self.is_mine() {
            text.field("values", &&**self).finish()
        } else {
            text.field("values", &format_args!("<inherited over a fork>")).finish()
        }
    }
}
