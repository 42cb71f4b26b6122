//! `Lock`: exclusion, time, owners, and every way in which a holder can go.

// All of it kills, and raw_sync is not robust.
#[cfg(not(feature = "raw-sync"))]
mod death;
mod exclusion;
mod guards;
mod time;
mod travelling;

use multiproc::{Event, Lock, Owner, Process, Result};

use crate::common::park;

pub(super) fn here() -> Owner {
    Owner { pid: std::process::id(), tid: nix::unistd::gettid().as_raw() as u32 }
}

pub(super) fn hold(lock: Lock, held: Event) {
    let _guard = lock.lock().unwrap();
    held.set();
    park();
}

/// A child that holds the lock until it is killed.
pub(super) fn holder(lock: &Lock) -> Process<()> {
    let held = Event::new().unwrap();
    let process = Process::spawn(hold, (lock, &held)).unwrap();
    held.wait().unwrap();
    process
}

pub(super) fn hold_until(lock: Lock, held: Event, release: Event) {
    let _guard = lock.lock().unwrap();
    held.set();
    release.wait().unwrap();
}

fn try_it(lock: Lock) -> Result<()> {
    lock.try_lock().map(drop)
}

/// What another process gets that tries the lock.
pub(super) fn tried_elsewhere(lock: &Lock) -> Result<()> {
    Process::spawn(try_it, (lock,)).unwrap().join().unwrap()
}
