//! `Semaphore` and `BoundedSemaphore`: counts, time, signals, and permits of the dead.

#![allow(unsafe_code)]

mod counting;
// What kills is left out over raw_sync, which is not robust.
#[cfg(not(feature = "raw-sync"))]
mod death;
mod elsewhere;
#[cfg(not(feature = "raw-sync"))]
mod kills;
mod permits;

use multiproc::{Event, Process, Queue, Semaphore};
use nix::unistd::Pid;
use serde::Serialize;

use crate::common::{park, until, until_asleep};

pub(super) fn hold(semaphore: Semaphore, permits: u32, held: Event) {
    let permits: Vec<_> = (0..permits).map(|_| semaphore.acquire().unwrap()).collect();
    held.set();
    park();
    drop(permits);
}

/// A child that holds so many permits until it is killed.
pub(super) fn holder(semaphore: &Semaphore, permits: u32) -> Process<()> {
    let held = Event::new().unwrap();
    let process = Process::spawn(hold, (semaphore, permits, &held)).unwrap();
    held.wait().unwrap();
    process
}

fn take_one(semaphore: Semaphore, ready: Event, got: Queue<u32>) {
    ready.set();
    semaphore.acquire().unwrap().forget();
    got.put(std::process::id()).unwrap();
}

/// A child that sleeps until it can take a permit for good, and says so.
pub(super) fn waiter(semaphore: &Semaphore, got: &Queue<u32>) -> Process<()> {
    let ready = Event::new().unwrap();
    let process = Process::spawn(take_one, (semaphore, &ready, got)).unwrap();
    ready.wait().unwrap();
    until_asleep(&process.handle());
    process
}

pub(super) fn until_waiting(semaphore: &Semaphore) {
    until("a waiter sleeps", || format!("{semaphore:?}").contains("waiters: true"));
}

pub(super) fn pid<R>(process: &Process<R>) -> Pid
where
    R: Serialize + serde::de::DeserializeOwned,
{
    Pid::from_raw(process.id() as i32)
}
