//! A pair of connected sockets, and descriptors that travel over it.
//!
//! Sources: `socketpair(2)`, `unix(7)` (`SCM_RIGHTS`).

#![allow(unsafe_code, reason = "descriptors that the kernel has just made")]

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, sendmsg, shutdown,
    socketpair,
};

use crate::sys::descriptor::keep_high;

/// Two ends of one stream, closed in every program that this process starts.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (one, other) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?;
    Ok((keep_high(one)?, keep_high(other)?))
}

/// Sends all of the bytes; the descriptors travel with the first of them. No signal, if nobody is there to receive.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    mut bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut numbers: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    while !bytes.is_empty() {
        let rights = [ControlMessage::ScmRights(&numbers)];
        let rights = if numbers.is_empty() { &[][..] } else { &rights[..] };
        let part = [IoSlice::new(bytes)];
        match sendmsg::<()>(socket.as_raw_fd(), &part, rights, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(sent) => {
                bytes = &bytes[sent..];
                numbers.clear();
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whoever is at the other end finds that nobody is here any more.
pub(crate) fn shut(socket: BorrowedFd<'_>) {
    // A socket that was never connected, or is already shut: there is nobody.
    let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
}

/// Receives what is there, at most `buffer`, and waits if there is nothing; 0 if the other end is closed. The descriptors that came
/// along, up to `most`, are added to `fds`, closed in every program that this process starts; those for which its table has no room
/// are missing.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    most: usize,
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    // SAFETY: integer arithmetic.
    let room = unsafe { libc::CMSG_SPACE((most * size_of::<RawFd>()) as libc::c_uint) } as usize;
    // Words: as a `cmsghdr` is aligned.
    let mut space = vec![0_u64; room.div_ceil(size_of::<u64>())];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: zero is a value of every field of this struct of integers and pointers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = space.as_mut_ptr().cast();
    message.msg_controllen = room as _;
    let len = loop {
        // SAFETY: the message names a buffer and a space for control messages that are valid to write and outlive the call.
        let len =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(len) {
            Ok(len) => break len,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    };
    // SAFETY: the kernel has filled the message, whose space is valid until the end of this function.
    unsafe { take_rights(&message, fds) };
    Ok(len)
}

/// The descriptors that came with a message: all of them come in one control message.
///
/// # Safety
///
/// The kernel has filled `message`, its space is still valid, and nobody has taken the descriptors.
unsafe fn take_rights(message: &libc::msghdr, fds: &mut Vec<OwnedFd>) {
    // SAFETY: the kernel has filled the space and said how much of it, as the caller promises.
    let first = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null, or a header in the space, which outlives the reference.
    let first = unsafe { first.as_ref() };
    let Some(rights) =
        first.filter(|it| (it.cmsg_level, it.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS))
    else {
        return;
    };
    // SAFETY: integer arithmetic.
    let head = unsafe { libc::CMSG_LEN(0) } as usize;
    // SAFETY: the header lies in the space.
    let data = unsafe { libc::CMSG_DATA(rights) }.cast::<RawFd>();
    #[allow(clippy::unnecessary_cast, reason = "another type with other libcs")]
    let len_of_rights = rights.cmsg_len as usize;
    for at in 0..len_of_rights.saturating_sub(head) / size_of::<RawFd>() {
        // SAFETY: the kernel has written that many numbers behind the header, at any alignment.
        let number = unsafe { data.wrapping_add(at).read_unaligned() };
        // SAFETY: the kernel has made this descriptor for the message, and nobody else owns it.
        fds.push(unsafe { OwnedFd::from_raw_fd(number) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn bytes_and_descriptors_come_through_and_an_end_is_seen() {
        let (one, other) = pair().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let bytes = vec![7; 1 << 20];
        let sender = std::thread::spawn({
            let (bytes, writer) = (bytes.clone(), OwnedFd::from(writer));
            move || send(one.as_fd(), &bytes, &[writer.as_fd(), writer.as_fd()]).unwrap()
        });
        let (mut found, mut fds, mut buffer) = (Vec::new(), Vec::new(), vec![0; 1 << 16]);
        loop {
            match receive(other.as_fd(), &mut buffer, 4, &mut fds).unwrap() {
                0 => break,
                len => found.extend_from_slice(&buffer[..len]),
            }
        }
        sender.join().unwrap();
        assert_eq!((found, fds.len()), (bytes, 2));
        drop(fds);
        assert_eq!(std::io::read_to_string(reader).unwrap(), "", "the writers are gone");
        assert!(send(other.as_fd(), b"x", &[]).is_err());
    }
}
