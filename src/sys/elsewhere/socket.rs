//! The socket of a fork server, of which there is none.

use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, OwnedFd};

pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Err(ErrorKind::Unsupported.into())
}

pub(crate) fn send(_: BorrowedFd<'_>, _: &[u8], _: &[BorrowedFd<'_>]) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

pub(crate) fn receive(
    _socket: BorrowedFd<'_>,
    _buffer: &mut [u8],
    _most: usize,
    _fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    Err(ErrorKind::Unsupported.into())
}

pub(crate) fn shut(_: BorrowedFd<'_>) {}
