//! Sleeping on a word that other processes map too.
//!
//! Never with `FUTEX_PRIVATE_FLAG`: across two mappings such a wake reaches nobody. Deadlines are absolute and
//! monotonic. A signal, a spurious wake and a changed word all return to the caller, who checks again.
//!
//! On other systems than Linux, and with the feature `raw-sync`, `sys/portable.rs` is in the place of the kernel's futex.

#![allow(unsafe_code, reason = "system calls on raw words")]

use crate::sys::atomic::AtomicU32;
use crate::sys::clock::Deadline;
use crate::sys::sleep::Sleep;

#[cfg(any(feature = "raw-sync", not(target_os = "linux")))]
use crate::sys::portable::{self as backend, Portable as Backend};
#[cfg(not(any(feature = "raw-sync", not(target_os = "linux"))))]
use kernel::{self as backend, Kernel as Backend};

pub(crate) use backend::{has_wait_any, wait_any};

/// Sleeps while `*word == expected`, until woken or `until`.
///
/// Returns for any reason: the caller checks again and decides.
pub(crate) fn wait(word: &AtomicU32, expected: u32, until: Deadline) {
    Backend::wait(word, expected, until);
}

/// Wakes at most `count` sleepers on `word` in any process, or more; 0 if there was none.
pub(crate) fn wake(word: &AtomicU32, count: u32) -> u32 {
    Backend::wake(word, count)
}

/// Wakes everyone who sleeps on `word`.
pub(crate) fn wake_all(word: &AtomicU32) -> u32 {
    wake(word, u32::MAX)
}

/// Linux's futex.
#[cfg(not(any(feature = "raw-sync", not(target_os = "linux"))))]
mod kernel {
    use crate::sys::atomic::AtomicU32;
    use crate::sys::clock::Deadline;
    use crate::sys::sleep::Sleep;
    use std::io;

    pub(super) enum Kernel {}

    impl Sleep for Kernel {
        #[inline]
        fn wait(word: &AtomicU32, expected: u32, until: Deadline) {
            let time = until.timespec();
            let time = time.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
            // SAFETY:
            // - `word` is a live, aligned word; the kernel only reads it, atomically;
            // - `time` is null or points to a timespec that outlives the call;
            // - whatever another process writes to the word only makes the call return.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    word.as_ptr(),
                    libc::FUTEX_WAIT_BITSET,
                    expected,
                    time,
                    core::ptr::null::<u32>(),
                    libc::FUTEX_BITSET_MATCH_ANY,
                )
            };
        }

        #[inline]
        fn wake(word: &AtomicU32, count: u32) -> u32 {
            let count = count.min(i32::MAX as u32);
            // SAFETY:
            // - the kernel uses the address of `word` only as a key and does not touch the memory;
            // - a sleeper that dies meanwhile is simply not counted.
            let woken =
                unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
            u32::try_from(woken).unwrap_or(0)
        }
    }

    /// `struct futex_waitv` of the kernel.
    #[repr(C)]
    struct WaitV {
        value: u64,
        address: u64,
        flags: u32,
        reserved: u32,
    }

    /// `FUTEX2_SIZE_U32`, and no private flag.
    const SIZE_U32: u32 = 2;

    /// Sleeps while every word still has its value; returns when one was woken or changed, or at `until`.
    pub(crate) fn wait_any(words: &[(&AtomicU32, u32)], until: Deadline) {
        const MOST: usize = 4;
        let mut list =
            [const { WaitV { value: 0, address: 0, flags: SIZE_U32, reserved: 0 } }; MOST];
        let count = words.len().min(MOST);
        for (entry, (word, value)) in list.iter_mut().zip(words) {
            entry.value = u64::from(*value);
            entry.address = word.as_ptr() as u64;
        }
        let time = until.timespec();
        let time = time.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY:
        // - `list` holds `count` initialised entries whose words outlive the call;
        // - `time` is null or a timespec that outlives the call.
        unsafe {
            libc::syscall(
                libc::SYS_futex_waitv,
                list.as_ptr(),
                count,
                0,
                time,
                libc::CLOCK_MONOTONIC,
            )
        };
    }

    /// Whether the kernel has `futex_waitv` (Linux 5.16; some sandboxes hide it).
    pub(crate) fn has_wait_any() -> bool {
        // SAFETY: no entries: the kernel refuses the count before it reads any memory.
        let result =
            unsafe { libc::syscall(libc::SYS_futex_waitv, core::ptr::null::<WaitV>(), 0, 0, 0, 0) };
        result == -1 && io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_changed_word_does_not_sleep() {
        let word = AtomicU32::new(1);
        wait(&word, 0, Deadline::NEVER);
        wait_any(&[(&word, 0)], Deadline::NEVER);
    }

    #[test]
    fn a_deadline_ends_the_sleep() {
        let word = AtomicU32::new(1);
        let until = Deadline::after(Duration::from_millis(2));
        while !until.is_over() {
            wait(&word, 1, until);
        }
        assert_eq!(wake_all(&word), 0);
    }
}
