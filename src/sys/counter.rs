//! A counter that threads add to and poll. Elsewhere: a pipe.
//!
//! Source: `eventfd(2)`.

#![allow(unsafe_code, reason = "a system call")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::sys::descriptor::keep_high;

/// Readable while something was added that nobody has taken.
#[derive(Debug)]
pub(crate) struct Counter(File);

impl Counter {
    pub(crate) fn new() -> io::Result<Counter> {
        eventfd(0).map(File::from).map(Counter)
    }

    pub(crate) fn add(&self) {
        // A counter that is full is one that is readable.
        let _ = (&self.0).write(&1_u64.to_ne_bytes());
    }

    pub(crate) fn take(&self) {
        let _ = (&self.0).read(&mut [0; 8]);
    }

    /// A descriptor that is readable for ever.
    pub(crate) fn full() -> io::Result<OwnedFd> {
        eventfd(1)
    }
}

impl AsFd for Counter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn eventfd(count: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = unsafe { libc::eventfd(count, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    keep_high(unsafe { OwnedFd::from_raw_fd(fd) })
}
