//! How a started process finds out that it is a child, and runs its one function instead of `main`.
//!
//! # The start-up hook
//!
//! A function pointer in `.init_array` is called by libc before `main`, in every process that runs a program with this
//! crate in it. [`hook`] returns at once unless the environment variable [`TICKET`] is there: then this process was
//! started by [`Process::spawn`](crate::Process::spawn), and it never reaches `main`:
//!
//! 1. It removes the variable, which would otherwise go on to whatever this process starts. A ticket of another copy
//!    of this crate (another version, or a fork of it) is left for that copy's hook. A process that runs with raised rights (AT_SECURE: set-user-id, file
//!    capabilities) believes nothing that its starter handed over: it ends here, with [`RAISED_RIGHTS`].
//! 2. It puts the process in order, as Rust's own start does for `main`: standard streams that are closed become
//!    `/dev/null`, a broken pipe is an error, a stack overflow is reported. It closes every descriptor but the standard ones and
//!    the world's: the parent's own, if they are not close-on-exec, came along.
//! 3. It joins the world as the process that the parent reserved, and copies the call out of it. If it was given nothing shared,
//!    it does not join the world before it uses something shared (`world::adopt_alone`).
//! 4. It takes the name of the program for `ps`, finds the function ([`super::entry`]) and marks the call as taken.
//! 5. It calls the constructors of the program that libc would have called after it, in the linker's order: a registry that a
//!    message or the function needs is complete. The hook has a priority that puts it before all constructors without one,
//!    so that those that use this crate find the world that the parent made.
//! 6. It runs the function and leaves the outcome.
//! 7. It ends by `std::process::exit`: 0, or 101 after a panic, or 1 if it could not run the function.
//!
//! A process with the ticket of a fork server does steps 1 and 2 and serves; each child that it forks goes on with step 3, for which
//! the server has mapped the shared memory already.
//!
//! A program whose linker or loader leaves the hook out calls [`init`] instead, in the first line of `main`. All is as above, but
//! that libc has called the constructors already (step 5). A program that does neither starts nothing: [`was_reached`].
//!
//! # What is not as in `main`
//!
//! `std::thread::current().name()` is `None` in the function, where it is `main` in `main`. The standard library keeps that name
//! for the thread that its own start has seen, and offers no way in. A thread of its own with the name `main` would have one,
//! but cost more than it gives: whatever is done to a process by its number (priority, affinity, the signal mask and state in
//! `/proc`, `strace -p`, an interrupted system call after a signal) is done to the first thread, which would only wait for the
//! other. And a start takes longer: tried in three rounds in turn, starting and joining took 1.09 to 1.13 times an `exec` of the
//! program that ends in `main`, where it is 1.02 to 1.07 (two processors; by the fork server 420 to 490 us, where it is 360 to
//! 380). So the function runs in the first thread.
//!
//! # A child that cannot run its function
//!
//! Its reason is what `join` reports. A child that has joined the world leaves it in the call. One that has not (no thread is
//! left for its keeper, it is in another pid namespace, the world is damaged) writes it at the call's place in the file, by plain
//! writes to the descriptor, and joins nothing for that. One that may not even do that has an exit code that says so:
//! [`RAISED_RIGHTS`], [`CANNOT_TELL`]. Such codes count only as long as the call is not marked as taken, so a function may use
//! the same numbers.
//!
//! # If the process dies
//!
//! Before step 4 marks the call, `join` says that the function was not taken; afterwards, that the process ended before
//! it returned; [`super::call`] has the order of the outcome's stores.

#![allow(unsafe_code, reason = "a place in .init_array, descriptors by number, the environment")]

use std::ffi::{c_char, c_int};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::call::{Call, Request};
use super::ending::{CANNOT_TELL, RAISED_RIGHTS};
use super::entry::{Entry, Trampoline};
use super::fork_server::{self, Forked};
use super::ticket::{ServerTicket, TICKET, Ticket};
use super::{current, image, work};
use crate::error::{Error, ErrorKind, Result};
use crate::handle;
use crate::liveness::{ProcessId, Reserved};
use crate::sys::image::{Arguments, Constructor, Image};
use crate::sys::{descriptor, overflow, program};
use crate::testing;
use crate::world::{self, Given, World};

/// Behind those of libc and of Rust's standard library, which are below 100, and before all without a priority.
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array.00100"))]
static HOOK: Constructor = hook;

/// While the constructors of the program run in a child.
static CONSTRUCTING: AtomicBool = AtomicBool::new(false);

/// The hook has run in this process, or `init` in its place.
static REACHED: AtomicBool = AtomicBool::new(false);

/// Whether a process that runs this program would find out that it is a child.
pub(super) fn was_reached() -> bool {
    REACHED.load(Ordering::Relaxed)
}

/// Whether this child is still calling the program's constructors. One that starts a process would do so in that process
/// as well, without end.
pub(super) fn is_constructing() -> bool {
    CONSTRUCTING.load(Ordering::Relaxed)
}

/// Whether this copy of the hook is part of that image.
pub(super) fn is_in(image: &Image) -> bool {
    image.holds((&raw const HOOK) as usize, size_of_val(&HOOK))
}

/// Called by libc before `main`. Unwinds nowhere: at the border of an `extern "C"` function a panic aborts.
extern "C" fn hook(count: c_int, values: *const *const c_char, environment: *const *const c_char) {
    if testing::skips_hook() {
        return;
    }
    REACHED.store(true, Ordering::Relaxed);
    run_if_child(Some(Arguments { count, values, environment }));
}

/// Makes this process a child, if it was started as one, in a program where the start-up hook cannot: to be called in the first
/// line of `main`, before any thread is started and any file opened. In all other programs, and all other processes, it does
/// nothing.
///
/// Processes are started by running this program again, and a function in its `.init_array` sees to it that they never reach
/// `main`. Some linkers, their options and loaders leave that function out. [`Process::spawn`](crate::Process::spawn) is
/// [`Unsupported`](crate::ErrorKind::Unsupported) then, and says that this call is missing. With it a child runs its function
/// from here, ends, and returns from `init` never.
///
/// # Examples
///
/// ```
/// fn main() -> multiproc::Result<()> {
///     multiproc::init();
///     assert_eq!(multiproc::Process::spawn(|| 6 * 7, ())?.join()?, 42);
///     Ok(())
/// }
/// ```
pub fn init() {
    if !REACHED.swap(true, Ordering::Relaxed) {
        run_if_child(None);
    }
}

/// Runs the function and ends, if this process has a ticket. `arguments` are those for the constructors that come after the hook.
fn run_if_child(arguments: Option<Arguments>) {
    let Some(text) = std::env::var_os(TICKET) else {
        return;
    };
    let (child, server) = (Ticket::from_text(&text), ServerTicket::from_text(&text));
    if child.is_none() && server.is_none() {
        return;
    }
    if !is_in(image::main()) {
        // A shared library's copy of this crate: the ticket is for the copy in the program.
        return;
    }
    // SAFETY:
    // - no other thread reads or writes the environment: this runs before `main` or in its first line, and the constructors that
    //   ran earlier would have to start a thread that uses it right now.
    unsafe { std::env::remove_var(TICKET) };
    if program::is_privileged() {
        program::leave(RAISED_RIGHTS);
    }
    put_in_order();
    if server.is_some()
        && let Some(name) = program::name_of_file()
    {
        program::take_name(&name);
    }
    let forked = server.map(|server| fork_server::serve(&server));
    let forked = match (child, forked) {
        (Some(ticket), _) => Forked { ticket, settings: Ok(()), view: None },
        (None, Some(forked)) => forked,
        (None, None) => return,
    };
    std::process::exit(run(forked, arguments));
}

/// Runs the function that the ticket is for; the exit code.
fn run(forked: Forked, arguments: Option<Arguments>) -> i32 {
    let Forked { ref ticket, settings, view } = forked;
    let taken = || take_over(ticket.world as RawFd).map(Given::File);
    let world = match view.map_or_else(taken, Ok) {
        Ok(world) => world,
        Err(error) => {
            work::say(&error);
            program::leave(CANNOT_TELL)
        }
    };
    // Whoever joins in vain closes the one it was given.
    let spare = world.duplicate();
    let settings = settings.map_err(|error| {
        Error::os("cannot give the process what its parent has: folder, streams or limits", error)
    });
    let child = match settings.and_then(|()| join(world, ticket)) {
        Ok(child) => child,
        // The program has not begun: nothing of it is to be called at the end.
        Err(error) => {
            let child = ProcessId::from_bits(ticket.process);
            program::leave(work::refuse_from_outside(spare, ticket.place, child, &error))
        }
    };
    drop(spare);
    let Child { world, call, request, args } = child;
    current::set(&request);
    // Executed through `/proc/self/exe` it would be called `exe` in `ps`.
    if let Some(name) = request.program.clone().or_else(program::name_of_file) {
        program::take_name(&name);
    }
    let entry = match find(ticket, &request).and_then(|entry| call.take().map(|()| entry)) {
        Ok(entry) => entry,
        Err(error) => program::leave(work::refuse(&call, &error)),
    };
    if let Some(arguments) = arguments {
        CONSTRUCTING.store(true, Ordering::Relaxed);
        // SAFETY: this is called by the hook, which is the constructor at that place and ends by `exit`.
        unsafe { image::main().call_constructors_after((&raw const HOOK) as usize, arguments) };
        CONSTRUCTING.store(false, Ordering::Relaxed);
    }
    work::run(call, &request.name, || entry.call(world, &args))
}

/// What a child knows once it has joined the world.
struct Child {
    world: &'static World,
    call: Call,
    request: Request,
    args: Vec<u8>,
}

/// Puts the process in order, as Rust's own start does for `main`.
fn put_in_order() {
    descriptor::open_standard();
    program::ignore_broken_pipes();
    overflow::report();
}

/// Takes over the descriptor of the world, and closes what else came along.
fn take_over(number: RawFd) -> Result<OwnedFd> {
    // SAFETY:
    // - this runs before `main`: the program has opened nothing yet, and the libraries' constructors that ran before
    //   are not to keep descriptors across it (the documentation of `Process` says so);
    // - the standard ones and the world's stay.
    unsafe { descriptor::close_others(&mut [number]) };
    let no_world = |error| Error::os("cannot take over the descriptor of the shared memory", error);
    // SAFETY: the parent put the world under this number for nobody but this hook, which runs once.
    let world = unsafe { descriptor::inherited(number) }.map_err(no_world)?;
    descriptor::keep_from_programs(world.as_fd()).map_err(no_world)?;
    Ok(world)
}

/// Joins the world and copies the call out of it.
fn join(world: Given, ticket: &Ticket) -> Result<Child> {
    let process = ProcessId::from_bits(ticket.process).ok_or_else(|| {
        Error::of(ErrorKind::Corrupted, format!("{:#x} is no process", ticket.process))
    })?;
    let end_with_parent = ticket.ends_with_parent.then_some(program::kill as fn());
    let reserved = Reserved { child: process, end_with_parent, has_begun: false };
    let is_alone = ticket.alone && end_with_parent.is_none();
    let adopt = if is_alone { world::adopt_alone } else { world::adopt };
    let world = adopt(world, reserved)?;
    let (call, request, args) = Call::open(world, ticket.call, process)?;
    if is_alone && handle::list_of(&args)?.1.next().is_some() {
        // Damaged: such a child is not to be alone.
        world::world()?;
    }
    Ok(Child { world, call, request, args })
}

/// Finds the function, if this is the program that the parent runs.
fn find(ticket: &Ticket, request: &Request) -> Result<&'static Entry<Trampoline>> {
    let found = image::identity()?;
    if ticket.image != found {
        let path = std::env::current_exe().unwrap_or_default();
        return Err(Error::of(
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
