//! How a started process finds the one function it is to run, and runs it instead of `main`.
//!
//! # The start-up hook
//!
//! A function pointer in `.init_array` is called by libc before `main`, in every process that runs a program with this
//! crate in it. [`hook`] returns at once unless the environment variable [`TICKET`] is there: then this process was
//! started by [`Process::spawn`](crate::Process::spawn), and it never reaches `main`:
//!
//! 1. It removes the variable, which would otherwise go on to whatever this process starts. A ticket of another version
//!    of this crate is left for that version's hook; under AT_SECURE (set-user-id) no ticket is believed.
//! 2. It closes every descriptor but the standard ones and the world's: the parent's own, if they are not
//!    close-on-exec, came along.
//! 3. It joins the world as the process that the parent reserved, and copies the call out of it.
//! 4. It finds the function, see below, marks the call as taken, runs the function, and leaves the outcome.
//! 5. It ends by `std::process::exit`: 0, or 101 after a panic, or 1 if it could not run the function.
//!
//! # If the process dies
//!
//! Before step 4 marks the call, `join` says that the function was not taken; afterwards, that the process ended before
//! it returned; [`super::call`] has the order of the outcome's stores.

#![allow(unsafe_code, reason = "a place in .init_array, descriptors by number, the environment")]

use std::os::fd::AsFd;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use super::call::{Call, Panic, Request, State};
use super::entry::Entry;
use super::ticket::{TICKET, Ticket, WORLD_FD};
use super::{current, image, panic};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::image::Image;
use crate::sys::{descriptor, program};
use crate::world::{self, ProcessId, World};

/// Exit code of a child that could not run its function, or could not bring the result back.
const REFUSED: i32 = 1;
/// Exit code after a panic, as Rust's own.
const PANICKED: i32 = 101;

#[used]
#[unsafe(link_section = ".init_array")]
static HOOK: extern "C" fn() = hook;

/// Whether this copy of the hook is part of that image.
pub(super) fn is_in(image: &Image) -> bool {
    image.holds((&raw const HOOK) as usize, size_of_val(&HOOK))
}

/// Called by libc before `main`. Unwinds nowhere: at the border of an `extern "C"` function a panic aborts.
extern "C" fn hook() {
    let Some(text) = std::env::var_os(TICKET) else {
        return;
    };
    if program::is_privileged() {
        return;
    }
    let Some(ticket) = Ticket::from_text(&text) else {
        return;
    };
    if !is_in(image::main()) {
        // A shared library's copy of this crate: the ticket is for the copy in the program.
        return;
    }
    // SAFETY:
    // - no other thread reads or writes the environment: this runs before `main`, and the constructors that ran earlier
    //   are those of libraries, which would have to start a thread that uses it right now.
    unsafe { std::env::remove_var(TICKET) };
    std::process::exit(run(&ticket));
}

/// Runs the function that the ticket is for; the exit code.
fn run(ticket: &Ticket) -> i32 {
    let (world, call, request, args) = match accept(ticket) {
        Ok(accepted) => accepted,
        Err(error) => {
            // There is nowhere to leave the error but here.
            let pid = std::process::id();
            eprintln!("multiproc: process {pid} cannot find what it was started for: {error}");
            return REFUSED;
        }
    };
    current::set(&request);
    let call = Arc::new(call);
    let dying = Arc::clone(&call);
    panic::install(&request.name, move |panic| {
        let _ = dying.finish(State::Panicked, &panic_bytes(panic));
    });
    let entry = match find(ticket, &request).and_then(|entry| call.take().map(|()| entry)) {
        Ok(entry) => entry,
        Err(error) => return refuse(&call, &error),
    };
    let work = AssertUnwindSafe(|| (entry.trampoline)(world, &args));
    match std::panic::catch_unwind(work) {
        Ok(Ok(reply)) => match call.finish(State::Returned, &reply.bytes) {
            Ok(()) => 0,
            Err(error) => {
                reply.handles.recall();
                refuse(&call, &error)
            }
        },
        Ok(Err(error)) => refuse(&call, &error),
        Err(payload) => {
            let panic = panic::caught(&*payload);
            // Its destructor may panic again.
            std::mem::forget(payload);
            let _ = call.finish(State::Panicked, &panic_bytes(&panic));
            PANICKED
        }
    }
}

/// Puts the process in order, joins the world and copies the call out.
fn accept(ticket: &Ticket) -> Result<(&'static World, Call, Request, Vec<u8>)> {
    // SAFETY:
    // - this runs before `main`: the program has opened nothing yet, and the libraries' constructors that ran before
    //   are not to keep descriptors across it (the documentation of `Process` says so);
    // - the standard ones and the world's stay.
    unsafe { descriptor::close_others(WORLD_FD) };
    let no_world = |error| Error::os("cannot take over the descriptor of the shared memory", error);
    // SAFETY: the parent put the world under this number for nobody but this hook, which runs once.
    let fd = unsafe { descriptor::inherited(WORLD_FD) }.map_err(no_world)?;
    descriptor::keep_from_programs(fd.as_fd()).map_err(no_world)?;
    program::ignore_broken_pipes();
    let process = ProcessId::from_bits(ticket.process).ok_or_else(|| {
        Error::new(ErrorKind::Corrupted, format!("{:#x} is no process", ticket.process))
    })?;
    let world = world::adopt(fd, process)?;
    let (call, request, args) = Call::open(world, ticket.call, process)?;
    Ok((world, call, request, args))
}

/// Finds the function, if this is the program that the parent runs.
fn find(ticket: &Ticket, request: &Request) -> Result<&'static Entry> {
    let found = image::identity()?;
    if ticket.image != found {
        let path = std::env::current_exe().unwrap_or_default();
        return Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "process {:?} runs another program, or another build, than its parent ({}, identity {found:#018x} instead \
                 of {:#018x}): functions can only be found in the same one",
                request.name,
                path.display(),
                ticket.image
            ),
        ));
    }
    Entry::find(request.offset, request.checksum)
}

/// Leaves an error, or says it on stderr if that is impossible; the exit code.
fn refuse(call: &Call, error: &Error) -> i32 {
    let left = postcard::to_stdvec(error)
        .map_err(|cause| Error::new(ErrorKind::Encode, cause.to_string()))
        .and_then(|bytes| call.finish(State::Refused, &bytes));
    if left.is_err() {
        eprintln!("multiproc: process {} cannot tell its parent: {error}", std::process::id());
    }
    REFUSED
}

fn panic_bytes(panic: &Panic) -> Vec<u8> {
    postcard::to_stdvec(panic).unwrap_or_default()
}
