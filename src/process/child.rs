//! A child: watching it, taking its exit status once.
//!
//! A child is known by its pidfd, which stays that process's for ever and turns readable when it ends. Any number of
//! owners wait for it at once: each polls the pidfd, and the first who finds it ended takes the exit status under the
//! child's lock and keeps it for all ([`Child::look`]).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::process::ExitStatus;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::call::{Call, Left, State};
use super::ending::{CANNOT_TELL, NO_RAISED_RIGHTS, RAISED_RIGHTS};
use crate::error::{ChildFailure, Error, ErrorKind, Result};
use crate::handle::Claimed;
use crate::liveness::ProcessId;
use crate::sys::clock::Deadline;
use crate::sys::counter::Counter;
use crate::sys::reap::Reaped;
use crate::sys::{descriptor, per_process, pidfd, program};

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Known(ExitStatus),
    /// It is no child of this process, or somebody else took its status.
    Unknown,
}

/// A child that was just started.
pub(super) struct Started {
    pub(super) pid: u32,
    /// As the world knows it.
    pub(super) process: Option<ProcessId>,
    pub(super) name: String,
    pub(super) daemon: bool,
    /// The end of the program neither ends it nor waits for it.
    pub(super) unattended: bool,
    /// It was told to run another file than this process does.
    pub(super) is_other_program: bool,
    pub(super) fd: OwnedFd,
    pub(super) call: Option<Call>,
    pub(super) discard: fn(&[u8], Claimed),
}

/// A process that this one watches.
pub(super) struct Child {
    pid: u32,
    process: Option<ProcessId>,
    name: String,
    pub(super) daemon: bool,
    pub(super) unattended: bool,
    is_other_program: bool,
    /// The process in which this was made: its number in [`per_process`].
    owner: u64,
    /// The pidfd, or a counter that is always readable in place of a process that had ended before it could be opened.
    fd: OwnedFd,
    ending: OnceLock<Ending>,
    /// Held while the exit status is taken.
    taking: Mutex<()>,
    /// What the child is to do and what it left; whoever takes it out frees it.
    call: Mutex<Option<Call>>,
    /// Decodes and drops a result that nobody wants, so that what it holds is released.
    discard: fn(&[u8], Claimed),
    /// Called once, when its end is seen.
    on_end: fn(&Child),
    /// Nobody will join it, and the reaper does not know it.
    pub(super) left: AtomicBool,
}

/// Locks what no panic leaves half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Child {
    /// A process that was just started; `on_end` is called once, when its end is seen.
    pub(super) fn new(started: Started, on_end: fn(&Child)) -> Child {
        let Started { pid, process, name, daemon, unattended, is_other_program, fd, call, discard } =
            started;
        Child {
            pid,
            process,
            name,
            daemon,
            unattended,
            is_other_program,
            owner: per_process::process(),
            fd,
            ending: OnceLock::new(),
            taking: Mutex::new(()),
            call: Mutex::new(call),
            discard,
            on_end,
            left: AtomicBool::new(false),
        }
    }

    /// The parent of this process: watched, never reaped.
    pub(super) fn stranger(pid: u32, name: &str) -> Result<Arc<Child>> {
        let no_descriptor = |error| Error::os(format!("cannot watch process {pid}"), error);
        // The pid is the parent's if it still is the parent after the descriptor was opened.
        let fd = match pidfd::open(pid) {
            Ok(fd) if program::parent_id() == pid => fd,
            Err(error) if !pidfd::is_no_process(&error) => return Err(no_descriptor(error)),
            _ => Counter::full().map_err(no_descriptor)?,
        };
        let started = Started {
            pid,
            process: None,
            name: name.to_owned(),
            daemon: false,
            unattended: false,
            is_other_program: false,
            fd,
            call: None,
            discard: |_, _| {},
        };
        Ok(Arc::new(Child::new(started, |_| {})))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether this was made here and not inherited over a fork.
    pub(super) fn is_ours(&self) -> bool {
        self.owner == per_process::process()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether it has ended, without waiting; takes its exit status if it has.
    pub(super) fn look(&self) -> Result<Option<Ending>> {
        if let Some(ending) = self.ending.get() {
            return Ok(Some(*ending));
        }
        if !self.is_ours() {
            // Inherited over a fork: the status is the parent's to take, and so are the locks, which may be held for ever.
            return Ok(self.is_readable(Deadline::NOW)?.then_some(Ending::Unknown));
        }
        let _taking = lock(&self.taking);
        if let Some(ending) = self.ending.get() {
            return Ok(Some(*ending));
        }
        let ending = match pidfd::reap(self.fd(), self.pid)
            .map_err(|error| self.cannot("wait for", error))?
        {
            Reaped::Now(status) => Ending::Known(status),
            Reaped::NotOurs if self.is_readable(Deadline::NOW)? => Ending::Unknown,
            Reaped::Not | Reaped::NotOurs => return Ok(None),
        };
        if let Some(world) = crate::world::current() {
            // Who has waited for it need not wait for the keeper to notice.
            world.liveness.saw_death();
            if let Some(process) = self.process {
                world.liveness.child_ended(process);
            }
        }
        let _ = self.ending.set(ending);
        (self.on_end)(self);
        Ok(Some(ending))
    }

    /// Waits until it has ended or the time is over.
    pub(super) fn wait(&self, until: Deadline) -> Result<Option<Ending>> {
        loop {
            if let Some(ending) = self.look()? {
                return Ok(Some(ending));
            }
            if until.is_over() {
                return Ok(None);
            }
            if self.is_readable(until)? && self.look()?.is_none() {
                // A debugger has it: its status comes to this process only when the debugger lets go.
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn is_readable(&self, until: Deadline) -> Result<bool> {
        let ready = descriptor::readable(&[self.fd()], until);
        ready.map(|ready| ready[0]).map_err(|error| self.cannot("wait for", error))
    }

    /// Sends a signal; nothing happens if the process has ended.
    pub(super) fn signal(&self, signal: i32) -> Result<()> {
        if self.ending.get().is_none() {
            pidfd::signal(self.fd(), self.pid, signal)
                .map_err(|error| self.cannot("signal", error))?;
        }
        Ok(())
    }

    fn cannot(&self, what: &str, error: std::io::Error) -> Error {
        Error::os(format!("cannot {what} process {:?} (pid {})", self.name, self.pid), error)
    }

    /// What is known of its end, for an error.
    pub(super) fn failure(&self, ending: Ending) -> ChildFailure {
        let failure = ChildFailure::of(self.name.clone(), self.pid);
        match ending {
            Ending::Known(status) => failure.with_status(status),
            Ending::Unknown => failure,
        }
    }

    /// The exit status, or why it is not known.
    pub(super) fn status(&self, ending: Ending) -> Result<ExitStatus> {
        match ending {
            Ending::Known(status) => Ok(status),
            Ending::Unknown => Err(Error::from_child(self.failure(ending).with_note(UNKNOWN))),
        }
    }

    /// Why it has ended without taking its function: what its exit code says, or when that was.
    pub(super) fn refusal(&self, ending: Ending) -> Error {
        use std::os::unix::process::ExitStatusExt;
        let note = |note: &str| Error::from_child(self.failure(ending).with_note(note));
        let Ending::Known(status) = ending else {
            return note(UNKNOWN);
        };
        let name = self.name();
        match status.code() {
            Some(RAISED_RIGHTS) => Error::of(
                ErrorKind::Unsupported,
                format!(
                    "process {name:?} was started with raised rights, by a security module or because its file changed \
                     meanwhile: {NO_RAISED_RIGHTS}"
                ),
            ),
            Some(CANNOT_TELL) => {
                note("it could not reach the shared memory; its standard error has the reason")
            }
            _ if status.signal().is_some() => note("it was ended before it took its function"),
            _ if self.is_other_program => note(concat!(
                "it ended without taking its function: the program it ran does not have the start-up hook of multiproc ",
                env!("CARGO_PKG_VERSION")
            )),
            _ => note(
                "it ended without taking its function: before multiproc's start-up hook ran, in the dynamic loader or in a \
                 library's constructor",
            ),
        }
    }

    /// The call, once.
    pub(super) fn take_call(&self) -> Option<Call> {
        lock(&self.call).take()
    }

    /// Frees the call of an ended child that nobody joins. Never panics.
    fn discard(&self) {
        if let Some(call) = self.take_call()
            && let Ok(Left { state: State::Returned, bytes, handles }) = call.outcome()
            && !bytes.is_empty()
        {
            // The user's own code: decoding and dropping.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| (self.discard)(&bytes, handles)));
        }
    }

    /// Frees the call if the child has ended, and says whether it has.
    pub(super) fn take_if_ended(&self) -> bool {
        let ended = matches!(self.look(), Ok(Some(_)));
        if ended {
            self.discard();
        }
        ended
    }
}

/// Why an exit status is not known.
pub(super) const UNKNOWN: &str = "its exit status is not known here: it is no child of this process, or \
     another part of the program took the status, or the program ignores SIGCHLD and the system threw it away";

/// The error of an operation on an object that was used up.
pub(super) fn taken(child: &Child) -> Error {
    Error::of(
        ErrorKind::InvalidInput,
        format!("the result of process {:?} was taken already: join a process once", child.name),
    )
}
