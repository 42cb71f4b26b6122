//! A memory barrier of which only one side pays: who is about to sleep makes all others pass one.
//!
//! Two processes that each store one word and then load the other's need a full barrier between the two on both sides. Where
//! one side does so for every message and the other only before it sleeps, the kernel can do it for both: `membarrier` makes
//! every running thread of every registered process pass a full barrier; a thread that does not run has passed one.
//!
//! A process registers when it starts its keeper, before that if it has one thread only: then it costs nothing. With a second
//! thread the kernel waits until every processor has passed through its scheduler, which takes 5 to 40 ms (`synchronize_rcu`),
//! and so the keeper does it, while everybody else goes on. Until a process has registered, or if it cannot, it pays for its own
//! barriers. A process that cannot call `membarrier` is told so by [`heavy`], and must not sleep without a limit.
//!
//! Somebody may see [`REGISTERED`] while a `heavy` of another process is under way that did not count this process in yet. That
//! `heavy` began before the registration ended, behind what its caller had stored. So what comes behind the look at `REGISTERED`
//! sees it.
//!
//! Sources: `membarrier(2)`; `kernel/sched/membarrier.c` of Linux 6.1 (`sync_runqueues_membarrier_state`).

#![allow(unsafe_code, reason = "one system call")]

use std::sync::atomic::AtomicBool;

use crate::sys::atomic::{Ordering, fence};

const GLOBAL_EXPEDITED: libc::c_int = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: libc::c_int = 1 << 2;

/// Whether this process has registered. A forked child that joins the world does so for itself.
static REGISTERED: AtomicBool = AtomicBool::new(false);

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: the call touches no memory of the caller.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Registers this process: [`light`] barriers of its threads are no instruction from now on.
pub(crate) fn register() {
    let done = !crate::testing::polling() && membarrier(REGISTER_GLOBAL_EXPEDITED);
    // ORDERING(registered): Release, pairs with the Acquire in `light`.
    REGISTERED.store(done, Ordering::Release);
}

/// What [`register`] said of its parent does not hold for a forked child.
pub(crate) fn forget() {
    REGISTERED.store(false, Ordering::Relaxed);
}

/// The barrier of the side that does not sleep.
#[inline]
pub(crate) fn light() {
    // ORDERING(registered): Acquire, pairs with the Release in `register`: see the head of this file.
    if REGISTERED.load(Ordering::Acquire) {
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
