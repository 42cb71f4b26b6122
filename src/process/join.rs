//! A started process, and its result.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Left, Panic, State};
use super::child::{self, Child, Ending};
use super::children;
use super::function::Outcome;
use super::function::private::Token;
use super::handle::ProcessHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::handle as shared;
use crate::sys::clock::Deadline;

/// A function that runs in a process of its own, and its result.
///
/// The process runs this very program again, but never reaches `main`: before it, the function is found, its arguments
/// are decoded, it runs, its result goes back, and the process ends. So this works in `main`, in tests, in doctests and in
/// examples alike. The child starts with the environment, the arguments (`std::env::args`) and the standard streams of its
/// parent and with nothing else of it: no other descriptor, no variable, no lock.
///
/// `R` is what the function returns. [`join`](Process::join) waits for it. Dropping a `Process` lets it run on without
/// anyone to join it; it leaves no zombie. When the main function of a program returns, the program still waits for the
/// processes it started, but for daemons, which it ends.
///
/// # What is passed
///
/// Arguments and result travel as messages ([`Message`](crate::Message)): they implement serde's traits and own their data.
/// Shared objects of this crate, such as `Queue` and `Lock`, travel as what they are: both processes use the same one.
///
/// # When the process dies
///
/// Whenever it ends, however it ends, `join` returns: with the result if the function returned, otherwise with an error
/// whose [`child`](crate::Error::child) says how: the panic's message and place, the signal, the exit code.
///
/// If the parent dies, the child runs on, and [`parent_process`](crate::parent_process) tells it. One that was started with
/// [`end_with_parent`](crate::ProcessBuilder::end_with_parent), or as a daemon, is killed at once.
///
/// # What a child finds
///
/// - The constructors of the program (code that runs before `main`: registries, profilers, those of C++) run in every child
///   before the function, in the linker's order. Those of shared libraries run even earlier: descriptors that they open are
///   closed in a child, and threads that they start must not touch the environment. A constructor can start no process
///   in a child, or it would do so without end.
/// - A standard stream that is closed in the parent is `/dev/null` in the child.
/// - A stack overflow is reported on standard error and ends the child by SIGABRT, as in `main`; in threads that the child
///   starts, from their first use of a shared object on, and by SIGSEGV before that.
/// - `ps` shows the program's name. `std::thread::current().name()` is `None` in the function, where it is `main` in `main`:
///   the standard library keeps that name to itself. [`current_process`](crate::current_process) has the name of the process.
///
/// # Where it cannot start
///
/// [`spawn`](Process::spawn) is [`Unsupported`](crate::ErrorKind::Unsupported)
///
/// - in a program that was started through the dynamic loader (`ld-linux.so.2 ./program`): the file that runs is the loader.
///   [`ProcessBuilder::executable`](crate::ProcessBuilder::executable) names the program;
/// - if the child would run with raised rights: the program is set-user-id or set-group-id, has file capabilities, or has
///   changed its effective user or group and kept the real one. Such a child could not trust what it is given.
///
/// Every process that uses shared objects has one more thread, and so has every child that is given some, or that is to end with
/// its parent; other children have it from their first shared object on. Calls that the system allows only to a process with a
/// single thread, such as `unshare(CLONE_NEWUSER)` and `setns` into a user namespace, fail there: make them before the first
/// shared object, or in a program that a child starts.
///
/// # Differences from Python
///
/// There is no `start`: a process runs from `spawn` on. `join` gives the result, or the failure, and not `None`.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, Result};
///
/// fn greet(name: String) -> String {
///     format!("hello {name}")
/// }
///
/// fn main() -> Result<()> {
///     let process = Process::spawn(greet, ("Alice",))?;
///     assert_eq!(process.join()?, "hello Alice");
///
///     // A closure must say the types of its parameters.
///     let process = Process::spawn(|numbers: Vec<u64>| numbers.iter().sum::<u64>(), (&[1, 2, 3],))?;
///     assert_eq!(process.join()?, 6);
///     Ok(())
/// }
/// ```
#[must_use = "dropped, the process runs on and its result is lost: join it"]
pub struct Process<R> {
    child: Arc<Child>,
    unpack: fn(&[u8], shared::Claimed) -> Result<R>,
}

impl<R> Process<R> {
    pub(super) fn of(
        child: Arc<Child>,
        unpack: fn(&[u8], shared::Claimed) -> Result<R>,
    ) -> Process<R> {
        Process { child, unpack }
    }

    /// Has `tell` called once it has ended, by a thread that this process has for all its children; `false` if it has none.
    pub(crate) fn when_ended(&self, tell: impl FnOnce() + Send + 'static) -> bool {
        children::watch(&self.child, Box::new(tell))
    }

    /// Its number in the system. Once it has ended, the number may be another's.
    pub fn id(&self) -> u32 {
        self.child.pid()
    }

    /// Its name: `Process-1` unless it was given another.
    pub fn name(&self) -> &str {
        self.child.name()
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        matches!(self.child.look(), Ok(None))
    }

    /// A handle to watch and to signal it, which can be cloned and outlives this value.
    pub fn handle(&self) -> ProcessHandle {
        ProcessHandle::of(Arc::clone(&self.child))
    }

    /// The error of using, in a forked process, what belongs to its parent.
    fn check_ours(&self) -> Result<()> {
        if self.child.is_ours() {
            return Ok(());
        }
        Err(Error::of(
            ErrorKind::Foreign,
            format!(
                "process {:?} is the parent's: it was inherited over a fork",
                self.child.name()
            ),
        ))
    }
}

impl<R> Process<R> {
    /// Waits until the process has ended, and gives what the function returned.
    ///
    /// A function that returns a `Result` gives one inside the other: `process.join()??`.
    ///
    /// # Errors
    ///
    /// - [`Child`](crate::ErrorKind::Child) if the function panicked, or the process was killed or ended before the
    ///   function returned: [`Error::child`](crate::Error::child) says how;
    /// - [`Decode`](crate::ErrorKind::Decode) or [`Encode`](crate::ErrorKind::Encode) if an argument or the result could
    ///   not be brought across;
    /// - [`Mismatch`](crate::ErrorKind::Mismatch) if the process ran another program ([`ProcessBuilder::executable`](crate::ProcessBuilder::executable));
    /// - whatever kept the process from running the function, as it found it itself: [`Limit`](crate::ErrorKind::Limit) if
    ///   no thread is left for it, [`Corrupted`](crate::ErrorKind::Corrupted) if shared memory is damaged, and so on.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::Process;
    ///
    /// fn count(text: String) -> usize {
    ///     if text.is_empty() {
    ///         std::process::exit(3);
    ///     }
    ///     text.len()
    /// }
    ///
    /// # fn main() -> multiproc::Result<()> {
    /// let process = Process::spawn(count, ("",))?;
    /// let error = process.join().unwrap_err();
    /// assert_eq!(error.child().unwrap().exit_code(), Some(3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn join(self) -> Result<R> {
        self.check_ours()?;
        loop {
            if let Some(ending) = self.child.wait(Deadline::NEVER)? {
                return self.outcome(ending);
            }
        }
    }

    /// What the function returned, or `None` if the process has not ended.
    ///
    /// # Errors
    ///
    /// As [`join`](Process::join). Once this gave a result or such an error, the result is used up.
    pub fn try_join(&mut self) -> Result<Option<R>> {
        self.join_until(Deadline::NOW)
    }

    /// Waits for at most `timeout`; `None` if the process has not ended by then.
    ///
    /// # Errors
    ///
    /// As [`try_join`](Process::try_join).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::Process;
    /// use std::time::Duration;
    ///
    /// fn idle() {
    ///     loop {
    ///         std::thread::park();
    ///     }
    /// }
    ///
    /// # fn main() -> multiproc::Result<()> {
    /// let mut process = Process::spawn(idle, ())?;
    /// assert!(process.join_timeout(Duration::from_millis(1))?.is_none());
    /// process.handle().kill()?;
    /// assert_eq!(process.join().unwrap_err().child().unwrap().signal(), Some(9));
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<Option<R>> {
        self.join_until(Deadline::after(timeout))
    }

    /// Waits until `deadline`; `None` if the process has not ended by then.
    ///
    /// # Errors
    ///
    /// As [`try_join`](Process::try_join).
    pub fn join_deadline(&mut self, deadline: Instant) -> Result<Option<R>> {
        self.join_until(Deadline::at(deadline))
    }

    fn join_until(&mut self, until: Deadline) -> Result<Option<R>> {
        self.check_ours()?;
        match self.child.wait(until)? {
            Some(ending) => self.outcome(ending).map(Some),
            None => Ok(None),
        }
    }

    /// What an ended child left.
    fn outcome(&self, ending: Ending) -> Result<R> {
        let call = self.child.take_call().ok_or_else(|| child::taken(&self.child))?;
        let Left { state, bytes, handles } = call.outcome()?;
        let damaged = |what: &str, error: postcard::Error| {
            let text = format!("process {:?} left {what} that cannot be read", self.name());
            Error::of(ErrorKind::Corrupted, text).with_source(error)
        };
        let failure = self.child.failure(ending);
        match state {
            State::Returned => (self.unpack)(&bytes, handles),
            State::Panicked => {
                let panic: Panic =
                    postcard::from_bytes(&bytes).map_err(|error| damaged("a panic", error))?;
                Err(Error::from_child(failure.with_panic(
                    panic.message,
                    panic.location,
                    panic.backtrace,
                )))
            }
            State::Refused => {
                Err(postcard::from_bytes(&bytes).map_err(|error| damaged("an error", error))?)
            }
            State::Taken => Err(Error::from_child(failure.with_note(match ending {
                Ending::Unknown => child::UNKNOWN,
                Ending::Known(_) => "it ended before its function returned",
            }))),
            State::Waiting => Err(self.child.refusal(ending)),
            State::Collected => Err(child::taken(&self.child)),
        }
    }
}

/// Brings back a value and the handles in it.
pub(super) fn unpack<R: Outcome<O>, O>(bytes: &[u8], handles: shared::Claimed) -> Result<R> {
    shared::unpack(handles, || R::take_up(bytes, Token))
}

impl<R> Drop for Process<R> {
    fn drop(&mut self) {
        children::detach(&self.child);
    }
}

impl<R> AsFd for Process<R> {
    /// The pidfd: readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.child.fd()
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name())
            .field("id", &self.id())
            .field("alive", &self.is_alive())
            .finish()
    }
}
