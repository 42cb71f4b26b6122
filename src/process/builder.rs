//! What can be set about a process before it starts.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry::Entry;
use super::function::private::Token;
use super::function::{Arguments, Function, Outcome, Parameters, Run};
use super::join::{Process, unpack};
use super::method::StartMethod;
use crate::error::Result;
use crate::handle::Claimed;

/// What a [`Process`] is to be like: [`Process::builder`] makes one.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, current_process};
/// use std::io::Read;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut reader, writer) = std::io::pipe()?;
/// let process = Process::builder()
///     .name("greeter")
///     .env("GREETING", "hello")
///     .current_dir("/")
///     .stdout(writer)
///     .spawn(
///         |name: String| println!("{} {name}, says {}", std::env::var("GREETING").unwrap(), current_process()),
///         ("Alice",),
///     )?;
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?;
/// process.join()?;
/// assert_eq!(text, "hello Alice, says greeter\n");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder starts nothing before spawn or run"]
pub struct ProcessBuilder {
    pub(super) name: Option<String>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) current_dir: Option<PathBuf>,
    /// Standard input, output and error.
    pub(super) standard: [Option<OwnedFd>; 3],
    pub(super) executable: Option<PathBuf>,
    pub(super) daemon: bool,
    pub(super) end_with_parent: bool,
    pub(super) is_helper: bool,
    pub(super) start_method: Option<StartMethod>,
    pub(super) unattended: bool,
}

impl ProcessBuilder {
    /// The name in errors, in panic messages and of [`current_process`](crate::current_process); `Process-1` and so on
    /// without it.
    pub fn name(mut self, name: impl Into<String>) -> ProcessBuilder {
        self.name = Some(name.into());
        self
    }

    /// Sets a variable of the child's environment, which otherwise is that of this process.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> ProcessBuilder {
        self.env.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The child's working directory; that of this process without it.
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> ProcessBuilder {
        self.current_dir = Some(directory.as_ref().to_owned());
        self
    }

    /// The child's standard input: anything that owns a descriptor, such as a [`File`](std::fs::File) (`/dev/null`
    /// included), a [`PipeReader`](std::io::PipeReader) or a socket; that of this process without it.
    ///
    /// This process's copy is closed when the child has started, so that the other end of a pipe sees the child end.
    pub fn stdin(mut self, descriptor: impl Into<OwnedFd>) -> ProcessBuilder {
        self.standard[0] = Some(descriptor.into());
        self
    }

    /// The child's standard output, in the same way as [`stdin`](ProcessBuilder::stdin).
    pub fn stdout(mut self, descriptor: impl Into<OwnedFd>) -> ProcessBuilder {
        self.standard[1] = Some(descriptor.into());
        self
    }

    /// The child's standard error, where its panics are reported, in the same way as
    /// [`stdin`](ProcessBuilder::stdin).
    pub fn stderr(mut self, descriptor: impl Into<OwnedFd>) -> ProcessBuilder {
        self.standard[2] = Some(descriptor.into());
        self
    }

    /// Runs this file instead of `/proc/self/exe`. It must be the same build of the same program, at another place.
    ///
    /// A relative path starts at this process's working directory.
    pub fn executable(mut self, path: impl AsRef<Path>) -> ProcessBuilder {
        self.executable = Some(path.as_ref().to_owned());
        self
    }

    /// How the process is started; [`StartMethod::Spawn`] without it.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::{Process, StartMethod};
    ///
    /// # fn main() -> multiproc::Result<()> {
    /// let process = Process::builder()
    ///     .start_method(StartMethod::ForkServer)
    ///     .spawn(|n: u64| n + 1, (41,))?;
    /// assert_eq!(process.join()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_method(mut self, method: StartMethod) -> ProcessBuilder {
        self.start_method = Some(method);
        self
    }

    /// A daemon is ended when this program ends: by SIGTERM, and a second later by SIGKILL. Other children are waited for.
    ///
    /// If this process dies instead, its daemons are killed at once, as by
    /// [`end_with_parent`](ProcessBuilder::end_with_parent). A daemon can start no processes, as in Python: they would be left
    /// behind.
    pub fn daemon(mut self, daemon: bool) -> ProcessBuilder {
        self.daemon = daemon;
        self
    }

    /// Whether the child is killed as soon as this process has died, whatever either of them is doing: typically within a
    /// millisecond. Without this a child outlives its parent, and one that waits for something that only its parent would have
    /// done may wait for ever: set it for every process that only works for this one.
    ///
    /// It has no effect on the end of this program in order, which waits for the child. Of the child's death others learn as of
    /// any other.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::{Process, Queue};
    ///
    /// # fn main() -> multiproc::Result<()> {
    /// let jobs = Queue::<u64>::new()?;
    /// let worker = Process::builder()
    ///     .end_with_parent(true)
    ///     .spawn(|jobs: Queue<u64>| while jobs.get().is_ok() {}, (&jobs,))?;
    /// // Killed here, this process would leave no worker behind.
    /// jobs.close()?;
    /// worker.join()
    /// # }
    /// ```
    pub fn end_with_parent(mut self, ends: bool) -> ProcessBuilder {
        self.end_with_parent = ends;
        self
    }

    /// A process that the crate starts for its own work: it ends as a daemon does, and may have children, since those that it
    /// has are of this kind, or the user's own affair.
    pub(crate) fn helper(mut self) -> ProcessBuilder {
        self.is_helper = true;
        self
    }

    /// When this program ends, the process is neither ended nor waited for: it sees by itself when it is needed no more.
    pub(crate) fn unattended(mut self) -> ProcessBuilder {
        self.unattended = true;
        self
    }

    /// Starts the process: [`Process::spawn`] with what was set here.
    ///
    /// # Errors
    ///
    /// Those of [`Process::spawn`], and
    /// - [`Spawn`](crate::ErrorKind::Spawn) if the executable or the working directory cannot be used; the message names it;
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput) for a variable whose name is empty or holds `=`, or a zero byte
    ///   anywhere.
    pub fn spawn<F, P, A, O>(self, f: F, args: A) -> Result<Process<F::Output>>
    where
        F: Function<P>,
        F::Output: Outcome<O>,
        P: Parameters,
        A: Arguments<P>,
    {
        let entry = Entry::of::<F, P, O>(f);
        // The arguments live until the child has been given what they hold: an end that moves is never without owner.
        let child = self.launch(entry, &|out| args.encode(out, Token), discard::<F::Output, O>)?;
        drop(args);
        Ok(Process::of(child, unpack::<F::Output, O>))
    }

    /// Starts the process: [`Process::run`] with what was set here.
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](ProcessBuilder::spawn).
    pub fn run<T>(self, task: T) -> Result<Process<T::Output>>
    where
        T: Run + Serialize + DeserializeOwned + 'static,
        T::Output: Serialize + DeserializeOwned,
    {
        self.spawn(T::run, (task,))
    }
}

/// Brings a result back that nobody wants, so that the handles in it are released.
pub(super) fn discard<R: Outcome<O>, O>(bytes: &[u8], handles: Claimed) {
    drop(unpack::<R, O>(bytes, handles));
}

impl Process<()> {
    /// Everything that can be set about a process before it starts.
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder::default()
    }
}

impl<R> Process<R> {
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
}
