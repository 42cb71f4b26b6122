//! Signals that wait, as a descriptor.
//!
//! Source: `signalfd(2)`.

#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::sys::signals;

/// Readable when a signal waits for the process that polls it, one that has blocked it. A forked process can use it for its own
/// signals.
#[derive(Debug)]
pub(crate) struct Arrivals(OwnedFd);

impl Arrivals {
    pub(crate) fn new() -> io::Result<Arrivals> {
        let all = signals::set(|_| true);
        // SAFETY: the set is initialised; the rest are integers.
        let fd = unsafe { libc::signalfd(-1, &all, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor and nobody else owns it.
        Ok(Arrivals(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Takes all signals that wait, as if they had been ignored.
    pub(crate) fn discard(&self) {
        let mut signal = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let len = size_of_val(&signal);
        // SAFETY: the buffer is valid to write for its length.
        while unsafe { libc::read(self.0.as_raw_fd(), signal.as_mut_ptr().cast(), len) } > 0 {}
    }
}

impl AsFd for Arrivals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
