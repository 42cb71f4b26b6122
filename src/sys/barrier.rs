//! A memory barrier of which only one side pays: who is about to sleep makes all others pass one.
//!
//! Two processes that each store one word and then load the other's need a full barrier between the two on both sides. Where
//! one side does so for every message and the other only before it sleeps, the kernel can do it for both: `membarrier` makes
//! every running thread of every registered process pass a full barrier; a thread that does not run has passed one.
//!
//! A process that could not register pays for its own barrier. A process that cannot call `membarrier` is told so by
//! [`heavy`], and must not sleep without a limit.

#![allow(unsafe_code, reason = "one system call")]

use crate::sys::atomic::{AtomicU32, Ordering, fence};

const GLOBAL_EXPEDITED: libc::c_int = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: libc::c_int = 1 << 2;

/// The process that has registered: a forked child does so for itself.
static REGISTERED: AtomicU32 = AtomicU32::new(0);

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: the call touches no memory of the caller.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Registers this process; whether [`light`] barriers of its threads may be no instruction at all.
pub(crate) fn register() -> bool {
    let pid = std::process::id();
    if REGISTERED.load(Ordering::Acquire) == pid {
        return true;
    }
    let done = !crate::testing::polling() && membarrier(REGISTER_GLOBAL_EXPEDITED);
    if done {
        REGISTERED.store(pid, Ordering::Release);
    }
    done
}

/// The barrier of the side that does not sleep; `registered` is what [`register`] said in this process.
#[inline]
pub(crate) fn light(registered: bool) {
    if registered {
        // ORDERING(barrier): the other side's `heavy` stands for the instruction; only the compiler has to be told.
        core::sync::atomic::compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The barrier of the side that is about to sleep; whether it holds for light barriers, too.
pub(crate) fn heavy() -> bool {
    fence(Ordering::SeqCst);
    membarrier(GLOBAL_EXPEDITED)
}
