//! Taking the exit status of a child.
//!
//! Source: `waitid(2)`.

#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

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

/// Kills a child of which only the number is known, and takes its exit status.
///
/// Only for a child that nobody else has seen yet: its number cannot be another's before it is reaped.
pub(crate) fn kill_unseen(pid: u32) {
    // SAFETY: the call takes two integers.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
    let _ = by(libc::P_PID, pid as libc::id_t, 0);
}

/// Takes the status of the child that is meant if it has ended, without waiting.
///
/// One that this process traces stops for its tracer, and every wait for it takes that stop, too, whatever it asks for. So it is
/// looked at first, which takes nothing.
pub(crate) fn of_ended(kind: libc::idtype_t, id: libc::id_t) -> io::Result<Reaped> {
    match by(kind, id, libc::WNOHANG | libc::WNOWAIT)? {
        Reaped::Now(_) => by(kind, id, libc::WNOHANG),
        running => Ok(running),
    }
}

/// Takes, or with `WNOWAIT` looks at, the status of the child that is meant.
pub(crate) fn by(by: libc::idtype_t, id: libc::id_t, flags: libc::c_int) -> io::Result<Reaped> {
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
            libc::CLD_EXITED => (status & 0xff) << 8,
            libc::CLD_KILLED => status,
            libc::CLD_DUMPED => status | 0x80,
            // Stopped for its tracer, which is this process.
            _ => return Ok(Reaped::Not),
        };
        return Ok(Reaped::Now(ExitStatus::from_raw(raw)));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::fd::{AsFd, OwnedFd};
    use std::time::Duration;

    use super::*;
    use crate::sys::clock::Deadline;
    use crate::sys::descriptor::readable;
    use crate::sys::pidfd::{self, reap};
    use crate::sys::posix_spawn::{self, Start};

    fn start_shell(script: &str) -> (u32, OwnedFd) {
        let args = ["sh", "-c", script].map(|arg| CString::new(arg).unwrap());
        let start =
            Start { program: c"/bin/sh", args: &args, env: &[], directory: None, descriptors: &[] };
        let pid = posix_spawn::start(&start).unwrap();
        (pid, pidfd::open(pid).unwrap())
    }

    #[test]
    fn a_status_is_taken_once_and_read_like_that_of_wait() {
        for (script, code, signal) in [("exit 7", Some(7), None), ("kill -9 $$", None, Some(9))] {
            let (pid, fd) = start_shell(script);
            assert_eq!(readable(&[fd.as_fd()], Deadline::NEVER).unwrap(), [true]);
            let Reaped::Now(status) = reap(fd.as_fd(), pid).unwrap() else { panic!("{script}") };
            assert_eq!((status.code(), status.signal()), (code, signal));
            assert_eq!(reap(fd.as_fd(), pid).unwrap(), Reaped::NotOurs);
            assert!(!pidfd::signal(fd.as_fd(), pid, libc::SIGKILL).unwrap());
        }
    }

    #[test]
    fn a_running_child_is_not_reaped_and_a_deadline_ends_the_wait() {
        let (pid, fd) = start_shell("kill -STOP $$");
        assert_eq!(reap(fd.as_fd(), pid).unwrap(), Reaped::Not);
        let soon = Deadline::after(Duration::from_micros(10));
        assert_eq!(readable(&[fd.as_fd()], soon).unwrap(), [false]);
        pidfd::signal(fd.as_fd(), pid, libc::SIGKILL).unwrap();
        readable(&[fd.as_fd()], Deadline::NEVER).unwrap();
        assert!(matches!(reap(fd.as_fd(), pid).unwrap(), Reaped::Now(_)));
    }

    /// Without a tracer's stop it cannot be tried: where this process may not trace its own child.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_that_stands_for_its_tracer_has_not_ended_and_its_stop_is_the_tracers() {
        let (pid, fd) = start_shell("while :; do :; done");
        let number = pid as libc::pid_t;
        // SAFETY: the calls take numbers; the child is this test's own.
        let trace = |what| unsafe { libc::ptrace(what, number, 0_usize, 0_usize) };
        if trace(libc::PTRACE_SEIZE) == 0 && trace(libc::PTRACE_INTERRUPT) == 0 {
            let stop = libc::WSTOPPED | libc::WNOWAIT;
            // SAFETY: zero is a value of every field of this struct of integers.
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            // SAFETY: `info` is valid to write and outlives the call.
            assert_eq!(unsafe { libc::waitid(libc::P_PID, pid, &mut info, stop) }, 0);
            assert_eq!(reap(fd.as_fd(), pid).unwrap(), Reaped::Not);
            // SAFETY: the call takes numbers and a null pointer.
            let stopped = unsafe { libc::waitpid(number, std::ptr::null_mut(), libc::WNOHANG) };
            assert_eq!(stopped, number);
        }
        pidfd::signal(fd.as_fd(), pid, libc::SIGKILL).unwrap();
        readable(&[fd.as_fd()], Deadline::NEVER).unwrap();
        assert!(matches!(reap(fd.as_fd(), pid).unwrap(), Reaped::Now(_)));
    }
}
