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
//! # The function
//!
//! [`Entry::of`] is a constant of the program's image for each function that some `spawn` of the program names. The
//! parent says where it lies: its offset from the image's base. The child believes the offset only if
//!
//! - E1 it runs the same image ([`image::identity`]);
//! - E2 the whole entry lies in one part of the main executable that is data and no code, and is aligned;
//! - E3 it starts with the two magic words, and the checksum of the type id behind them is the one in the call.
//!
//! Nothing is called before all three hold, so a damaged call cannot jump: it is an error of `join`.
//!
//! # If the process dies
//!
//! Before step 4 marks the call, `join` says that the function was not taken; afterwards, that the process ended before
//! it returned; [`super::call`] has the order of the outcome's stores.

#![allow(
    unsafe_code,
    reason = "a place in .init_array, descriptors by number, entries by offset, a function without its value"
)]

use std::any::TypeId;
use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use serde::Serialize;

use super::call::{Call, Panic, Request, State};
use super::function::private::Token;
use super::function::{Function, Parameters};
use super::image::{self, Checksum};
use super::{current, panic};
use crate::error::{Error, ErrorKind, Result};
use crate::message;
use crate::sys::posix_spawn as sys;
use crate::world::{self, ProcessId, World, handle};

/// Exit code of a child that could not run its function, or could not bring the result back.
const REFUSED: i32 = 1;
/// Exit code after a panic, as Rust's own.
const PANICKED: i32 = 101;

// ---------------------------------------------------------------------------------------------
// Entries
// ---------------------------------------------------------------------------------------------

/// Decodes the arguments, runs the function and encodes what it returns.
type Trampoline = fn(&'static World, &[u8]) -> Result<Reply>;

/// What a function returned, as it travels, and the handles in it.
struct Reply {
    bytes: Vec<u8>,
    handles: handle::Parcel,
}

const MAGIC: [u64; 2] = [0x9c1f_27d0_6b3e_58a4, 0x41e6_b80d_f25a_937c];

const _: () = assert!(offset_of!(Entry, magic) == 0);

/// What stands for one function in the image.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Entry {
    magic: [u64; 2],
    function: TypeId,
    trampoline: Trampoline,
}

/// Carries the constant of one function.
struct EntryOf<F, P>(PhantomData<(F, P)>);

impl<F, P> EntryOf<F, P>
where
    F: Function<P, Output: Serialize>,
    P: Parameters,
{
    const ENTRY: &'static Entry =
        &Entry { magic: MAGIC, function: TypeId::of::<F>(), trampoline: trampoline::<F, P> };
}

/// The checksum of a type id. No number that means the same in two builds, and the same in every process of one.
fn checksum(id: TypeId) -> u64 {
    let mut sum = Checksum::new();
    id.hash(&mut sum);
    sum.finish()
}

impl Entry {
    /// The entry of the function `f`, which is thereby moved into whatever process runs it.
    pub(super) fn of<F, P>(f: F) -> &'static Entry
    where
        F: Function<P, Output: Serialize>,
        P: Parameters,
    {
        const {
            assert!(
                size_of::<F>() == 0 && !std::mem::needs_drop::<F>(),
                "the function of a process captures something, or is a function pointer: another process \
                 cannot see this one's variables. Name a `fn` item, or a closure that captures nothing, and \
                 pass what it needs in the arguments: Process::spawn(|n: u64| n + 1, (n,))"
            );
        }
        std::mem::forget(f);
        EntryOf::<F, P>::ENTRY
    }

    /// Where it lies in the image, and its checksum.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the function, or this crate, is not part of the main executable.
    pub(super) fn name(&'static self) -> Result<(u64, u64)> {
        let image = image::main();
        let outside = |what: &str| {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{what} is in a shared library and not in the main executable: a child runs the main executable \
                     and finds only what is linked into it; link it statically, or start the process from the program"
                ),
            )
        };
        let place = (&raw const HOOK) as usize;
        if !image.holds(place, size_of_val(&HOOK)) {
            return Err(outside("multiproc itself"));
        }
        let place = std::ptr::from_ref(self) as usize;
        if !image.holds_data(place, size_of::<Entry>()) {
            return Err(outside("the function of the process"));
        }
        Ok((place.wrapping_sub(image.base) as u64, checksum(self.function)))
    }

    /// The entry at an offset that another process named.
    ///
    /// # Errors
    ///
    /// `Corrupted` if there is none with this checksum.
    fn find(offset: u64, sum: u64) -> Result<&'static Entry> {
        let image = image::main();
        let wrong = |what: &str| {
            let text = format!(
                "the call names a function at offset {offset:#x} of the program, {what}: the call is damaged"
            );
            Err(Error::new(ErrorKind::Corrupted, text))
        };
        let Ok(offset) = usize::try_from(offset) else {
            return wrong("which is no address");
        };
        let place = image.base.wrapping_add(offset);
        if !place.is_multiple_of(align_of::<Entry>())
            || !image.holds_data(place, size_of::<Entry>())
        {
            return wrong("where the program has no data");
        }
        let entry = place as *const Entry;
        // SAFETY:
        // - E2: the place is aligned and lies, whole, in a readable data segment of this program, which stays mapped;
        // - the first field is a pair of integers, for which any bytes are a value;
        // - volatile, because the bytes may be somebody's variable if the offset is wrong; they are only compared.
        let magic = unsafe { entry.cast::<[u64; 2]>().read_volatile() };
        if magic != MAGIC {
            return wrong("where the program has no function to run");
        }
        // SAFETY: as above; behind the magic words stands a constant that the compiler made in `EntryOf`, and a type id
        // is a plain number in any case.
        let function = unsafe {
            entry.wrapping_byte_add(offset_of!(Entry, function)).cast::<TypeId>().read_volatile()
        };
        if checksum(function) != sum {
            return wrong("where the program has another function");
        }
        // SAFETY:
        // - E1 to E3: same image, inside its data, magic words and type id of the entry that the parent named;
        // - so this is the constant that `EntryOf` put there: initialised, never written, alive as long as the program;
        // - the parent's bytes chose which entry it is, and nothing else: the pointer in it is the program's own.
        Ok(unsafe { &*entry })
    }
}

/// The child's half of one call: everything that depends on its types.
fn trampoline<F, P>(world: &'static World, args: &[u8]) -> Result<Reply>
where
    F: Function<P, Output: Serialize>,
    P: Parameters,
{
    let (args, given) = handle::open(world, args)?;
    let parameters = handle::unpack(given, || P::decode(args, Token))?;
    // SAFETY:
    // - `F` has no bytes (`Entry::of` asserts it before anyone can name this trampoline), so there is nothing to
    //   initialise, and a dangling aligned pointer is valid to read;
    // - a value of it existed: `Entry::of` took one and forgot it, in the process that made this call. It moved here;
    // - `F` is Send and 'static, so the value may be used by another thread at any later time.
    let f = unsafe { std::ptr::NonNull::<F>::dangling().read() };
    let output = f.call(parameters, Token);
    let mut bytes = Vec::new();
    let encode = || message::encode::<F::Output, F::Output>(&output, &mut bytes);
    let ((), handles) = handle::pack(encode)?;
    handle::seal(&mut bytes, &handles);
    // While `output` still holds what is on its way.
    handles.post();
    Ok(Reply { bytes, handles })
}

// ---------------------------------------------------------------------------------------------
// The ticket
// ---------------------------------------------------------------------------------------------

/// The environment variable by which a child knows that it is one.
pub(super) const TICKET: &str = "MULTIPROC_CHILD";

/// The descriptor of the world has this number in every child.
pub(super) const WORLD_FD: i32 = 3;

/// What the environment variable holds, `0.1.0 102a 100017 9c…`: version, process, call, identity of the image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) process: u32,
    pub(super) call: u32,
    pub(super) image: u64,
}

impl Ticket {
    pub(super) fn to_text(&self) -> String {
        let Ticket { process, call, image } = self;
        format!("{} {process:x} {call:x} {image:x}", env!("CARGO_PKG_VERSION"))
    }

    /// `None` if it was made by another version of this crate, or is none.
    fn from_text(text: &OsStr) -> Option<Ticket> {
        let mut parts = text.to_str()?.split(' ');
        if parts.next()? != env!("CARGO_PKG_VERSION") {
            return None;
        }
        let ticket = Ticket {
            process: u32::from_str_radix(parts.next()?, 16).ok()?,
            call: u32::from_str_radix(parts.next()?, 16).ok()?,
            image: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        parts.next().is_none().then_some(ticket)
    }
}

/// Whether this process was started to run a function and the hook did not see it: it must not start others, or a
/// program without the hook would start itself for ever.
pub(super) fn hook_was_skipped() -> bool {
    std::env::var_os(TICKET).is_some_and(|text| Ticket::from_text(&text).is_some())
}

// ---------------------------------------------------------------------------------------------
// The hook
// ---------------------------------------------------------------------------------------------

#[used]
#[unsafe(link_section = ".init_array")]
static HOOK: extern "C" fn() = hook;

/// Called by libc before `main`. Unwinds nowhere: at the border of an `extern "C"` function a panic aborts.
extern "C" fn hook() {
    let Some(text) = std::env::var_os(TICKET) else {
        return;
    };
    if sys::is_privileged() {
        return;
    }
    let Some(ticket) = Ticket::from_text(&text) else {
        return;
    };
    if !image::main().holds((&raw const HOOK) as usize, size_of_val(&HOOK)) {
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
    unsafe { sys::close_others(WORLD_FD) };
    let no_world = |error| Error::os("cannot take over the descriptor of the shared memory", error);
    // SAFETY: the parent put the world under this number for nobody but this hook, which runs once.
    let fd = unsafe { sys::inherited(WORLD_FD) }.map_err(no_world)?;
    sys::keep_from_programs(fd.as_fd()).map_err(no_world)?;
    sys::ignore_broken_pipes();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn double(n: u64) -> u64 {
        2 * n
    }

    fn triple(n: u64) -> u64 {
        3 * n
    }

    #[test]
    fn a_function_is_found_by_its_name_and_no_other() {
        let entry = Entry::of(double);
        let (offset, sum) = entry.name().unwrap();
        let found = Entry::find(offset, sum).unwrap();
        assert_eq!(found.trampoline as usize, entry.trampoline as usize);
        let other = Entry::of(triple).name().unwrap();
        assert_ne!(other, (offset, sum));
        assert!(Entry::find(other.0, sum).unwrap_err().is_corrupted());
    }

    #[test]
    fn a_damaged_name_is_an_error() {
        let (offset, sum) = Entry::of(double).name().unwrap();
        for bit in 0..64 {
            assert!(Entry::find(offset ^ (1 << bit), sum).unwrap_err().is_corrupted());
            assert!(Entry::find(offset, sum ^ (1 << bit)).unwrap_err().is_corrupted());
        }
        let code = (double as fn(u64) -> u64 as usize).wrapping_sub(image::main().base);
        assert!(Entry::find(code as u64 & !15, sum).unwrap_err().is_corrupted());
        for offset in [u64::MAX, u64::MAX - 7, 1 << 63] {
            assert!(Entry::find(offset, sum).unwrap_err().is_corrupted());
        }
    }

    #[test]
    fn every_place_of_the_image_can_be_asked_for() {
        let sum = checksum(TypeId::of::<u8>());
        let image = image::main();
        for part in image.segments.iter().filter(|part| part.readable) {
            for place in (part.start..part.start + part.len).step_by(4096 / 8 * 8 + 8) {
                assert!(Entry::find(place.wrapping_sub(image.base) as u64, sum).is_err());
            }
        }
    }

    #[test]
    fn a_ticket_is_read_back_and_others_are_not() {
        let ticket = Ticket { process: 0x2a, call: u32::MAX, image: u64::MAX };
        let text = ticket.to_text();
        assert_eq!(Ticket::from_text(text.as_ref()), Some(ticket));
        for text in ["", " ", "0.0.0 1 2 3", "x", &format!("{text} 1"), &text[..text.len() - 17]] {
            assert_eq!(Ticket::from_text(text.as_ref()), None, "{text:?}");
        }
    }
}
