//! The sealed file that a process tree shares: making it, growing it, giving pages back.
//!
//! Sources: `memfd_create(2)`, `fcntl(2)`, `fallocate(2)`.

#![allow(unsafe_code, reason = "system calls")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Makes an empty memory file, close-on-exec and never executable.
pub(crate) fn create(name: &core::ffi::CStr) -> io::Result<File> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let file = memfd(name, flags | libc::MFD_NOEXEC_SEAL);
    match file {
        // Kernels before 6.3 do not know the flag.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => memfd(name, flags),
        other => other,
    }
}

fn memfd(name: &core::ffi::CStr, flags: u32) -> io::Result<File> {
    // SAFETY: `name` is a C string that outlives the call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Nobody can shrink the file from now on, so a mapping never loses its pages; nor add or take seals.
pub(crate) fn seal(file: &File) -> io::Result<()> {
    // SAFETY: fcntl with an integer argument touches no memory of ours.
    let result = unsafe {
        libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether the file can never shrink.
pub(crate) fn is_sealed(file: &File) -> bool {
    // SAFETY: fcntl without argument touches no memory of ours.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & libc::F_SEAL_SHRINK != 0
}

/// Grows the file to `size` bytes; asks the limit first, because past it the kernel would send SIGXFSZ.
pub(crate) fn grow(file: &File, size: u64) -> io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit};
    let (soft, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
    if size > soft {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    file.set_len(size)
}

/// Gives the pages of a range back to the system; they read as zero afterwards. Best effort.
pub(crate) fn punch(file: &File, offset: u64, len: u64) {
    use nix::fcntl::{FallocateFlags, fallocate};
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let _ = fallocate(file, flags, offset as libc::off_t, len as libc::off_t);
}
