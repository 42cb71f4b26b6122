//! What this process is allowed and how it ends: its limits, its rights, its parent, what is called at its end.
//!
//! Sources: `getauxval(3)`, `getrlimit(2)`, `atexit(3)`, `signal(2)`.

#![allow(unsafe_code, reason = "system calls")]

/// How many descriptors and how many processes (of this user) the limits allow.
pub(crate) fn limits() -> (u64, u64) {
    use nix::sys::resource::{Resource, getrlimit};
    let soft = |resource| getrlimit(resource).map_or(u64::MAX, |(soft, _)| soft);
    (soft(Resource::RLIMIT_NOFILE), soft(Resource::RLIMIT_NPROC))
}

/// Whether the program runs with rights its caller does not have (set-user-id and the like): then nothing in its
/// environment is to be trusted.
pub(crate) fn is_privileged() -> bool {
    // SAFETY: the call takes an integer and reads the kernel's vector of this process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The number of the process that started this one, or that adopted it since.
pub(crate) fn parent_id() -> u32 {
    std::os::unix::process::parent_id()
}

/// Has `f` called when this process ends in order.
pub(crate) fn at_exit(f: extern "C" fn()) -> bool {
    // SAFETY: `f` takes nothing, returns nothing and, being `extern "C"`, unwinds nowhere.
    unsafe { libc::atexit(f) == 0 }
}

/// A write to a pipe that nobody reads is an error and not the end, as Rust's runtime sets it for `main`.
pub(crate) fn ignore_broken_pipes() {
    // SAFETY: no handler is installed; the disposition is one the system knows.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
