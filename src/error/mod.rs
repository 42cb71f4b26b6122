//! The one error type of this crate.
//!
//! [`Error`] is opaque and small: a kind, a message, what happened in a child if a child is what
//! failed, and what caused it. Look at it with the predicates ([`Error::is_timeout`] and its
//! siblings) or with [`Error::kind`]. It holds no guard and no value, so that `?` works in every
//! function that returns `Box<dyn std::error::Error>` and the like.
//!
//! An error that a polling loop makes over and over (`try_get` on an empty queue) is one word and
//! a tag: nothing is allocated for it. Errors travel between processes. On the way, causes become
//! text: a message received is `Serialize`, an arbitrary `dyn Error` is not.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What calls of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

// ---------------------------------------------------------------------------------------------
// Kinds
// ---------------------------------------------------------------------------------------------

/// Declares the kinds once: the variant with its documentation, its predicate, its standard text.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident, $predicate:ident, $text:literal;)+) => {
        /// The category of an [`Error`].
        ///
        /// Its [`Display`](fmt::Display) is the text that an error of the kind carries when
        /// nothing more is known.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl ErrorKind {
            /// The message of an error of which only the kind is known.
            const fn text(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => $text,)+
                }
            }

            #[cfg(test)]
            const ALL: &[ErrorKind] = &[$(ErrorKind::$kind,)+];
        }

        /// One question for each [`ErrorKind`].
        impl Error {
            $(
                #[doc = concat!("Whether the kind is [`ErrorKind::", stringify!($kind), "`].")]
                #[doc = ""]
                $(#[doc = $doc])+
                #[inline]
                pub fn $predicate(&self) -> bool {
                    self.kind() == ErrorKind::$kind
                }
            )+
        }

        #[cfg(test)]
        const PREDICATES: &[fn(&Error) -> bool] = &[$(Error::$predicate,)+];
    };
}

kinds! {
    /// The time given to the call ran out. Nothing was done.
    Timeout, is_timeout, "timed out";
    /// Somebody else holds it at the moment, and the call was one that does not wait.
    Busy, is_busy, "held by somebody else at the moment: wait for it or try again";
    /// There is no room at the moment.
    Full, is_full, "full: no room for another item at the moment";
    /// There is nothing to take at the moment.
    Empty, is_empty, "empty: no item at the moment";
    /// The other side is gone, or the object was closed. It will not change any more.
    Closed, is_closed, "closed: the other side is gone, or it was closed on purpose";
    /// The process or thread that held the lock died. `recover` takes the lock.
    OwnerDied, is_owner_died, "the process or thread that held the lock died; the data it guarded \
        may be half written: call recover() to take the lock and repair it";
    /// Shared memory holds what this crate never writes.
    Corrupted, is_corrupted, "the shared memory holds what is never written there: stop using it \
        and make it anew";
    /// The calling thread already holds what it asks for and would wait for itself.
    Deadlock, is_deadlock, "this thread holds the lock already and would wait for itself";
    /// The calling thread already has the data borrowed through a guard.
    AlreadyBorrowed, is_already_borrowed, "this thread has the data borrowed already: drop its \
        guard first";
    /// The object or the record is of another kind, type, version or size than was asked for.
    Mismatch, is_mismatch, "it is not of the kind, type or size that was asked for";
    /// A message or an object is larger than what is to hold it can ever be.
    TooLarge, is_too_large, "too large for what is to hold it";
    /// There is no memory left for it.
    OutOfMemory, is_out_of_memory, "out of memory: free some, or raise the limit of the control \
        group or of the object";
    /// A limit on descriptors, processes, threads or sizes is reached. The message says which one
    /// and how to raise it.
    Limit, is_limit, "a limit of the system or of the object is reached";
    /// Nothing has that name.
    NotFound, is_not_found, "not found";
    /// Something has that name already.
    AlreadyExists, is_already_exists, "it exists already";
    /// The system does not allow it to this process.
    PermissionDenied, is_permission_denied, "permission denied";
    /// An argument makes no sense. The message says which one and why.
    InvalidInput, is_invalid_input, "an argument is not valid";
    /// A value could not be turned into a message. Nothing of it was sent.
    Encode, is_encode, "the value cannot be turned into a message";
    /// A message could not be turned back into a value of the type asked for.
    Decode, is_decode, "the message cannot be turned into a value of the type asked for";
    /// The system, or this version of the crate, cannot do that.
    Unsupported, is_unsupported, "not supported by this system or by this version";
    /// The object belongs to another process or tree of processes: it was inherited over a fork,
    /// or a handle was serialised outside its world.
    Foreign, is_foreign, "it belongs to another process: an object inherited over a fork, or a \
        handle serialised outside its tree of processes; pass it in the arguments of a process, \
        or through a queue";
    /// A process could not be started.
    Spawn, is_spawn, "the process could not be started";
    /// A child process failed: it panicked, was killed, or ended without a result.
    /// [`Error::child`] has the details.
    Child, is_child, "the child process failed";
    /// The system refused an operation for a reason that has no kind of its own.
    Io, is_io, "an operation of the system failed";
    /// An error from outside this crate, wrapped by [`Error::other`].
    Other, is_other, "another error";
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

// ---------------------------------------------------------------------------------------------
// Error
// ---------------------------------------------------------------------------------------------

/// The error of every call in this crate.
///
/// `Send + Sync + 'static`, and `Serialize + Deserialize`, so that a process function can return
/// `multiproc::Result<T>`. Causes arrive on the other side as text.
///
/// [`Display`](fmt::Display) is one line. [`Debug`](fmt::Debug) is what `fn main() -> Result<()>`
/// prints: that line, the kind, the chain of causes, and the backtrace of a child that panicked.
pub struct Error(Repr);

enum Repr {
    Simple(ErrorKind),
    Full(Box<Inner>),
}

struct Inner {
    kind: ErrorKind,
    /// Empty if `child` says it all.
    message: String,
    child: Option<ChildFailure>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Wraps any error, or a text, that comes from outside this crate.
    ///
    /// The kind is [`ErrorKind::Other`], the message that of `error`, and
    /// [`source`](StdError::source) gives `error` itself back.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::{Error, Result};
    ///
    /// fn port(text: &str) -> Result<u16> {
    ///     text.parse().map_err(Error::other)
    /// }
    ///
    /// let error = port("http").unwrap_err();
    /// assert!(error.is_other());
    /// assert_eq!(error.to_string(), "invalid digit found in string");
    /// ```
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        let source = error.into();
        Error::new(ErrorKind::Other, source.to_string()).with_source(source)
    }

    /// The category of the error.
    #[inline]
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            Repr::Simple(kind) => *kind,
            Repr::Full(inner) => inner.kind,
        }
    }

    /// How the child process failed, if that is what the error is about.
    pub fn child(&self) -> Option<&ChildFailure> {
        match &self.0 {
            Repr::Simple(_) => None,
            Repr::Full(inner) => inner.child.as_ref(),
        }
    }

    /// An error of which only the kind is known. It allocates nothing.
    #[inline]
    pub(crate) const fn simple(kind: ErrorKind) -> Error {
        Error(Repr::Simple(kind))
    }

    /// An error with a message: lower case, no full stop; what was expected, what was found, what
    /// to do.
    #[cold]
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Repr::Full(Box::new(Inner {
            kind,
            message: message.into(),
            child: None,
            source: None,
        })))
    }

    /// The system refused `what`, a clause such as "cannot map the world". The kind is drawn from
    /// the system's error, which is also the source.
    #[cold]
    pub(crate) fn os(what: impl Into<String>, cause: io::Error) -> Error {
        let mut message = what.into();
        message.push_str(": ");
        message.push_str(&cause.to_string());
        message.push_str(limit_hint(&cause));
        Error::new(kind_of(&cause), message).with_source(cause)
    }

    /// The same error with a cause. A cause that was there before is replaced.
    #[cold]
    pub(crate) fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        let mut inner = match self.0 {
            Repr::Full(inner) => inner,
            Repr::Simple(kind) => {
                Box::new(Inner { kind, message: kind.text().to_owned(), child: None, source: None })
            }
        };
        inner.source = Some(source.into());
        Error(Repr::Full(inner))
    }

    /// The same, as another kind.
    pub(crate) fn with_kind(self, kind: ErrorKind) -> Error {
        match self.0 {
            Repr::Simple(_) => Error::simple(kind),
            Repr::Full(inner) => Error(Repr::Full(Box::new(Inner { kind, ..*inner }))),
        }
    }

    /// A child process failed.
    #[cold]
    pub(crate) fn from_child(failure: ChildFailure) -> Error {
        Error(Repr::Full(Box::new(Inner {
            kind: ErrorKind::Child,
            message: String::new(),
            child: Some(failure),
            source: None,
        })))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Simple(kind) => f.write_str(kind.text()),
            Repr::Full(inner) => match &inner.child {
                Some(child) if inner.message.is_empty() => child.fmt(f),
                Some(child) => write!(f, "{}: {child}", inner.message),
                None => f.write_str(&inner.message),
            },
        }
    }
}

/// The message, the kind in brackets, a line for each cause that says something new, and the
/// backtrace of a child that panicked. Written for people: `unwrap` and `main` print it.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.to_string();
        write!(f, "{message} [{:?}]", self.kind())?;
        // `os` and `other` put the text of the cause into the message: not twice.
        let mut told = message;
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !told.contains(&text) {
                write!(f, "\n  caused by: {text}")?;
            }
            told = text;
            cause = error.source();
        }
        if let Some(backtrace) = self.child().and_then(ChildFailure::backtrace) {
            write!(f, "\n  backtrace of the child:\n{}", backtrace.trim_end())?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0 {
            Repr::Simple(_) => None,
            Repr::Full(inner) => {
                inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
            }
        }
    }
}

/// Takes the system's text and draws the kind from the system's error. An [`Error`] that was
/// wrapped into an `io::Error` comes out as it went in.
impl From<io::Error> for Error {
    fn from(cause: io::Error) -> Error {
        match cause.downcast::<Error>() {
            Ok(error) => error,
            Err(cause) => Error::new(kind_of(&cause), format!("{cause}{}", limit_hint(&cause)))
                .with_source(cause),
        }
    }
}

impl From<ErrorKind> for Error {
    /// An error with the standard text of the kind. It allocates nothing.
    fn from(kind: ErrorKind) -> Error {
        Error::simple(kind)
    }
}

// The numbers are the same on every Linux architecture.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// The kind that an error of the system has here.
fn kind_of(cause: &io::Error) -> ErrorKind {
    if let Some(EMFILE | ENFILE) = cause.raw_os_error() {
        return ErrorKind::Limit;
    }
    match cause.kind() {
        io::ErrorKind::TimedOut => ErrorKind::Timeout,
        io::ErrorKind::ResourceBusy => ErrorKind::Busy,
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected => ErrorKind::Closed,
        io::ErrorKind::Deadlock => ErrorKind::Deadlock,
        io::ErrorKind::ArgumentListTooLong => ErrorKind::TooLarge,
        io::ErrorKind::OutOfMemory => ErrorKind::OutOfMemory,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::Limit
        }
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => ErrorKind::InvalidInput,
        io::ErrorKind::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::Io,
    }
}

/// What to add to the system's text when a limit was met: which one, and how to raise it.
fn limit_hint(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(EMFILE) => "; the limit is that of this process: raise it with ulimit -n",
        Some(ENFILE) => "; the limit is that of the whole system: raise it with sysctl fs.file-max",
        _ => match cause.kind() {
            io::ErrorKind::FileTooLarge => {
                "; the limit is that on the size of a file: raise it with ulimit -f"
            }
            io::ErrorKind::StorageFull => {
                "; the file system is full: free some of it, or give it more"
            }
            _ => "",
        },
    }
}

// ---------------------------------------------------------------------------------------------
// Errors between processes
// ---------------------------------------------------------------------------------------------

/// An [`Error`] as it travels.
#[derive(Serialize, Deserialize)]
struct Wire {
    kind: ErrorKind,
    /// `None` for a simple one.
    message: Option<String>,
    child: Option<ChildFailure>,
    /// The nearest cause first.
    causes: Vec<String>,
}

/// A cause that came from another process: its text is left, its type is not.
#[derive(Debug)]
struct Text {
    text: String,
    source: Option<Box<Text>>,
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Text {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (message, child) = match &self.0 {
            Repr::Simple(_) => (None, None),
            Repr::Full(inner) => (Some(inner.message.clone()), inner.child.clone()),
        };
        let causes = std::iter::successors(self.source(), |error| (*error).source())
            .map(ToString::to_string);
        Wire { kind: self.kind(), message, child, causes: causes.collect() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Error, D::Error> {
        let Wire { kind, message, child, causes } = Wire::deserialize(deserializer)?;
        let Some(message) = message else {
            return Ok(Error::simple(kind));
        };
        let source = causes
            .into_iter()
            .rev()
            .fold(None, |source, text| Some(Box::new(Text { text, source })))
            .map(|text| text as Box<dyn StdError + Send + Sync>);
        Ok(Error(Repr::Full(Box::new(Inner { kind, message, child, source }))))
    }
}

// ---------------------------------------------------------------------------------------------
// A failed child
// ---------------------------------------------------------------------------------------------

/// How a child process failed: [`Error::child`] has it.
///
/// A panic has a message and a place, a signal its number, and any other end without a result the
/// exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildFailure {
    name: String,
    pid: u32,
    exit_code: Option<i32>,
    signal: Option<i32>,
    message: Option<String>,
    location: Option<String>,
    backtrace: Option<String>,
    /// What else is known about the end.
    note: Option<String>,
}

impl ChildFailure {
    /// A failure of which nothing is known but whose it is.
    pub(crate) fn new(name: impl Into<String>, pid: u32) -> ChildFailure {
        ChildFailure {
            name: name.into(),
            pid,
            exit_code: None,
            signal: None,
            message: None,
            location: None,
            backtrace: None,
            note: None,
        }
    }

    /// The process ended with this code.
    pub(crate) fn with_exit_code(mut self, code: Option<i32>) -> ChildFailure {
        self.exit_code = code;
        self
    }

    /// The process was ended by this signal.
    pub(crate) fn with_signal(mut self, signal: Option<i32>) -> ChildFailure {
        self.signal = signal;
        self
    }

    /// The process panicked.
    pub(crate) fn with_panic(
        mut self,
        message: impl Into<String>,
        location: Option<String>,
        backtrace: Option<String>,
    ) -> ChildFailure {
        self.message = Some(message.into());
        self.location = location;
        self.backtrace = backtrace;
        self
    }

    /// What else is known about an end without a result: "it ended before its function returned".
    pub(crate) fn with_note(mut self, note: impl Into<String>) -> ChildFailure {
        self.note = Some(note.into());
        self
    }

    /// The name of the process, as in [`ProcessHandle`](crate::ProcessHandle): `Process-1` unless
    /// it was given another.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number that the process had in the system. It may be another's by now.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The exit code, unless a signal ended the process. It is 101 after a panic.
    pub fn exit_code(&self) -> Option<i32> {
        self.exit_code
    }

    /// The signal that ended the process: 9 is SIGKILL, 11 is SIGSEGV.
    pub fn signal(&self) -> Option<i32> {
        self.signal
    }

    /// The message of the panic.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Where the panic was: `src/work.rs:17:9`.
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// The stack of the panic, if `RUST_BACKTRACE` asked for it.
    pub fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }
}

impl fmt::Display for ChildFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {:?} (pid {}) ", self.name, self.pid)?;
        if let Some(message) = &self.message {
            f.write_str("panicked")?;
            if let Some(location) = &self.location {
                write!(f, " at {location}")?;
            }
            return write!(f, ": {message}");
        }
        match (self.signal, self.exit_code) {
            (Some(signal), _) => match signal_name(signal) {
                Some(name) => write!(f, "was killed by signal {signal} ({name})"),
                None => write!(f, "was killed by signal {signal}"),
            },
            (None, Some(code)) => write!(f, "ended with exit code {code}"),
            (None, None) => f.write_str("ended without a result"),
        }?;
        match &self.note {
            Some(note) => write!(f, ": {note}"),
            None => Ok(()),
        }
    }
}

/// The name of a signal on Linux, as far as the usual architectures agree on it.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roundtrip<T: Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
        postcard::from_bytes(&postcard::to_stdvec(value).unwrap()).unwrap()
    }

    fn worker() -> ChildFailure {
        ChildFailure::new("worker", 123)
    }

    #[test]
    fn it_is_small_and_goes_anywhere() {
        fn anywhere<T: Send + Sync + Clone + 'static>() {}
        fn error<T: StdError + Send + Sync + 'static>() {}
        error::<Error>();
        anywhere::<ChildFailure>();
        assert!(size_of::<Error>() <= 16);
        assert!(size_of::<Result<()>>() <= 16);
        fn boxed() -> std::result::Result<(), Box<dyn StdError + Send + Sync>> {
            Err(Error::simple(ErrorKind::Full))?
        }
        assert!(boxed().unwrap_err().downcast::<Error>().unwrap().is_full());
    }

    #[test]
    fn each_kind_has_its_predicate_and_a_text_in_the_house_style() {
        assert_eq!(ErrorKind::ALL.len(), PREDICATES.len());
        for (at, kind) in ErrorKind::ALL.iter().enumerate() {
            let error = Error::simple(*kind);
            assert_eq!(error.kind(), *kind);
            for (other, predicate) in PREDICATES.iter().enumerate() {
                assert_eq!(predicate(&error), at == other, "{kind:?}");
                assert_eq!(predicate(&Error::new(*kind, "x")), at == other, "{kind:?}");
            }
            let text = error.to_string();
            assert_eq!(text, kind.to_string());
            assert!(text.starts_with(|c: char| c.is_lowercase()), "{text}");
            assert!(!text.ends_with('.') && !text.contains("  "), "{text}");
        }
        assert!(Error::from(ErrorKind::Busy).is_busy());
    }

    #[test]
    fn display_and_debug_of_simple_and_told_errors() {
        let error = Error::simple(ErrorKind::Timeout);
        assert_eq!(error.to_string(), "timed out");
        assert_eq!(format!("{error:?}"), "timed out [Timeout]");
        let error = Error::new(ErrorKind::InvalidInput, "0 parties").with_source("no reason");
        assert_eq!(error.to_string(), "0 parties");
        assert_eq!(format!("{error:?}"), "0 parties [InvalidInput]\n  caused by: no reason");
        let error = Error::simple(ErrorKind::Spawn).with_source(Error::simple(ErrorKind::Limit));
        assert!(error.is_spawn());
        assert_eq!(error.to_string(), ErrorKind::Spawn.text());
        assert!(error.source().unwrap().downcast_ref::<Error>().unwrap().is_limit());
    }

    #[test]
    fn an_error_of_the_system_has_its_kind_text_and_source() {
        let error = Error::os("cannot map the world", io::Error::from_raw_os_error(12));
        assert!(error.is_out_of_memory());
        assert_eq!(error.to_string(), "cannot map the world: Cannot allocate memory (os error 12)");
        assert_eq!(format!("{error:?}"), format!("{error} [OutOfMemory]"));
        let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.raw_os_error(), Some(12));

        for (errno, hint) in [(EMFILE, "ulimit -n"), (ENFILE, "fs.file-max"), (27, "ulimit -f")] {
            let told = Error::os("cannot open it", io::Error::from_raw_os_error(errno));
            assert!(told.is_limit() && told.to_string().contains(hint), "{told}");
            let bare = Error::from(io::Error::from_raw_os_error(errno));
            assert!(bare.is_limit() && bare.to_string().contains(hint), "{bare}");
        }
    }

    #[test]
    fn kinds_follow_errno() {
        for (errno, kind) in [
            (1, ErrorKind::PermissionDenied),
            (2, ErrorKind::NotFound),
            (5, ErrorKind::Io),
            (7, ErrorKind::TooLarge),
            (11, ErrorKind::Io),
            (13, ErrorKind::PermissionDenied),
            (16, ErrorKind::Busy),
            (17, ErrorKind::AlreadyExists),
            (22, ErrorKind::InvalidInput),
            (28, ErrorKind::Limit),
            (32, ErrorKind::Closed),
            (35, ErrorKind::Deadlock),
            (38, ErrorKind::Unsupported),
            (104, ErrorKind::Closed),
            (110, ErrorKind::Timeout),
        ] {
            let error = Error::from(io::Error::from_raw_os_error(errno));
            assert_eq!(error.kind(), kind, "{error}");
        }
    }

    #[test]
    fn an_error_inside_an_io_error_comes_out_again() {
        let inside = io::Error::other(Error::simple(ErrorKind::OwnerDied));
        assert!(Error::from(inside).is_owner_died());
        let text = Error::from(io::Error::other("odd"));
        assert!(text.is_io());
        assert_eq!(text.to_string(), "odd");
    }

    #[test]
    fn other_keeps_what_it_wraps() {
        let error = Error::other("x".parse::<u8>().unwrap_err());
        assert!(error.is_other());
        assert_eq!(error.to_string(), "invalid digit found in string");
        assert_eq!(format!("{error:?}"), "invalid digit found in string [Other]");
        assert!(error.source().unwrap().is::<std::num::ParseIntError>());
        assert_eq!(Error::other("just text").to_string(), "just text");
    }

    #[test]
    fn a_simple_error_arrives_simple() {
        for kind in ErrorKind::ALL {
            let error = roundtrip(&Error::simple(*kind));
            assert_eq!(error.kind(), *kind);
            assert!(matches!(error.0, Repr::Simple(_)));
        }
    }

    #[test]
    fn causes_arrive_as_text() {
        let cause = Error::new(ErrorKind::Io, "middle").with_source("deepest");
        let error = roundtrip(&Error::new(ErrorKind::Spawn, "outer").with_source(cause));
        assert!(error.is_spawn());
        assert_eq!(error.to_string(), "outer");
        let middle = error.source().unwrap();
        assert_eq!(middle.to_string(), "middle");
        assert_eq!(middle.source().unwrap().to_string(), "deepest");
        assert!(middle.source().unwrap().source().is_none());
        let debug = "outer [Spawn]\n  caused by: middle\n  caused by: deepest";
        assert_eq!(format!("{error:?}"), debug);
        // Once text, text for ever: a second journey changes nothing.
        assert_eq!(format!("{:?}", roundtrip(&error)), debug);
    }

    #[test]
    fn a_panic_of_a_child() {
        let failure = worker().with_exit_code(Some(101)).with_panic(
            "boom",
            Some("src/x.rs:3:5".into()),
            Some("   0: work\n".into()),
        );
        let error = roundtrip(&Error::from_child(failure.clone()));
        assert!(error.is_child());
        let child = error.child().unwrap();
        assert_eq!(*child, failure);
        assert_eq!((child.name(), child.pid()), ("worker", 123));
        assert_eq!((child.exit_code(), child.signal()), (Some(101), None));
        assert_eq!(child.message(), Some("boom"));
        assert_eq!(child.location(), Some("src/x.rs:3:5"));
        assert_eq!(child.backtrace(), Some("   0: work\n"));
        let line = "process \"worker\" (pid 123) panicked at src/x.rs:3:5: boom";
        assert_eq!(error.to_string(), line);
        assert_eq!(
            format!("{error:?}"),
            format!("{line} [Child]\n  backtrace of the child:\n   0: work")
        );
        assert_eq!(
            worker().with_panic("boom", None, None).to_string(),
            "process \"worker\" (pid 123) panicked: boom"
        );
    }

    #[test]
    fn other_ends_of_a_child() {
        let killed = worker().with_signal(Some(9));
        assert_eq!(
            killed.to_string(),
            "process \"worker\" (pid 123) was killed by signal 9 (SIGKILL)"
        );
        assert_eq!(killed.signal(), Some(9));
        assert!(worker().with_signal(Some(40)).to_string().ends_with("was killed by signal 40"));
        let ended = worker().with_exit_code(Some(3));
        assert_eq!(ended.to_string(), "process \"worker\" (pid 123) ended with exit code 3");
        assert!(worker().to_string().ends_with("ended without a result"));
        let early = ended.with_note("it ended before its function returned");
        let line = "process \"worker\" (pid 123) ended with exit code 3: it ended before its function returned";
        assert_eq!(early.to_string(), line);
        let error = roundtrip(&Error::from_child(early));
        assert_eq!(error.to_string(), line);
        assert_eq!(format!("{error:?}"), format!("{line} [Child]"));
        assert!(worker().with_note("and why").to_string().ends_with("without a result: and why"));
        assert!(Error::simple(ErrorKind::Child).child().is_none());
    }
}
