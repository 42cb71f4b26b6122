//! Descriptors: numbers, inheritance, waiting until one is readable.
//!
//! The crate's own descriptors keep away from the numbers that programs count on ([`keep_high`]): 0, 1 and 2 are the standard
//! streams, whoever closed them, and a program puts its descriptors at low numbers by `dup2`.
//!
//! Sources: `fcntl(2)`, `fchdir(2)`.

#![allow(unsafe_code, reason = "system calls")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::sys::clock::Deadline;
use crate::sys::program::descriptor_limit;
use crate::sys::system;

/// Whether this process, or the system, has no room for another descriptor.
pub(crate) fn is_descriptor_limit(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Another descriptor of the same file with a number from `least` on, closed in every program this process starts.
pub(crate) fn duplicate_above(fd: BorrowedFd<'_>, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with an integer argument touches no memory of ours.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// What [`lowest`] is under any limit that is not very low.
const HIGH: u64 = 40;

/// The lowest number of the crate's own descriptors: above those that programs choose by hand, and below what `select` can
/// take by far. Half of a very low limit.
pub(crate) fn lowest() -> RawFd {
    (descriptor_limit() / 2).clamp(3, HIGH) as RawFd
}

/// The same file under a high number. A table that is full there keeps it where it is, but never at 0, 1 or 2.
pub(crate) fn keep_high(fd: OwnedFd) -> io::Result<OwnedFd> {
    // Without asking for the limit, where it is high enough for any limit.
    if fd.as_raw_fd() as u64 >= HIGH {
        return Ok(fd);
    }
    let lowest = lowest();
    if fd.as_raw_fd() >= lowest {
        return Ok(fd);
    }
    match duplicate_above(fd.as_fd(), lowest) {
        Ok(high) => Ok(high),
        Err(_) if fd.as_raw_fd() > 2 => Ok(fd),
        Err(_) => duplicate_above(fd.as_fd(), 3),
    }
}

/// Opens `/dev/null` under each of the standard numbers that is closed, as Rust's own start does: otherwise the next file that
/// is opened would be taken for a standard stream.
pub(crate) fn open_standard() {
    for number in 0..3 {
        // SAFETY: fcntl without argument touches no memory of ours.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            // The lowest free number, which is this one.
            // SAFETY: the path is a C string.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
}

/// The standard streams, as far as they are open.
pub(crate) fn standard() -> [Option<BorrowedFd<'static>>; 3] {
    [0, 1, 2].map(|number| {
        // SAFETY: fcntl without argument touches no memory of ours.
        let is_open = unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
        // SAFETY: a standard stream, which was open just now and which nobody owns. Whoever closes it meanwhile makes calls with it
        // fail, or concern what took its place.
        is_open.then(|| unsafe { BorrowedFd::borrow_raw(number) })
    })
}

/// Puts a copy of `fd` under the number of a standard stream, open in programs that this process starts.
pub(crate) fn put_at(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: two integers. The number is a standard one, which nobody owns.
    let result = unsafe { libc::dup2(fd.as_raw_fd(), number) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes a standard stream.
pub(crate) fn close_standard(number: RawFd) {
    // SAFETY: an integer. The number is a standard one, which nobody owns.
    unsafe { libc::close(number) };
}

/// A folder as a descriptor, to work in or to hand on.
pub(crate) fn folder(path: &CStr) -> io::Result<OwnedFd> {
    let flags = system::PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the path is a C string that outlives the call.
    let fd = unsafe { libc::open(path.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // Not in place of a standard stream that is closed.
    if fd.as_raw_fd() > 2 { Ok(fd) } else { duplicate_above(fd.as_fd(), 3) }
}

/// Works in this folder from now on.
pub(crate) fn change_directory(folder: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an integer.
    let result = unsafe { libc::fchdir(folder.as_raw_fd()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The error of a descriptor table that is full.
pub(crate) fn limit() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}

/// Waits until one of the descriptors is readable or the time is over; which ones are.
pub(crate) fn readable(fds: &[BorrowedFd<'_>], until: Deadline) -> io::Result<Vec<bool>> {
    let mut list: Vec<libc::pollfd> = fds
        .iter()
        .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    loop {
        let result = system::poll(&mut list, until.left());
        if result >= 0 {
            return Ok(list.iter().map(|entry| entry.revents != 0).collect());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
    }
}

/// Takes over the descriptor that the parent put under this number; an error if there is none.
///
/// # Safety
///
/// Nobody else in this process owns the number.
pub(crate) unsafe fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl without argument touches no memory of ours.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open, as just seen, and the caller vouches that nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes every descriptor above the standard ones but those to keep.
///
/// # Safety
///
/// Nobody in this process owns or will use any of them.
pub(crate) unsafe fn close_others(keep: &mut [RawFd]) {
    keep.sort_unstable();
    let close = |first: RawFd, last: RawFd| {
        // SAFETY: the caller vouches that nobody uses the descriptors.
        first > last || unsafe { system::close_range(first, last) }
    };
    let mut first = 3;
    let between = keep.iter().all(|&kept| close(std::mem::replace(&mut first, kept + 1), kept - 1));
    if between && close(first, RawFd::MAX) {
        return;
    }
    // Kernels before 5.9 and some sandboxes have no close_range: go through the list, or else through all numbers.
    let listed = std::fs::read_dir("/proc/self/fd").map(|list| {
        list.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect::<Vec<RawFd>>()
    });
    let all = || (3..descriptor_limit().min(1 << 20) as RawFd).collect();
    for fd in listed.unwrap_or_else(|_| all()) {
        if fd > 2 && !keep.contains(&fd) {
            // SAFETY: the caller vouches that nobody uses the descriptor; the one that listed them is closed already,
            // and closing a number twice only fails.
            unsafe { libc::close(fd) };
        }
    }
}

/// Reads and writes of the descriptor never wait.
#[cfg(any(not(target_os = "linux"), elsewhere))]
pub(crate) fn never_wait(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: fcntl with an integer argument touches no memory of ours.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes the descriptor in every program that this process starts from now on.
pub(crate) fn keep_from_programs(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: fcntl with an integer argument touches no memory of ours.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
