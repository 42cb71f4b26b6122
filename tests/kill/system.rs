//! What the harness needs of the machine: the same addresses in every process, and leave to trace.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::ptrace;

/// Sees to it that every process of the harness has everything at the same address: starts this
/// program anew without address space randomisation. False if that is not allowed.
pub(crate) fn fix_addresses() -> bool {
    const QUERY: libc::c_ulong = 0xffff_ffff;
    // SAFETY: personality(2)
    // - takes a number.
    let now = unsafe { libc::personality(QUERY) };
    if now & libc::ADDR_NO_RANDOMIZE != 0 {
        return true;
    }
    // SAFETY: see above.
    // - concerns this process and those it starts.
    let set = unsafe { libc::personality((now | libc::ADDR_NO_RANDOMIZE) as libc::c_ulong) };
    if set < 0 {
        return false;
    }
    let mut arguments = std::env::args_os();
    let mut again = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    let error = again.args(arguments).exec();
    println!("kill: {error}: addresses differ");
    false
}

/// Whether this process may trace a child of its own.
pub(crate) fn may_trace() -> Result<(), String> {
    // SAFETY: fork(2)
    // - the child calls nothing but pause(2), which is safe whatever other threads were doing.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        loop {
            // SAFETY: pause(2)
            // - takes nothing.
            unsafe { libc::pause() };
        }
    }
    ptrace::probe(pid).map_err(|error| format!("ptrace is refused here: {error}"))
}

/// What the shell did to signals before it started this, such as ignoring SIGINT for `command &`, is
/// inherited by every process of the harness: it is undone here.
pub(crate) fn default_signals() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGCHLD] {
        // SAFETY: signal(2)
        // - the default action is no function; nothing here has set another.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
