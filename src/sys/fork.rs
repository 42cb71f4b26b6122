//! Forking a process with one thread, so that the new process is a sibling and not a child.
//!
//! `fork` of libc cannot do that: `CLONE_PARENT` is given to `clone` itself. What libc's own `fork` does around the system call is
//! for processes that have, or had, more than one thread (its locks, the other threads' stacks), for handlers that the program
//! registered (`pthread_atfork`), and:
//!
//! - the thread id that libc keeps in the thread's descriptor. The kernel writes it there (`CLONE_CHILD_SETTID`), and clears it at
//!   the thread's end (`CLONE_CHILD_CLEARTID`), at the address that libc gave it at the start (`PR_GET_TID_ADDRESS`);
//! - the robust list, which a new process has not: the same head, at the same address, is registered again.
//!
//! [`Forker::of_this_process`] checks what this needs: one thread, and an address that holds its id. libc's that keep something
//! else there (musl) are refused. Handlers of `pthread_atfork` are not called: libraries that forked processes must tell something
//! have no other thread to fear, and the program's own constructors have not run.
//!
//! Sources: `clone(2)`, `PR_GET_TID_ADDRESS(2const)`, `set_robust_list(2)`; glibc's `sysdeps/nptl/fork.h`.

#![allow(unsafe_code, reason = "system calls; a second process at this place")]

use std::io;

use crate::sys::{program, thread};

/// Why a process cannot be forked.
pub(crate) const REASONS: [&str; 3] = [
    "a library has started a thread before main",
    "the kernel does not tell where libc keeps the id of the first thread, or libc keeps it elsewhere",
    "the kernel has no robust lists",
];

/// What forking needs to know of this process.
#[derive(Debug)]
pub(crate) struct Forker {
    /// Where libc keeps the id of this thread.
    thread: *mut libc::c_int,
    /// Head and length of the robust list.
    list: (usize, usize),
}

impl Forker {
    /// Whether, and how, this process can be forked.
    ///
    /// # Errors
    ///
    /// Why not: the number of one of the [`REASONS`].
    pub(crate) fn of_this_process() -> Result<Forker, u32> {
        if program::count_threads() != 1 {
            return Err(0);
        }
        let mut thread: *mut libc::c_int = std::ptr::null_mut();
        // SAFETY: `thread` is valid to write.
        let found = unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut thread) } == 0;
        // SAFETY: the kernel reports the address that libc gave it, which is its own for the life of this thread.
        if !found || thread.is_null() || unsafe { *thread } != thread::id() as libc::c_int {
            return Err(1);
        }
        let mut list = (0_usize, 0_usize);
        // SAFETY: thread 0 is the calling one; both places are valid to write.
        let found = unsafe {
            libc::syscall(libc::SYS_get_robust_list, 0, &raw mut list.0, &raw mut list.1)
        } == 0;
        if found { Ok(Forker { thread, list }) } else { Err(2) }
    }

    /// Forks; whether this is the new process. Its parent is the parent of this one. The kernel stores its number at `number`
    /// before it runs.
    ///
    /// # Safety
    ///
    /// This process has one thread and has never had another. `number` is valid to write.
    pub(crate) unsafe fn fork(&self, number: *mut u32) -> io::Result<bool> {
        // The signal at its end is the one that this process has for its own.
        let flags = libc::CLONE_PARENT
            | libc::CLONE_PARENT_SETTID
            | libc::CLONE_CHILD_SETTID
            | libc::CLONE_CHILD_CLEARTID;
        let none: usize = 0;
        // The last two arguments stand in another order on x86-64 than elsewhere; there is no thread-local area to set.
        #[cfg(target_arch = "x86_64")]
        let last = (self.thread as usize, none);
        #[cfg(not(target_arch = "x86_64"))]
        let last = (none, self.thread as usize);
        // SAFETY:
        // - without CLONE_VM the new process has a copy of all memory, and goes on here on a copy of this stack;
        // - there is no other thread whose locks it could inherit (the caller);
        // - `number` is valid to write (the caller), and so is libc's place for the id.
        let result = unsafe { libc::syscall(libc::SYS_clone, flags, none, number, last.0, last.1) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        if result > 0 {
            return Ok(false);
        }
        // SAFETY: the head that libc registered for this thread, at the same place in the copy; nothing is on the list.
        unsafe { libc::syscall(libc::SYS_set_robust_list, self.list.0, self.list.1) };
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_refused() {
        // The test harness has some.
        let reason = std::thread::spawn(|| Forker::of_this_process().unwrap_err()).join().unwrap();
        assert_eq!(REASONS[reason as usize], "a library has started a thread before main");
    }
}
