//! Processes: starting, joining, failing, watching, and what a child inherits.
//!
//! Nothing here is decided by a sleep: children that must still run are parked until they are killed, and what depends
//! on this process as a whole (descriptors, limits, children of its own) is tried in a child.

mod alone;
mod arguments;
mod ends;
mod environment;
mod failures;
mod families;
mod fork_server;
mod forked;
mod inherits;
mod joins;
mod parents;
mod watching;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use multiproc::{
    Error, ErrorKind, Lock, Process, ProcessHandle, Result, Run, active_children, cpu_count,
    current_process, parent_process,
};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::common::{descriptors, park, quiet};
use crate::watchdog::watch;

/// Waits for the end of a pipe; how many bytes came through it.
fn until_stdin_closes() -> usize {
    std::io::read_to_string(std::io::stdin()).unwrap().len()
}

fn greet(name: String) -> String {
    format!("hello {name}")
}

fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("multiproc-{}-{count}-{name}", std::process::id()))
}
