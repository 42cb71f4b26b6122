//! A process by its pidfd, which names one process for ever, where a pid names whoever has the number now.
//!
//! Sources: `pidfd_open(2)`, `waitid(2)`, `pidfd_send_signal(2)`.

#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::sys::clock::Deadline;
use crate::sys::descriptor::{keep_high, readable};

pub(crate) const SIGINT: i32 = libc::SIGINT;
pub(crate) const SIGTERM: i32 = libc::SIGTERM;
pub(crate) const SIGKILL: i32 = libc::SIGKILL;

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

/// What became of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaped {
    /// It runs, as far as one can see without waiting.
    Not,
    /// It has ended, and this call took its exit status.
    Now(ExitStatus),
    /// It is no child of this process, or somebody else took its status.
    NotOurs,
}

/// Takes the exit status of the child behind `fd` without waiting.
pub(crate) fn reap(fd: BorrowedFd<'_>) -> io::Result<Reaped> {
    reap_by(libc::P_PIDFD, fd.as_raw_fd() as libc::id_t, libc::WNOHANG)
}

/// Kills a child of which only the number is known, and takes its exit status.
///
/// Only for a child that nobody else has seen yet: its number cannot be another's before it is reaped.
pub(crate) fn kill_unseen(pid: u32) {
    // SAFETY: the call takes two integers.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
    let _ = reap_by(libc::P_PID, pid, 0);
}

fn reap_by(by: libc::idtype_t, id: libc::id_t, flags: libc::c_int) -> io::Result<Reaped> {
    loop {
        // SAFETY: zero is a value of every field of this struct of integers.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is valid to write and outlives the call.
        let result = unsafe { libc::waitid(by, id, &mut info, libc::WEXITED | flags) };
        if result != 0 {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                // EBADF, EINVAL: a stand-in counter instead of a pidfd.
                Some(libc::ECHILD | libc::EBADF | libc::EINVAL) => return Ok(Reaped::NotOurs),
                _ => return Err(error),
            }
        }
        // SAFETY: waitid filled the fields of a SIGCHLD, or left them zero.
        if unsafe { info.si_pid() } == 0 {
            return Ok(Reaped::Not);
        }
        // SAFETY: as above.
        let status = unsafe { info.si_status() };
        // The word that wait(2) would have given: the code in the second byte, or the signal in the first.
        let raw = match info.si_code {
            libc::CLD_KILLED => status,
            libc::CLD_DUMPED => status | 0x80,
            _ => (status & 0xff) << 8,
        };
        return Ok(Reaped::Now(ExitStatus::from_raw(raw)));
    }
}

/// Sends a signal to exactly the process behind `fd`; `false` if it has ended.
pub(crate) fn signal(fd: BorrowedFd<'_>, signal: i32) -> io::Result<bool> {
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

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::time::Duration;

    use super::*;
    use crate::sys::posix_spawn::{Start, start};

    fn start_shell(script: &str) -> u32 {
        let args = ["sh", "-c", script].map(|arg| CString::new(arg).unwrap());
        start(&Start {
            program: c"/bin/sh",
            args: &args,
            env: &[],
            directory: None,
            descriptors: &[],
        })
        .unwrap()
    }

    #[test]
    fn a_status_is_taken_once_and_read_like_that_of_wait() {
        for (script, code, signal) in [("exit 7", Some(7), None), ("kill -9 $$", None, Some(9))] {
            let fd = open(start_shell(script)).unwrap();
            assert_eq!(readable(&[fd.as_fd()], Deadline::NEVER).unwrap(), [true]);
            let Reaped::Now(status) = reap(fd.as_fd()).unwrap() else { panic!("{script}") };
            assert_eq!((status.code(), status.signal()), (code, signal));
            assert_eq!(reap(fd.as_fd()).unwrap(), Reaped::NotOurs);
            assert!(!super::signal(fd.as_fd(), SIGKILL).unwrap());
        }
    }

    #[test]
    fn a_running_child_is_not_reaped_and_a_deadline_ends_the_wait() {
        let fd = open(start_shell("kill -STOP $$")).unwrap();
        assert_eq!(reap(fd.as_fd()).unwrap(), Reaped::Not);
        let soon = Deadline::after(Duration::from_micros(10));
        assert_eq!(readable(&[fd.as_fd()], soon).unwrap(), [false]);
        super::signal(fd.as_fd(), SIGKILL).unwrap();
        readable(&[fd.as_fd()], Deadline::NEVER).unwrap();
        assert!(matches!(reap(fd.as_fd()).unwrap(), Reaped::Now(_)));
    }
}
