//! Thread ids, probes for dead threads, and what service threads ask of the system: signal mask, turns.

#![allow(unsafe_code, reason = "system calls")]

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::sys::system;

pub(crate) use crate::sys::system::{
    is_thread_gone as is_gone, processor, take_short_turns, thread_id as id,
};

/// Gives the processor to another thread that wants it.
pub(crate) fn yield_now() {
    std::thread::yield_now();
}

/// Lets others run for a moment, whatever the priority of the calling thread: it sleeps. A thread with a real-time policy that only
/// yielded would keep those from running for whom it waits.
#[cold]
pub(crate) fn nap() {
    std::thread::sleep(Duration::from_micros(20));
}

/// Whether the calling thread unwinds from a panic.
#[inline]
pub(crate) fn is_panicking() -> bool {
    std::thread::panicking()
}

/// Starts a thread that libc knows and Rust's standard library does not. By itself it allocates and frees nothing, so that libc
/// makes no arena for it. Its `body` is moved to its stack, of so many bytes.
pub(crate) fn start_bare<F: FnOnce() + Send + 'static>(
    name: &'static CStr,
    stack: usize,
    body: F,
) -> io::Result<()> {
    extern "C" fn run<F: FnOnce()>(given: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: a pair that was made for this thread, whose memory is kept for ever, so that nothing is freed here.
        let (name, body) = unsafe { given.cast::<(&'static CStr, F)>().read() };
        system::name_thread(name);
        body();
        ptr::null_mut()
    }
    let given = Box::into_raw(Box::new((name, body)));
    // More if the program has so many thread-local variables that this is none.
    let mut error = create(stack, run::<F>, given.cast());
    if error == libc::EINVAL {
        error = create(stack + (4 << 20), run::<F>, given.cast());
    }
    if error != 0 {
        // SAFETY: made above; no thread has been given it.
        drop(unsafe { Box::from_raw(given) });
        return Err(io::Error::from_raw_os_error(error));
    }
    Ok(())
}

/// Starts a detached thread; 0 or the number of an error.
fn create(
    stack: usize,
    run: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void,
    given: *mut libc::c_void,
) -> i32 {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: valid to write; the call initialises what it points to.
    let error = unsafe { libc::pthread_attr_init(attributes) };
    if error != 0 {
        return error;
    }
    // SAFETY: initialised above. A size that libc refuses leaves its own, which is larger.
    unsafe { libc::pthread_attr_setstacksize(attributes, stack) };
    // SAFETY: initialised above.
    unsafe { libc::pthread_attr_setdetachstate(attributes, libc::PTHREAD_CREATE_DETACHED) };
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: `thread` is valid to write, the attributes are initialised; `run` takes what it is given.
    let error = unsafe { libc::pthread_create(thread.as_mut_ptr(), attributes, run, given) };
    // SAFETY: initialised above, and not used again.
    unsafe { libc::pthread_attr_destroy(attributes) };
    error
}

/// The error of a thread that the system does not start. The number that a limit on threads has means other things elsewhere.
pub(crate) fn cannot_start(what: &str, error: io::Error) -> Error {
    if error.raw_os_error() != Some(libc::EAGAIN) {
        return Error::os(format!("cannot start {what}"), error);
    }
    let text = format!(
        "cannot start {what}: {error}; a limit on processes and threads is reached: let some end, or raise the limit of the \
         user (ulimit -u) or of the control group (pids.max)"
    );
    Error::of(ErrorKind::Limit, text).with_source(error)
}

/// Runs `f` with every signal blocked: a thread started inside inherits the mask and never runs a user's handler.
pub(crate) fn with_signals_blocked<R>(f: impl FnOnce() -> R) -> R {
    use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
    let mut before = SigSet::empty();
    // A failure is impossible with these arguments; if the mask stayed, the thread would merely share signals.
    let changed =
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before)).is_ok();
    let result = f();
    if changed {
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    }
    result
}
