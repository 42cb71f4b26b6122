//! Thread ids, probes for dead threads, and what service threads ask of the system: signal mask, turns.

#![allow(unsafe_code, reason = "system calls")]

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// The kernel's id of the calling thread.
pub(crate) fn id() -> u32 {
    // SAFETY: the call has no arguments and cannot fail.
    let tid = unsafe { libc::gettid() };
    tid as u32
}

/// Whether process `pid` certainly has no thread `tid` any more.
pub(crate) fn is_gone(pid: u32, tid: u32) -> bool {
    // SAFETY: signal 0 only asks; no memory is involved.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, 0) };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

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

/// The processor on which the calling thread runs at the moment, if the system tells. Costs a load where libc keeps it in the area
/// that the kernel updates (`rseq(2)`; glibc 2.35 and later), a call of the vdso elsewhere.
pub(crate) fn processor() -> Option<u32> {
    // SAFETY: the call has no arguments.
    let processor = unsafe { libc::sched_getcpu() };
    u32::try_from(processor).ok()
}

/// `struct sched_attr` of the kernel, in its first version.
#[repr(C)]
#[derive(Default)]
struct Scheduling {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// The length of a turn in nanoseconds, for the ordinary policies from Linux 6.12 on.
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Asks for the shortest turns for the calling thread, so that the scheduler lets it run as soon as it is woken, although the
/// processor has another task in the middle of a longer turn. Its share of the processor stays what it was. Without effect
/// before Linux 6.12, for threads with a real-time policy, and under a seccomp filter: some kill whoever makes this call
/// (systemd's `SystemCallFilter=~@resources` without an error number).
///
/// Sources: `sched_setattr(2)`; `PR_GET_SECCOMP(2const)`; the kernel's `Documentation/scheduler/sched-eevdf.rst`.
pub(crate) fn take_short_turns() {
    /// The least that the kernel grants.
    const TURN: u64 = 100_000;
    // SAFETY: no arguments. Threads are given their names by `prctl`, too; a filter that lets that pass mostly lets this pass.
    let is_filtered = unsafe { libc::prctl(libc::PR_GET_SECCOMP) } != 0;
    if is_filtered {
        return;
    }
    let mut scheduling = Scheduling::default();
    let size = size_of::<Scheduling>();
    // SAFETY: thread 0 is the calling one; `scheduling` is as long as the call is told, and valid to write.
    let read =
        unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut scheduling, size, 0) } == 0;
    let is_ordinary = [libc::SCHED_OTHER, libc::SCHED_BATCH].contains(&(scheduling.policy as i32));
    if !read || !is_ordinary {
        return;
    }
    scheduling.runtime = TURN;
    // A refusal changes nothing: the thread runs when it is its turn.
    // SAFETY: as above; the call only reads.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const scheduling, 0) };
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
        // SAFETY: a C string that outlives the call, which copies its first 15 bytes.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
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
