//! Managers: objects in a server, the processes that share them, and what is left when some of them die.

mod batches;
mod calls;
mod collections;
mod deaths;
mod inside;
mod python;
mod references;
mod refused;

use multiproc::{Manager, ProcessHandle};

use crate::common::until;

/// Waits until the server has no more than `count` objects: what was given up is dropped soon.
#[track_caller]
fn until_left(manager: &Manager, count: usize) {
    until("the server has dropped what nobody can reach", || {
        manager.objects().unwrap().len() == count
    });
}

/// The server's process.
fn server(manager: &Manager) -> ProcessHandle {
    manager.process().unwrap()
}
