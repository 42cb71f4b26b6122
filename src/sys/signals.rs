//! Which signals a process blocks and ignores, as a new program inherits it.
//!
//! Sources: `signal(7)`, `pthread_sigmask(3)`, `sigaction(2)`.

#![allow(unsafe_code, reason = "system calls")]

use std::mem::MaybeUninit;
use std::ptr;

use serde::{Deserialize, Serialize};

pub(crate) const SIGINT: i32 = libc::SIGINT;
pub(crate) const SIGTERM: i32 = libc::SIGTERM;
pub(crate) const SIGKILL: i32 = libc::SIGKILL;

/// The signals that have names; those above them are real-time signals.
const NAMED: i32 = 31;
const LAST: i32 = 64;

/// One bit for each signal, that of signal 1 the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dispositions {
    blocked: u64,
    ignored: u64,
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null pointer for the new action only asks; `action` is valid to write.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } == 0;
    // SAFETY: written by the call, which has succeeded.
    asked && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

impl Dispositions {
    /// Those that a program would inherit which the calling thread starts now. A broken pipe is not among them: a child always
    /// ignores that, as `main` does.
    pub(crate) fn of_this_thread() -> Dispositions {
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: a null pointer for the new mask only asks; `mask` is valid to write.
        let asked =
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), mask.as_mut_ptr()) }
                == 0;
        let is_blocked = |signal: &i32| {
            // SAFETY: written by the call above if it has succeeded, and it is asked first.
            asked && unsafe { libc::sigismember(mask.as_ptr(), *signal) } == 1
        };
        let is_ignored = |signal: &i32| *signal != libc::SIGPIPE && is_ignored(*signal);
        Dispositions {
            blocked: (1..=LAST).filter(is_blocked).map(bit).sum(),
            ignored: (1..=NAMED).filter(is_ignored).map(bit).sum(),
        }
    }

    /// Makes them those of the calling thread, whose process has `now`.
    pub(crate) fn apply(&self, now: &Dispositions) {
        for signal in (1..=NAMED).filter(|&it| (self.ignored ^ now.ignored) & bit(it) != 0) {
            let ignore = self.ignored & bit(signal) != 0;
            // SAFETY: no handler is installed; the disposition is one the system knows.
            unsafe { libc::signal(signal, if ignore { libc::SIG_IGN } else { libc::SIG_DFL }) };
        }
        set_mask(|signal| self.blocked & bit(signal) != 0);
    }
}

/// Blocks every signal that can be blocked in the calling thread.
pub(crate) fn block_all() {
    set_mask(|_| true);
}

fn set_mask(is_blocked: impl Fn(i32) -> bool) {
    // SAFETY: the set is initialised; the call only reads it.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &set(is_blocked), ptr::null_mut()) };
}

pub(super) fn set(is_in: impl Fn(i32) -> bool) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is valid to write; the call initialises the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for signal in (1..=LAST).filter(|&signal| is_in(signal)) {
        // SAFETY: the set is initialised. A number that libc keeps to itself is an error, which changes nothing.
        unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    }
    // SAFETY: initialised above.
    unsafe { set.assume_init() }
}
