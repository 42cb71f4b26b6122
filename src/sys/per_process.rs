//! Private state over a fork: a forked process starts anew, whatever other threads were doing.
//!
//! `fork` copies memory as it stands: a lock that another thread of the parent holds at that moment stays locked for ever in
//! the child, and so does a once-cell that another thread is filling. Two forms of state avoid that:
//!
//! - [`PerProcess`]: a value that each process makes for itself. A forked process finds its parent's, leaves it alone, and
//!   makes a new one. Locks inside it are new, too. (Locks of the standard library: their state is in the lock. Those of
//!   `parking_lot` keep a table for the whole process, which a fork copies half-changed.)
//! - [`SetOnce`]: a value that never changes and is the same after a fork. Whoever comes first sets it; nobody waits for anybody.
//!
//! Neither frees what it once showed to anyone; a forked process leaks one value of its parent's.
//!
//! # How a process is told from its parent
//!
//! [`process`] gives a number that no ancestor had. It stands in memory that the kernel wipes in a forked process
//! ([`wiped_on_fork`]): who finds it wiped takes the next number of a count, which fork copies. Where the kernel refuses
//! such memory, it is the process id, which an ancestor that is gone may have had.
//!
//! Sources: `fork(2)`, `madvise(2)` (`MADV_WIPEONFORK`).

#![allow(unsafe_code, reason = "one private mapping, pointers to values that are never freed")]

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::sys::system::wipe_on_fork;

/// The word that fork wipes, which holds the number that [`process`] gives: the first of the first mapping. Null before that.
static WORD: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// What the word takes of its mapping.
const LINE: usize = 64;

/// Zeroed private memory that reads as zero again in a forked child, and is never freed. It begins at a cache line.
///
/// Where the kernel refuses `MADV_WIPEONFORK` (before 4.14) it answers an error.
pub(crate) fn wiped_on_fork(len: usize) -> io::Result<*mut u8> {
    let mut map = memmap2::MmapOptions::new().len(LINE + len).map_anon()?;
    let start = map.as_mut_ptr();
    wipe_on_fork(&mut map)?;
    core::mem::forget(map);
    // In the page of something else that every process has: a page of its own would be one fault more in each of them.
    let _ =
        WORD.compare_exchange(ptr::null_mut(), start.cast(), Ordering::AcqRel, Ordering::Acquire);
    Ok(start.wrapping_add(LINE))
}

/// A number that this process has, and none of its ancestors.
pub(crate) fn process() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(1);

    if WORD.load(Ordering::Acquire).is_null() && wiped_on_fork(0).is_err() {
        return u64::from(std::process::id());
    }
    let word = WORD.load(Ordering::Acquire);
    // SAFETY: the beginning of a mapping that is never unmapped; zero, which it holds now and after a fork, is a value.
    let word = unsafe { &*word };
    let number = word.load(Ordering::Relaxed);
    if number != 0 {
        return number;
    }
    // ORDERING: Relaxed: only the number itself matters. Two threads may take one each; the first to store it is heard.
    let next = COUNT.fetch_add(1, Ordering::Relaxed);
    match word.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => next,
        Err(first) => first,
    }
}

struct Made<T> {
    /// By which process.
    by: u64,
    value: T,
}

/// A value of which each process has its own.
pub(crate) struct PerProcess<T>(AtomicPtr<Made<T>>);

impl<T: Default + Send + Sync + 'static> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess(AtomicPtr::new(ptr::null_mut()))
    }

    /// This process's value, if it has made one.
    pub(crate) fn get(&self) -> Option<&T> {
        let made = self.0.load(Ordering::Acquire);
        // SAFETY: null, or a box that was leaked once it was fully made, before the Release store below.
        unsafe { made.as_ref() }.filter(|made| made.by == process()).map(|made| &made.value)
    }

    /// This process's value, made if there is none. Waits for nobody: of two threads that make one, the first is heard.
    pub(crate) fn get_or_make(&self) -> &T {
        loop {
            let before = self.0.load(Ordering::Acquire);
            if let Some(value) = self.get() {
                return value;
            }
            let new = Box::into_raw(Box::new(Made { by: process(), value: T::default() }));
            // ORDERING: Release: the value before the pointer.
            let set =
                self.0.compare_exchange(before, new, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if !set {
                // SAFETY: made above, and shown to nobody.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }
}

/// A value that is set once and is the same in forked processes, unless they replace it.
pub(crate) struct SetOnce<T>(AtomicPtr<T>);

impl<T: Send + Sync + 'static> SetOnce<T> {
    pub(crate) const fn new() -> SetOnce<T> {
        SetOnce(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn get(&self) -> Option<&'static T> {
        let value = self.0.load(Ordering::Acquire);
        // SAFETY: null, or a box that was leaked once it was fully made, before the Release store below.
        unsafe { value.as_ref() }
    }

    /// The value; `make` is called if there is none, and its outcome is dropped if another thread was faster.
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> T) -> &'static T {
        self.get().unwrap_or_else(|| self.set(make()))
    }

    /// Sets another value. Whoever has the one before keeps it.
    pub(crate) fn replace(&self, value: T) {
        // ORDERING: Release: the value before the pointer.
        self.0.store(Box::into_raw(Box::new(value)), Ordering::Release);
    }

    /// Sets the value unless there is one; the one there is.
    pub(crate) fn set(&self, value: T) -> &'static T {
        let new = Box::into_raw(Box::new(value));
        // ORDERING: Release: the value before the pointer.
        let set =
            self.0.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
        let value = match set {
            Ok(_) => new,
            Err(first) => {
                // SAFETY: made above, and shown to nobody.
                drop(unsafe { Box::from_raw(new) });
                first
            }
        };
        // SAFETY: set, so not null, and never freed.
        unsafe { &*value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_process_keeps_its_number_and_its_value() {
        static VALUE: PerProcess<Mutex<u32>> = PerProcess::new();
        assert_eq!(process(), process());
        assert!(VALUE.get().is_none());
        *VALUE.get_or_make().lock().unwrap() = 7;
        assert_eq!(*VALUE.get().unwrap().lock().unwrap(), 7);
    }

    #[test]
    fn the_first_to_set_is_heard() {
        static VALUE: SetOnce<u32> = SetOnce::new();
        assert!(VALUE.get().is_none());
        assert_eq!(*VALUE.get_or_make(|| 1), 1);
        assert_eq!(*VALUE.get_or_make(|| unreachable!()), 1);
        assert_eq!(*VALUE.set(2), 1);
    }

    #[test]
    fn a_forked_process_starts_anew_while_the_lock_is_held() {
        static VALUE: PerProcess<Mutex<u32>> = PerProcess::new();
        let held = VALUE.get_or_make().lock().unwrap();
        let parent = process();
        // SAFETY: the child makes no call that another thread's lock could hold up, and leaves by `_exit`.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            let new = VALUE.get().is_none()
                && process() != parent
                && VALUE.get_or_make().try_lock().is_ok();
            // SAFETY: ends the process; nothing follows.
            unsafe { libc::_exit(i32::from(!new)) };
        }
        let mut status = 0;
        // SAFETY: `status` is valid to write.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(status, 0);
        drop(held);
    }
}
