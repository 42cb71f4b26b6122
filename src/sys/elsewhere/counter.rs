//! A counter that threads add to and poll, by a pipe.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::descriptor::{keep_high, never_wait};

/// Readable while something was added that nobody has taken.
#[derive(Debug)]
pub(crate) struct Counter {
    reader: File,
    writer: File,
}

impl Counter {
    pub(crate) fn new() -> io::Result<Counter> {
        let (reader, writer) = io::pipe()?;
        let keep = |end: OwnedFd| {
            never_wait(end.as_fd())?;
            keep_high(end).map(File::from)
        };
        Ok(Counter { reader: keep(reader.into())?, writer: keep(writer.into())? })
    }

    pub(crate) fn add(&self) {
        // A pipe that is full is one that is readable.
        let _ = (&self.writer).write(&[1]);
    }

    pub(crate) fn take(&self) {
        while (&self.reader).read(&mut [0; 64]).is_ok_and(|len| len == 64) {}
    }

    /// A descriptor that is readable for ever: the writer is closed.
    pub(crate) fn full() -> io::Result<OwnedFd> {
        keep_high(io::pipe()?.0.into())
    }
}

impl AsFd for Counter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
