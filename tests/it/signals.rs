//! What the shell did to signals before it started the tests, such as ignoring SIGINT for `command &`, is inherited by
//! every process. It is undone before anything else runs, in the test binary and in each process that starts as it.

#![allow(unsafe_code, reason = "a function before main, signal(2), what a child does before exec")]

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::watchdog::watch;

/// Those that a shell, `nohup` or a service manager may have ignored, and that tests send or depend on.
const INHERITED: [libc::c_int; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGCHLD,
];

fn set_all(action: libc::sighandler_t) {
    for signal in INHERITED {
        // SAFETY: signal(2)
        // - takes numbers: neither action is a function.
        unsafe { libc::signal(signal, action) };
    }
}

extern "C" fn default_all() {
    set_all(libc::SIG_DFL);
}

/// The loader calls what is in this section: a function that needs nothing of what main or the standard library set up.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = default_all;

#[test]
fn signals_that_were_ignored_before_the_tests_end_children_all_the_same() {
    let _watch = watch();
    let mut again = Command::new("/proc/self/exe");
    again.args([
        "process::failures::terminate_and_interrupt_end_a_child",
        "--exact",
        "--test-threads=1",
    ]);
    again.stdin(Stdio::null());
    // SAFETY: between fork and exec
    // - `signal` may be called there, and nothing else is.
    unsafe {
        again.pre_exec(|| {
            set_all(libc::SIG_IGN);
            Ok(())
        })
    };
    let output = again.output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && out.contains("1 passed"), "{}\n{out}", output.status);
}
