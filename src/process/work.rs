//! What a child does with its call: it runs the function, leaves the outcome, and has an exit code that goes with it.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use super::call::{Call, Panic, State};
use super::ending::CANNOT_TELL;
use super::entry::Reply;
use super::panic;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Parcel;
use crate::liveness::ProcessId;

/// Exit code of a child that could not run its function, or could not bring the result back, and left an error.
const REFUSED: i32 = 1;
/// Exit code after a panic, as Rust's own.
const PANICKED: i32 = 101;

/// Runs the function of a call that was taken, in a process of that name, and leaves its outcome; the exit code.
pub(super) fn run(call: Call, name: &str, work: impl FnOnce() -> Result<Reply>) -> i32 {
    let call = Arc::new(call);
    let dying = Arc::clone(&call);
    panic::install(name, move |panic| {
        let _ = dying.finish(State::Panicked, &panic_bytes(panic), &Parcel::default());
    });
    match std::panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(reply)) => match call.finish(State::Returned, &reply.bytes, &reply.handles) {
            Ok(()) => 0,
            Err(error) => refuse(&call, &error),
        },
        Ok(Err(error)) => refuse(&call, &error),
        Err(payload) => {
            let panic = panic::caught(&*payload);
            // Its destructor may panic again.
            std::mem::forget(payload);
            let _ = call.finish(State::Panicked, &panic_bytes(&panic), &Parcel::default());
            PANICKED
        }
    }
}

/// Leaves an error, or says it on stderr if that is impossible; the exit code.
pub(super) fn refuse(call: &Call, error: &Error) -> i32 {
    let left = postcard::to_stdvec(error)
        .map_err(|cause| Error::of(ErrorKind::Encode, cause.to_string()))
        .and_then(|bytes| call.finish(State::Refused, &bytes, &Parcel::default()));
    if left.is_err() {
        say(error);
        return CANNOT_TELL;
    }
    REFUSED
}

/// The same in a process that has not joined the world.
pub(super) fn refuse_from_outside(
    world: io::Result<OwnedFd>,
    place: u64,
    child: Option<ProcessId>,
    error: &Error,
) -> i32 {
    let is_left = |(world, child)| Call::refuse_from_outside(world, place, child, error);
    if world.ok().zip(child).is_some_and(is_left) {
        return REFUSED;
    }
    say(error);
    CANNOT_TELL
}

pub(super) fn say(error: &Error) {
    eprintln!("multiproc: process {} cannot tell its parent: {error}", std::process::id());
}

fn panic_bytes(panic: &Panic) -> Vec<u8> {
    postcard::to_stdvec(panic).unwrap_or_default()
}
