//! The whole array as a slice, with its lock held.

#![allow(unsafe_code, reason = "elements in shared memory")]

use crate::error::Result;
use crate::forms::forms;
use crate::shared::array::elements::{Array, INHERITED};
use crate::shared::borrow::{Hold, Purpose};
use crate::shared::plain::{self, Plain};
use crate::sync::{Depth, LetGo, WaitGuard};
use crate::sys::clock::Deadline;
use core::ops::{Deref, DerefMut};

impl<T: Plain> Array<T> {
    forms! {
        /// Borrows all elements in place for as long as the guard lives, and holds the lock meanwhile.
        ///
        /// Blocks as [`get`](Array::get).
        ///
        /// # Errors
        ///
        /// See [`Array`](Array#errors).
        pub fn lock, try_lock, lock_timeout, lock_deadline(&self; until) -> ArrayGuard<'_, T> {
            self.lock_until(until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    fn lock_until(&self, until: Deadline) -> Result<ArrayGuard<'_, T>> {
        self.guard(Purpose::Guard, until)
    }

    forms! {
        /// As [`lock`](Array::lock), although somebody died, or panicked, in the middle of writing.
        ///
        /// The poison goes when the guard is dropped, that of the lock with it. If the guard's thread dies too, or panics, it stays.
        /// Waits until all threads of a killed process have ended.
        ///
        /// # Errors
        ///
        /// See [`Array`](Array#errors), but for the owner's death; [`is_busy`](crate::Error::is_busy) also if the owner is a thread
        /// that ended and forgot its guard, in a process that lives.
        pub fn recover, try_recover, recover_timeout, recover_deadline
        (&self; until) -> ArrayGuard<'_, T> {
            self.recover_until(until)
        }
        try: Busy, is_busy, "another live thread holds the lock"
    }

    fn recover_until(&self, until: Deadline) -> Result<ArrayGuard<'_, T>> {
        self.guard(Purpose::Recover, until)
    }

    fn guard(&self, purpose: Purpose, until: Deadline) -> Result<ArrayGuard<'_, T>> {
        let (section, ()) = self.enter_if(purpose, until, || self.check_values())?;
        let hold = section.hold()?;
        // Before anything is lent out (I3 of the array).
        self.set_holder(self.object.process());
        Ok(ArrayGuard { array: self, hold })
    }

    fn check_values(&self) -> Result<()> {
        plain::check_all(self.first(), self.len())
    }
}

/// A borrowed [`Array`]: a slice of its elements, in place. Dropping it releases the lock.
///
/// It belongs to the thread that locked. A guard that is forgotten keeps the lock until its thread ends, which then counts as a
/// death, and keeps everybody from the elements until its process ends: slices of them may have been lent to other threads.
///
/// # Panics
///
/// Using it in a forked child that inherited it panics: the elements are its parent's.
///
/// ```compile_fail,E0277
/// let array = multiproc::Array::from_slice(&[1, 2])?;
/// let guard = array.lock()?;
/// std::thread::scope(|scope| scope.spawn(move || drop(guard)).join());
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct ArrayGuard<'a, T: Plain> {
    array: &'a Array<T>,
    hold: Hold<'a>,
}

impl<T: Plain> ArrayGuard<'_, T> {
    /// How many elements it lends out: none, if it let go of them and could not have them back.
    #[inline]
    fn lent(&self) -> usize {
        if self.hold.is_spoiled() { 0 } else { self.array.len() }
    }
}

impl<T: Plain> LetGo for ArrayGuard<'_, T> {
    fn may_let_go(&self) -> Result<u32> {
        self.hold.may_let_go()
    }

    fn let_go(&mut self) -> Depth {
        self.hold.let_go(|| self.array.set_holder(0))
    }

    fn take_again(&mut self, depth: Depth) -> Result<()> {
        let array = self.array;
        self.hold.take_again(depth, || {
            array.check_whole(Purpose::Guard, Deadline::NEVER)?;
            array.check_values()
        })?;
        array.set_holder(array.object.process());
        Ok(())
    }
}

impl<T: Plain> WaitGuard for ArrayGuard<'_, T> {
    type Data = [T];

    fn data(&mut self) -> &mut [T] {
        self
    }
}

impl<T: Plain> Deref for ArrayGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        assert!(self.hold.is_mine(), "{INHERITED}");
        // SAFETY:
        // - `len` elements from `first` were checked against the block, which is never unmapped; aligned as `layout` says;
        // - they were found to be values when the guard was made, and no other process touches them until it is dropped
        //   (I1 of the array): the lock is held, and this process is the one that holds it.
        unsafe { core::slice::from_raw_parts(self.array.first(), self.lent()) }
    }
}

impl<T: Plain> DerefMut for ArrayGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        assert!(self.hold.is_mine(), "{INHERITED}");
        // SAFETY:
        // - as in `deref`;
        // - there is one guard at a time in all processes, and it is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.array.first(), self.lent()) }
    }
}

impl<T: Plain> Drop for ArrayGuard<'_, T> {
    fn drop(&mut self) {
        if self.hold.is_mine() && !self.hold.is_spoiled() {
            self.array.set_holder(0);
        }
        self.hold.end(|| ());
    }
}

impl<T: Plain + core::fmt::Debug> core::fmt::Debug for ArrayGuard<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.hold.is_mine() {
            f.debug_tuple("ArrayGuard").field(&&**self).finish()
        } else {
            f.write_str("ArrayGuard(<inherited over a fork>)")
        }
    }
}
