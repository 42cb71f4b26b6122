//! Pools: calls and their results, workers that die, ends, and what a user writes wrongly.

mod calls;
mod collecting;
mod deaths;
mod ends;
mod soak;

use multiproc::{Pool, PoolBuilder};
use std::time::Duration;

/// A pool of two workers that say nothing when they panic.
fn pool() -> Pool {
    builder().build().unwrap()
}

fn builder() -> PoolBuilder {
    Pool::builder().workers(2)
}

fn square(x: u64) -> u64 {
    x * x
}

fn sleep(ms: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(ms));
    ms
}

/// Kills a process that may have ended meanwhile.
fn kill(id: u32) {
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(id as i32),
        nix::sys::signal::Signal::SIGKILL,
    );
}
