//! Signals that wait, of which only a fork server's children want to know: there are none.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};

#[derive(Debug)]
pub(crate) struct Arrivals(Infallible);

impl Arrivals {
    pub(crate) fn new() -> io::Result<Arrivals> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn discard(&self) {
        match self.0 {}
    }
}

impl AsFd for Arrivals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}
