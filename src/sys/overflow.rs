//! The report of a stack overflow in a child.
//!
//! Rust installs its own report when it starts `main`, and a child never comes to `main`. Without one the kernel ends the process
//! by SIGSEGV, without a word. With this one the child says which thread has overflowed its stack, and ends by SIGABRT, as a
//! program of Rust does.
//!
//! - [`report`] installs a handler for SIGSEGV and SIGBUS, unless somebody has installed one, and gives the calling thread an
//!   alternate stack: a handler cannot run on a stack that is full.
//! - [`report_in_this_thread`] gives an alternate stack to another thread of such a process. Nothing tells this crate of a new
//!   thread, so that is done when a thread first uses shared objects. Other threads that overflow end the process by SIGSEGV.
//!
//! An access that faults next to the stack pointer is an overflow: the page there would be part of any stack that has room.
//! (Code that was compiled with stack probes, as all Rust code is, touches each page as its stack grows.) After any other fault
//! the handler steps back: it restores the system's own handling, and the fault happens again.
//!
//! Sources: `sigaltstack(2)`, `sigaction(2)`, `signal-safety(7)`.

#![allow(unsafe_code, reason = "a signal handler and its stack")]

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// How far below the stack pointer an access of a growing stack may lie: what calls and leaf functions use without moving it,
/// and a page for probes.
const BELOW: usize = 4096 + 256;
/// How far above: the frame of a function that was compiled without probes.
const ABOVE: usize = 1 << 20;
/// Of an alternate stack; more where the processor has more registers to save.
const LEN: usize = 64 * 1024;

/// Whether [`report`] was called in this program.
static REPORTS: AtomicBool = AtomicBool::new(false);

/// Installs the report, for the calling thread as well, which is the first one.
pub(crate) fn report() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: zero is a value of every field of this struct.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: a null pointer for the new action only asks; `action` is valid to write.
        let asked = unsafe { libc::sigaction(signal, ptr::null(), &mut action) };
        if asked != 0 || action.sa_sigaction != libc::SIG_DFL {
            continue;
        }
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the handler has the signature that SA_SIGINFO asks for, and calls only what a handler may.
        unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
    }
    REPORTS.store(true, Ordering::Relaxed);
    // The first thread has it until the process ends: to take it back then would cost two system calls for nothing.
    std::mem::forget(AlternateStack::new());
}

/// Gives the calling thread an alternate stack, if the program reports overflows and the thread has none. Best effort.
pub(crate) fn report_in_this_thread() {
    thread_local! {
        static STACK: Cell<Option<AlternateStack>> = const { Cell::new(None) };
    }
    if !REPORTS.load(Ordering::Relaxed) {
        return;
    }
    let _ = STACK.try_with(|stack| {
        if let Some(own) = stack.take().or_else(AlternateStack::new) {
            stack.set(Some(own));
        }
    });
}

/// The alternate stack of one thread, taken back when the thread ends.
struct AlternateStack(#[expect(dead_code, reason = "keeps the mapping")] memmap2::MmapMut);

impl AlternateStack {
    fn new() -> Option<AlternateStack> {
        // SAFETY: zero is a value of every field of this struct.
        let mut before: libc::stack_t = unsafe { std::mem::zeroed() };
        // SAFETY: a null pointer for the new stack only asks; `before` is valid to write.
        unsafe { libc::sigaltstack(ptr::null(), &mut before) };
        if before.ss_flags & libc::SS_DISABLE == 0 {
            return None;
        }
        // SAFETY: the call takes an integer and reads the kernel's vector of this process.
        let least = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        let len = LEN.max(least.saturating_mul(2));
        let mut map = memmap2::MmapOptions::new().len(len).map_anon().ok()?;
        let stack = libc::stack_t { ss_sp: map.as_mut_ptr().cast(), ss_flags: 0, ss_size: len };
        // SAFETY: the range is a mapping of this thread's own, which stays until `drop` has taken the stack back.
        let set = unsafe { libc::sigaltstack(&stack, ptr::null_mut()) } == 0;
        set.then_some(AlternateStack(map))
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: `none` is a valid description that outlives the call. Refused only to a handler that runs on the stack,
        // and a handler drops no thread-local value.
        unsafe { libc::sigaltstack(&none, ptr::null_mut()) };
    }
}

/// The stack pointer of the interrupted code.
///
/// # Safety
///
/// `context` is what the kernel handed to a signal handler.
unsafe fn stack_pointer(context: *mut libc::c_void) -> Option<usize> {
    let context = context.cast::<libc::ucontext_t>();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller vouches for the pointer.
    return Some(unsafe { (*context).uc_mcontext.gregs[libc::REG_RSP as usize] } as usize);
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller vouches for the pointer.
    return Some(unsafe { (*context).uc_mcontext.sp } as usize);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = context;
        None
    }
}

/// Runs on the alternate stack; calls only what `signal-safety(7)` allows.
extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands over a valid description, for the time of this call.
    let info = unsafe { &*info };
    let code = info.si_code;
    // SAFETY: for a fault, which a positive code means, the field is the address; otherwise it is some number.
    let address = unsafe { info.si_addr() } as usize;
    // SAFETY: the kernel hands over a valid context.
    let pointer = unsafe { stack_pointer(context) };
    let is_overflow = code > 0
        && pointer.is_some_and(|pointer| {
            address >= pointer.saturating_sub(BELOW) && address < pointer.saturating_add(ABOVE)
        });
    if is_overflow {
        say_who();
        // SAFETY: no arguments; ends the process.
        unsafe { libc::abort() };
    }
    // SAFETY: the disposition is one the system knows.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    if code <= 0 {
        // Sent by somebody: it will not happen again by itself.
        // SAFETY: an integer argument. It is delivered when this handler returns.
        unsafe { libc::raise(signal) };
    }
}

/// Says which thread has overflowed its stack, in the words of Rust's own report.
fn say_who() {
    let mut name = [0_u8; 16];
    // SAFETY: no arguments.
    let thread = unsafe { libc::gettid() };
    // SAFETY: as above.
    let process = unsafe { libc::getpid() };
    let name: &[u8] = if thread == process {
        b"main"
    } else {
        // SAFETY: the call writes 16 bytes, the last of which is zero.
        unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
        name.split(|byte| *byte == 0).next().unwrap_or(b"?")
    };
    let rest = b"' has overflowed its stack\nfatal runtime error: stack overflow, aborting\n";
    let mut text = [0_u8; 128];
    let mut len = 0;
    for part in [b"\nthread '", name, rest] {
        text[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    }
    // SAFETY: the buffer is valid for that length. Nobody is there to hear of a failure.
    unsafe { libc::write(2, text.as_ptr().cast(), len) };
}
