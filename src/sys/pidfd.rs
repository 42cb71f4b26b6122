//! A process by its pidfd, which names one process for ever, where a pid names whoever has the number now.
//!
//! Sources: `pidfd_open(2)`, `pidfd_send_signal(2)`.

#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::sys::clock::Deadline;
use crate::sys::descriptor::{keep_high, readable};
use crate::sys::reap::{self, Reaped};

/// A descriptor for process `pid`: readable once the process has ended. Closed in programs this process starts.
pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    keep_high(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Whether the error of [`open`] means that there is no such process.
pub(crate) fn is_no_process(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH)
}

/// Whether process `pid` has ended, reaped or not. A process that may not be asked counts as alive.
pub(crate) fn is_over(pid: u32) -> bool {
    match open(pid) {
        Ok(fd) => readable(&[fd.as_fd()], Deadline::NOW).is_ok_and(|ready| ready[0]),
        Err(error) => is_no_process(&error),
    }
}

/// Takes the exit status of the child behind `fd` without waiting. Its number is for systems without pidfds.
pub(crate) fn reap(fd: BorrowedFd<'_>, _pid: u32) -> io::Result<Reaped> {
    reap::of_ended(libc::P_PIDFD, fd.as_raw_fd() as libc::id_t)
}

/// Sends a signal to exactly the process behind `fd`; `false` if it has ended.
pub(crate) fn signal(fd: BorrowedFd<'_>, _pid: u32, signal: i32) -> io::Result<bool> {
    // SAFETY: the null pointer stands for the fields that kill(2) would send; the rest are integers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // EBADF: a stand-in counter instead of a pidfd.
        Some(libc::ESRCH | libc::EBADF) => Ok(false),
        _ => Err(error),
    }
}
