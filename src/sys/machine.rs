//! The machine as this process sees it: how much memory there is, its pid namespace, random bits.

#![allow(unsafe_code, reason = "a system call")]

use super::{control_group, system};
use std::path::Path;

/// How much memory this program may use: the smallest of what the machine has and what its control groups allow.
pub(crate) fn limit() -> u64 {
    // SAFETY: the call takes an integer.
    let ask = |name| u64::try_from(unsafe { libc::sysconf(name) }).ok();
    let machine = match (ask(libc::_SC_PAGESIZE), ask(libc::_SC_PHYS_PAGES)) {
        (Some(page), Some(pages)) => page.saturating_mul(pages),
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
    let other = || super::clock::now() ^ (u64::from(std::process::id()) << 32);
    system::random().unwrap_or_else(other)
}
