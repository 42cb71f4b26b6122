//! Processes: starting them with a function, watching them, bringing results back.
//!
//! - `function`: what can run elsewhere, and how arguments become bytes;
//! - `image`: the main executable in memory;
//! - `call`: the record of one call in shared memory;
//! - `entry`: what stands for a function in the image;
//! - `ticket`: what a child is told in its environment;
//! - `hook`: the start-up hook, which makes a process a child;
//! - `panic`: what a child does with a panic;
//! - `builder`: what can be set about a process; `spawn`: starting it;
//! - `child`: one child, and its exit status;
//! - `children`: those of this process, the reaper, the end of the program;
//! - `handle`: watching and signalling;
//! - `current`: who this process is.

mod builder;
mod call;
mod child;
mod children;
mod current;
mod entry;
mod function;
mod handle;
mod hook;
mod image;
mod panic;
mod spawn;
mod ticket;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use builder::ProcessBuilder;
pub use current::{CurrentProcess, cpu_count, current_process, parent_process};
use function::private::Token;
pub use function::{Arguments, Function, Outcome, Parameters, Run};
pub use handle::{ProcessHandle, active_children};

use crate::error::{Error, ErrorKind, Result};
use crate::handle as shared;
use crate::sys::clock::Deadline;
use call::{Left, Panic, State};
use child::{Child, Ending};

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
/// whose [`child`](crate::Error::child) says how: the panic's message and place, the signal, the exit code. If the parent
/// dies, the child runs on.
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
///   the standard library keeps that name to itself. [`current_process`] has the name of the process.
///
/// # Where it cannot start
///
/// [`spawn`](Process::spawn) is [`Unsupported`](crate::ErrorKind::Unsupported)
///
/// - in a program that was started through the dynamic loader (`ld-linux.so.2 ./program`): the file that runs is the loader.
///   [`ProcessBuilder::executable`] names the program;
/// - if the child would run with raised rights: the program is set-user-id or set-group-id, has file capabilities, or has
///   changed its effective user or group and kept the real one. Such a child could not trust what it is given.
///
/// Every process that uses shared objects, and so every child, has one more thread. Calls that the system allows only to a
/// process with a single thread, such as `unshare(CLONE_NEWUSER)` and `setns` into a user namespace, fail there: make them
/// before the first shared object, or in a program that a child starts.
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

impl Process<()> {
    /// Everything that can be set about a process before it starts.
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder::default()
    }
}

impl<R> Process<R> {
    fn of(child: Arc<Child>, unpack: fn(&[u8], shared::Claimed) -> Result<R>) -> Process<R> {
        Process { child, unpack }
    }

    /// Starts a process that runs `f` with `args`.
    ///
    /// `f` is an `fn` item or a closure that captures nothing. `args` is a tuple with one element for each parameter, in
    /// any form in which a [`Message`](crate::Message) can be given: `("Alice",)` for a `String`, `(5, &lock)` for a number
    /// and a lock that stays usable here. Up to eight. `f` may be a function that never returns (`-> !`).
    ///
    /// Returns when the process runs, before `f` does: about half a millisecond. That does not depend on how much memory
    /// this process has.
    ///
    /// # Errors
    ///
    /// Nothing was started then, and arguments given by value are dropped.
    /// - [`Spawn`](crate::ErrorKind::Spawn): the system refuses to execute this program again;
    /// - [`Limit`](crate::ErrorKind::Limit): no descriptor, no process or no place in the registry (1,024 processes) left;
    /// - [`Encode`](crate::ErrorKind::Encode): an argument refuses to be a message;
    /// - [`TooLarge`](crate::ErrorKind::TooLarge), [`OutOfMemory`](crate::ErrorKind::OutOfMemory): for the arguments;
    /// - [`Mismatch`](crate::ErrorKind::Mismatch): some code of this program has closed the descriptor of shared memory;
    /// - [`Unsupported`](crate::ErrorKind::Unsupported): `f` is not part of the main executable but of a shared library, or
    ///   children cannot start here, see [above](Process#where-it-cannot-start).
    ///
    /// # Compile errors
    ///
    /// - "implementation of `Deserialize` is not general enough": a parameter borrows its data. It arrives in a message, and
    ///   must own it: `String` instead of `&str` or `&'static str`, `Vec<T>` instead of `&[T]`. `"Alice"` can still be passed.
    /// - "cannot be brought back from another process": the result does not implement serde's traits, such as that of a
    ///   function that returns `std::io::Result<T>`. `multiproc::Result<T>` travels.
    /// - "captures something": see the example. A captured value without a size is not found, see [`Function`].
    ///
    /// # Examples
    ///
    /// A closure that captures something does not compile. What it needs goes into the arguments:
    ///
    /// ```compile_fail
    /// # fn main() -> multiproc::Result<()> {
    /// let name = String::from("Alice");
    /// multiproc::Process::spawn(move || name.len(), ())?.join()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// ```
    /// # fn main() -> multiproc::Result<()> {
    /// let name = String::from("Alice");
    /// let process = multiproc::Process::spawn(|name: String| name.len(), (name,))?;
    /// assert_eq!(process.join()?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<F, P, A, O>(f: F, args: A) -> Result<Process<R>>
    where
        F: Function<P, Output = R>,
        R: Outcome<O>,
        P: Parameters,
        A: Arguments<P>,
    {
        ProcessBuilder::default().spawn(f, args)
    }

    /// Starts a process that runs a task, see [`Run`].
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Process::spawn).
    pub fn run<T>(task: T) -> Result<Process<R>>
    where
        T: Run<Output = R> + Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned,
    {
        ProcessBuilder::default().run(task)
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
    /// - [`Mismatch`](crate::ErrorKind::Mismatch) if the process ran another program ([`ProcessBuilder::executable`]);
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
fn unpack<R: Outcome<O>, O>(bytes: &[u8], handles: shared::Claimed) -> Result<R> {
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
