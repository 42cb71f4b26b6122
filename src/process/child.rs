//! The children of this process: watching them, taking their exit status once, leaving no zombie.
//!
//! A child is known by its pidfd, which stays that process's for ever and turns readable when it ends. Any number of
//! owners wait for it at once: each polls the pidfd, and the first who finds it ended takes the exit status under the
//! child's lock and keeps it for all ([`Child::look`]).
//!
//! Who takes the status of a child that nobody joins:
//!
//! - dropping a [`Process`](crate::Process) of a child that runs hands it to the *reaper*: one thread, started at the
//!   first such drop, with all signals blocked, that polls the pidfds of these children and a counter that rings when
//!   there is another one;
//! - if that thread cannot be started, the child is marked, and each later start and drop looks at the marked ones;
//! - when the program ends, [`finish`] ends the daemons, waits for the others and takes the rest.
//!
//! Order of locks: `REAPER`, then a child's `taking`, then `CHILDREN`; none is held while anything is waited for.
//! After a fork the list belongs to the parent; the forked process notices by its pid and starts an empty one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::call::{Call, State};
use crate::error::{ChildFailure, Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::pidfd::{self, Reaped};
use crate::sys::thread::with_signals_blocked;
use crate::sys::{descriptor, program};

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Known(ExitStatus),
    /// It is no child of this process, or somebody else took its status.
    Unknown,
}

/// A process that this one watches.
pub(super) struct Child {
    pid: u32,
    name: String,
    daemon: bool,
    /// The process in which this was made.
    owner: u32,
    /// The pidfd, or a counter that is always readable in place of a process that had ended before it could be opened.
    fd: OwnedFd,
    ending: OnceLock<Ending>,
    /// Held while the exit status is taken.
    taking: Mutex<()>,
    /// What the child is to do and what it left; whoever takes it out frees it.
    call: Mutex<Option<Call>>,
    /// Decodes and drops a result that nobody wants, so that what it holds is released.
    discard: fn(&[u8]),
    /// Nobody will join it, and the reaper does not know it.
    left: AtomicBool,
}

static CHILDREN: Mutex<Vec<Arc<Child>>> = Mutex::new(Vec::new());
/// The process whose children these are; 0 before the first start.
static OWNER: AtomicU32 = AtomicU32::new(0);

impl Child {
    /// Adds a child that was just started.
    pub(super) fn register(
        pid: u32,
        name: String,
        daemon: bool,
        fd: OwnedFd,
        call: Option<Call>,
        discard: fn(&[u8]),
    ) -> Arc<Child> {
        let child = Arc::new(Child {
            pid,
            name,
            daemon,
            owner: std::process::id(),
            fd,
            ending: OnceLock::new(),
            taking: Mutex::new(()),
            call: Mutex::new(call),
            discard,
            left: AtomicBool::new(false),
        });
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| {
            program::at_exit(at_exit);
        });
        let mut children = CHILDREN.lock();
        // ORDERING: Relaxed: written under the lock, and read elsewhere only to compare with the reader's own pid.
        if OWNER.swap(std::process::id(), Ordering::Relaxed) != std::process::id() {
            children.clear();
        }
        children.push(Arc::clone(&child));
        child
    }

    /// The parent of this process: watched, never reaped.
    pub(super) fn stranger(pid: u32, name: &str) -> Result<Arc<Child>> {
        let no_descriptor = |error| Error::os(format!("cannot watch process {pid}"), error);
        // The pid is the parent's if it still is the parent after the descriptor was opened.
        let fd = match pidfd::open(pid) {
            Ok(fd) if program::parent_id() == pid => fd,
            Err(error) if !pidfd::is_no_process(&error) => return Err(no_descriptor(error)),
            _ => descriptor::counter(1).map_err(no_descriptor)?,
        };
        Ok(Arc::new(Child {
            pid,
            name: name.to_owned(),
            daemon: false,
            owner: std::process::id(),
            fd,
            ending: OnceLock::new(),
            taking: Mutex::new(()),
            call: Mutex::new(None),
            discard: |_| {},
            left: AtomicBool::new(false),
        }))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether this was made here and not inherited over a fork.
    pub(super) fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether it has ended, without waiting; takes its exit status if it has.
    pub(super) fn look(&self) -> Result<Option<Ending>> {
        if let Some(ending) = self.ending.get() {
            return Ok(Some(*ending));
        }
        let _taking = self.taking.lock();
        if let Some(ending) = self.ending.get() {
            return Ok(Some(*ending));
        }
        let ending = match pidfd::reap(self.fd()).map_err(|error| self.cannot("wait for", error))? {
            Reaped::Now(status) => Ending::Known(status),
            Reaped::NotOurs if self.is_readable(Deadline::NOW)? => Ending::Unknown,
            Reaped::Not | Reaped::NotOurs => return Ok(None),
        };
        if let Some(world) = crate::world::current() {
            // Who has waited for it need not wait for the keeper to notice.
            world.saw_death();
        }
        let _ = self.ending.set(ending);
        CHILDREN.lock().retain(|child| !std::ptr::eq(&**child, self));
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
            pidfd::signal(self.fd(), signal).map_err(|error| self.cannot("signal", error))?;
        }
        Ok(())
    }

    fn cannot(&self, what: &str, error: std::io::Error) -> Error {
        Error::os(format!("cannot {what} process {:?} (pid {})", self.name, self.pid), error)
    }

    /// What is known of its end, for an error.
    pub(super) fn failure(&self, ending: Ending) -> ChildFailure {
        use std::os::unix::process::ExitStatusExt;
        let failure = ChildFailure::new(self.name.clone(), self.pid);
        match ending {
            Ending::Known(status) => {
                failure.with_exit_code(status.code()).with_signal(status.signal())
            }
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

    /// The call, once.
    pub(super) fn take_call(&self) -> Option<Call> {
        self.call.lock().take()
    }

    /// Frees the call of an ended child that nobody joins. Never panics.
    fn discard(&self) {
        if let Some(call) = self.take_call()
            && let Ok((State::Returned, bytes)) = call.outcome()
            && !bytes.is_empty()
        {
            // The user's own code: decoding and dropping.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| (self.discard)(&bytes)));
        }
    }
}

/// Why an exit status is not known.
pub(super) const UNKNOWN: &str = "its exit status is not known here: it is no child of this process, or \
     another part of the program took the status, or the program ignores SIGCHLD and the system threw it away";

/// The children that run, the oldest first. Takes the status of those that have ended.
pub(super) fn active() -> Vec<Arc<Child>> {
    sweep();
    children().into_iter().filter(|child| matches!(child.look(), Ok(None))).collect()
}

/// A copy of the list, empty in a process to which it does not belong.
fn children() -> Vec<Arc<Child>> {
    if OWNER.load(Ordering::Relaxed) != std::process::id() {
        return Vec::new();
    }
    CHILDREN.lock().clone()
}

// ---------------------------------------------------------------------------------------------
// Children that nobody joins
// ---------------------------------------------------------------------------------------------

/// What the reaper thread is told.
struct Reaper {
    /// The process in which the thread runs.
    owner: u32,
    bell: Arc<File>,
    new: Vec<Arc<Child>>,
}

static REAPER: Mutex<Option<Reaper>> = Mutex::new(None);

/// Lets go of a child: its status will be taken and its call freed when it ends.
pub(super) fn detach(child: &Arc<Child>) {
    if !child.is_ours() || child.take_if_ended() {
        return;
    }
    if !hand_over(child) {
        // ORDERING: Relaxed: whoever misses the mark finds it at the next sweep.
        child.left.store(true, Ordering::Relaxed);
    }
    sweep();
}

impl Child {
    /// Frees the call if the child has ended, and says whether it has.
    fn take_if_ended(&self) -> bool {
        let ended = matches!(self.look(), Ok(Some(_)));
        if ended {
            self.discard();
        }
        ended
    }
}

/// Looks at the children that neither an owner nor the reaper looks at.
pub(super) fn sweep() {
    for child in children() {
        if child.left.load(Ordering::Relaxed) {
            child.take_if_ended();
        }
    }
}

/// Gives a child to the reaper thread, which is started if there is none; `false` if it cannot be.
fn hand_over(child: &Arc<Child>) -> bool {
    let mut slot = REAPER.lock();
    if slot.as_ref().is_none_or(|reaper| reaper.owner != std::process::id()) {
        let Ok(bell) = descriptor::counter(0).map(File::from).map(Arc::new) else {
            return false;
        };
        let heard = Arc::clone(&bell);
        let thread = thread::Builder::new().name("multiproc-reaper".to_owned());
        if with_signals_blocked(|| thread.spawn(move || reap_all(&heard))).is_err() {
            return false;
        }
        *slot = Some(Reaper { owner: std::process::id(), bell, new: Vec::new() });
    }
    let Some(reaper) = slot.as_mut() else {
        return false;
    };
    reaper.new.push(Arc::clone(child));
    // A counter that is full is one that rings.
    let _ = (&*reaper.bell).write(&1_u64.to_ne_bytes());
    true
}

/// The reaper thread: waits for the children it was given, for the life of the process.
fn reap_all(mut bell: &File) {
    let mut watched: Vec<Arc<Child>> = Vec::new();
    loop {
        let mut fds: Vec<BorrowedFd<'_>> = vec![bell.as_fd()];
        fds.extend(watched.iter().map(|child| child.fd()));
        let ready = descriptor::readable(&fds, Deadline::NEVER);
        let rang = ready.as_ref().is_ok_and(|ready| ready[0]);
        let before = watched.len();
        watched.retain(|child| !child.take_if_ended());
        if rang {
            let _ = bell.read(&mut [0; 8]);
            if let Some(reaper) = REAPER.lock().as_mut() {
                watched.append(&mut reaper.new);
            }
        } else if before == watched.len() {
            // No memory for the call, or a debugger has an ended child: not at full speed.
            thread::sleep(Duration::from_millis(20));
        }
    }
}

// ---------------------------------------------------------------------------------------------
// The end of the program
// ---------------------------------------------------------------------------------------------

/// How long a daemon has to follow SIGTERM.
const GRACE: Duration = Duration::from_secs(1);

extern "C" fn at_exit() {
    // A forked process inherits the handler and not the children.
    if OWNER.load(Ordering::Relaxed) == std::process::id() {
        let _ = std::panic::catch_unwind(finish);
    }
}

/// Ends the daemons and waits for the other children, as Python does at the end of the main program.
fn finish() {
    let running = children();
    let daemons: Vec<_> = running.iter().filter(|child| child.daemon).collect();
    for daemon in &daemons {
        let _ = daemon.signal(pidfd::SIGTERM);
    }
    let grace = Deadline::after(GRACE);
    for child in running.iter().filter(|child| !child.daemon) {
        let _ = child.wait(Deadline::NEVER);
    }
    for daemon in &daemons {
        if !matches!(daemon.wait(grace), Ok(Some(_))) {
            let _ = daemon.signal(pidfd::SIGKILL);
            let _ = daemon.wait(Deadline::NEVER);
        }
    }
}

/// The error of an operation on an object that was used up.
pub(super) fn taken(child: &Child) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("the result of process {:?} was taken already: join a process once", child.name),
    )
}
