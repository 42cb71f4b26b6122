//! Bad input and exhausted limits: each a typed error that says what was expected and found, and nothing is broken after it.

mod descriptors;
mod scribbled;
mod sizes;

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use multiproc::{Barrier, Condition, ErrorKind, Event, Lock, Process, Queue, RLock, Semaphore};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::common::{Chance, LONG, alone, kind, says, world_file, world_size};
use crate::watchdog::watch;

/// A value of /proc/self/status in KiB.
fn status(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The memory of the machine or control group, in bytes, read as a user would.
fn memory() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap();
    let total = info.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024;
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    total.min(group.and_then(|group| group.trim().parse().ok()).unwrap_or(u64::MAX))
}

/// Ends this process if it takes more memory than any of these tests should, before the machine suffers.
fn watch_memory() {
    const MOST: u64 = 400 << 10;
    std::thread::spawn(|| {
        while status("VmRSS:") < MOST {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = writeln!(std::io::stderr(), "more than {MOST} KiB of memory were touched");
        std::process::abort();
    });
}

fn fill_descriptors() -> Vec<OwnedFd> {
    let null = File::open("/dev/null").unwrap();
    let copies: Vec<_> = std::iter::from_fn(|| null.as_fd().try_clone_to_owned().ok()).collect();
    copies.into_iter().chain([null.into()]).collect()
}
