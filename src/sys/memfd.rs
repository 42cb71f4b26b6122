//! The sealed file that a process tree shares, and private memory that a fork wipes.

#![allow(unsafe_code, reason = "system calls and one private mapping")]

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

/// How much memory this program may use: the smaller of the machine's and its control group's.
pub(crate) fn limit() -> u64 {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    let pages = nix::unistd::sysconf(nix::unistd::SysconfVar::_PHYS_PAGES);
    let machine = match (page, pages) {
        (Ok(Some(page)), Ok(Some(pages))) => (page as u64).saturating_mul(pages as u64),
        _ => u64::MAX,
    };
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok())
        .min()
        .unwrap_or(u64::MAX);
    machine.min(group)
}

/// Zeroed private memory that reads as zero again in a forked child, and is never freed.
///
/// Where the kernel refuses `MADV_WIPEONFORK` (before 4.14) it answers an error.
pub(crate) fn wiped_on_fork(len: usize) -> io::Result<*mut u8> {
    let mut map = memmap2::MmapOptions::new().len(len).map_anon()?;
    let start = map.as_mut_ptr();
    // SAFETY: the range is exactly the private mapping made above.
    let result = unsafe { libc::madvise(start.cast(), len, libc::MADV_WIPEONFORK) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    core::mem::forget(map);
    Ok(start)
}

/// The identity of this process's pid namespace.
pub(crate) fn pid_namespace() -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |data| data.ino())
}

/// 64 random bits that tell one world from another.
pub(crate) fn random() -> u64 {
    let mut bits = [0u8; 8];
    // SAFETY: the buffer is valid for its 8 bytes.
    let got = unsafe { libc::getrandom(bits.as_mut_ptr().cast(), bits.len(), 0) };
    if got == bits.len() as isize {
        return u64::from_ne_bytes(bits);
    }
    super::clock::now() ^ (u64::from(std::process::id()) << 32)
}
