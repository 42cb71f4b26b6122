//! Starting a program by `posix_spawn`, whose cost does not grow with the parent's memory.
//!
//! Sources: `posix_spawn(3)`, `execve(2)`.

#![allow(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::sys::system;

/// Whether the system has no room for another process.
pub(crate) fn is_process_limit(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAGAIN)
}

/// What to start and what it inherits.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) program: &'a CStr,
    pub(crate) args: &'a [CString],
    pub(crate) env: &'a [CString],
    /// Where it starts; that of the caller if none.
    pub(crate) directory: Option<&'a CStr>,
    /// Descriptors and the numbers under which the child finds them, copied in this order.
    pub(crate) descriptors: &'a [(BorrowedFd<'a>, RawFd)],
}

/// Turns a return value that is an error number into a result.
fn number(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// `posix_spawn_file_actions_t`, destroyed with its owner.
struct Actions(MaybeUninit<libc::posix_spawn_file_actions_t>);

impl Actions {
    fn new() -> io::Result<Actions> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the pointer is valid to write; the call initialises what it points to.
        number(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        Ok(Actions(actions))
    }

    fn duplicate(&mut self, from: BorrowedFd<'_>, to: RawFd) -> io::Result<()> {
        // SAFETY: `new` initialised the actions; the numbers are only stored.
        number(unsafe {
            libc::posix_spawn_file_actions_adddup2(self.0.as_mut_ptr(), from.as_raw_fd(), to)
        })
    }

    fn change_directory(&mut self, to: &CStr) -> io::Result<()> {
        // SAFETY: `new` initialised the actions, which are borrowed for the call.
        number(unsafe { system::add_directory(self.0.as_mut_ptr(), to) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: `new` initialised the actions, and nobody uses them after this.
        unsafe { libc::posix_spawn_file_actions_destroy(self.0.as_mut_ptr()) };
    }
}

/// `posix_spawnattr_t`, destroyed with its owner.
struct Attributes(MaybeUninit<libc::posix_spawnattr_t>);

impl Attributes {
    /// SIGPIPE, which Rust's runtime ignores, as the system delivers it: what `std::process::Command` sets too. The signal mask is
    /// that of the caller.
    fn new() -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the pointer is valid to write; the call initialises what it points to.
        number(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        let mut attributes = Attributes(attributes);
        let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the pointer is valid to write; the call initialises the set.
        unsafe { libc::sigemptyset(signals.as_mut_ptr()) };
        // SAFETY: the set is initialised and the signal exists.
        unsafe { libc::sigaddset(signals.as_mut_ptr(), libc::SIGPIPE) };
        // SAFETY: both are initialised; the call copies the set.
        number(unsafe {
            libc::posix_spawnattr_setsigdefault(attributes.0.as_mut_ptr(), signals.as_ptr())
        })?;
        let flags = libc::POSIX_SPAWN_SETSIGDEF;
        // SAFETY: the attributes are initialised.
        number(unsafe {
            libc::posix_spawnattr_setflags(attributes.0.as_mut_ptr(), flags as libc::c_short)
        })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: `new` initialised the attributes, and nobody uses them after this.
        unsafe { libc::posix_spawnattr_destroy(self.0.as_mut_ptr()) };
    }
}

/// The strings as the null-terminated list of pointers that `execve` takes.
fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    let list = strings.iter().map(|string| string.as_ptr().cast_mut());
    list.chain(std::iter::once(std::ptr::null_mut())).collect()
}

/// Starts a process and returns its pid once it runs the new program.
pub(crate) fn start(start: &Start<'_>) -> io::Result<u32> {
    let mut actions = Actions::new()?;
    for (from, to) in start.descriptors {
        actions.duplicate(*from, *to)?;
    }
    if let Some(directory) = start.directory {
        actions.change_directory(directory)?;
    }
    let attributes = Attributes::new()?;
    let args = pointers(start.args);
    let env = pointers(start.env);
    let mut pid: libc::pid_t = 0;
    // SAFETY:
    // - `pid` is valid to write; the program is a C string;
    // - actions and attributes are initialised and outlive the call;
    // - `args` and `env` are null-terminated lists of C strings that outlive the call, which only reads them.
    number(unsafe {
        libc::posix_spawn(
            &mut pid,
            start.program.as_ptr(),
            actions.0.as_ptr(),
            attributes.0.as_ptr(),
            args.as_ptr(),
            env.as_ptr(),
        )
    })?;
    Ok(pid as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_an_error_of_the_start() {
        let start = Start {
            program: c"/no/such/program",
            args: &[],
            env: &[],
            directory: None,
            descriptors: &[],
        };
        assert_eq!(super::start(&start).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
