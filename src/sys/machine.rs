//! The machine as this process sees it: how much memory there is, its pid namespace, random bits.

#![allow(unsafe_code, reason = "system calls")]

use super::control_group;
use std::path::Path;

/// How much memory this program may use: the smallest of what the machine has and what its control groups allow.
pub(crate) fn limit() -> u64 {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    let pages = nix::unistd::sysconf(nix::unistd::SysconfVar::_PHYS_PAGES);
    let machine = match (page, pages) {
        (Ok(Some(page)), Ok(Some(pages))) => (page as u64).saturating_mul(pages as u64),
        _ => u64::MAX,
    };
    let group = control_group::memory_limit(Path::new("/")).unwrap_or(u64::MAX);
    machine.min(group)
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
