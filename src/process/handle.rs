//! A process to watch and to signal.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::child::Child;
use super::children;
use crate::error::Result;
use crate::sys::clock::Deadline;
use crate::sys::signals;

/// A process to watch and to signal, without its result: [`Process::handle`](crate::Process::handle) gives it.
///
/// Handles are clones of each other; any number of them, and the [`Process`](crate::Process) itself, may wait at once.
/// A handle means one process for ever, also after its number belongs to another: signals never go astray.
///
/// [`AsFd`] gives the pidfd, which a poll loop finds readable once the process has ended.
///
/// # Examples
///
/// ```
/// use multiproc::Process;
/// use std::os::unix::process::ExitStatusExt;
///
/// fn idle() {
///     loop {
///         std::thread::park();
///     }
/// }
///
/// # fn main() -> multiproc::Result<()> {
/// let process = Process::spawn(idle, ())?;
/// let handle = process.handle();
/// assert!(handle.is_alive());
/// handle.terminate()?;
/// assert_eq!(handle.wait()?.signal(), Some(15));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ProcessHandle(Arc<Child>);

impl ProcessHandle {
    pub(super) fn of(child: Arc<Child>) -> ProcessHandle {
        ProcessHandle(child)
    }

    /// Its number in the system. Once it has ended, the number may be another's.
    pub fn id(&self) -> u32 {
        self.0.pid()
    }

    /// Its name: `Process-1` unless it was given another.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        matches!(self.0.look(), Ok(None))
    }

    /// Waits until the process has ended, and says how.
    ///
    /// Its result, if it has one, stays for [`Process::join`](crate::Process::join).
    ///
    /// # Errors
    ///
    /// [`Child`](crate::ErrorKind::Child), once it has ended, if its status is not known here: it is no child of this
    /// process, or somebody else took the status (a program that ignores SIGCHLD never gets any).
    pub fn wait(&self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.wait_until(Deadline::NEVER)? {
                return Ok(status);
            }
        }
    }

    /// How the process ended, or `None` if it has not.
    ///
    /// # Errors
    ///
    /// As [`wait`](ProcessHandle::wait).
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        self.wait_until(Deadline::NOW)
    }

    /// Waits for at most `timeout`; `None` if the process has not ended by then.
    ///
    /// # Errors
    ///
    /// As [`wait`](ProcessHandle::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<ExitStatus>> {
        self.wait_until(Deadline::after(timeout))
    }

    /// Waits until `deadline`; `None` if the process has not ended by then.
    ///
    /// # Errors
    ///
    /// As [`wait`](ProcessHandle::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<Option<ExitStatus>> {
        self.wait_until(Deadline::at(deadline))
    }

    fn wait_until(&self, until: Deadline) -> Result<Option<ExitStatus>> {
        match self.0.wait(until)? {
            Some(ending) => self.0.status(ending).map(Some),
            None => Ok(None),
        }
    }

    /// Asks the process to end: SIGTERM, which ends it unless it handles that. Nothing happens if it has ended.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied) if the process took on another user's rights.
    pub fn terminate(&self) -> Result<()> {
        self.0.signal(signals::SIGTERM)
    }

    /// Ends the process: SIGKILL. Nothing happens if it has ended.
    ///
    /// # Errors
    ///
    /// As [`terminate`](ProcessHandle::terminate).
    pub fn kill(&self) -> Result<()> {
        self.0.signal(signals::SIGKILL)
    }

    /// Interrupts the process as Ctrl-C does: SIGINT. Nothing happens if it has ended.
    ///
    /// # Errors
    ///
    /// As [`terminate`](ProcessHandle::terminate).
    pub fn interrupt(&self) -> Result<()> {
        self.0.signal(signals::SIGINT)
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd()
    }
}

impl fmt::Debug for ProcessHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessHandle")
            .field("name", &self.name())
            .field("id", &self.id())
            .field("alive", &self.is_alive())
            .finish()
    }
}

/// The children of this process that have not ended, the oldest first; also detached ones.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, active_children};
///
/// fn idle() {
///     loop {
///         std::thread::park();
///     }
/// }
///
/// # fn main() -> multiproc::Result<()> {
/// let _process = Process::builder().name("idler").spawn(idle, ())?;
/// let children = active_children();
/// assert_eq!(children.len(), 1);
/// assert_eq!(children[0].name(), "idler");
/// children[0].kill()?;
/// children[0].wait()?;
/// assert!(active_children().is_empty());
/// # Ok(())
/// # }
/// ```
pub fn active_children() -> Vec<ProcessHandle> {
    children::active().into_iter().map(ProcessHandle).collect()
}
