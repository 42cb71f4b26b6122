//! Errors of the system: which kind each has here, and what helps against it.
//!
//! One table, [`KNOWN`], answers both by the error's number, so that no call site guesses: it says what it could not do, and
//! the number adds the advice. Numbers that are not in the table have the kind that the standard library's category gives.

use std::io;

use super::{Error, ErrorKind};

/// An error of the system: its number, its kind here, and what helps against it, if there is more to say than its text.
struct Known {
    number: i32,
    kind: ErrorKind,
    hint: &'static str,
}

const fn known(number: i32, kind: ErrorKind, hint: &'static str) -> Known {
    Known { number, kind, hint }
}

/// The numbers are the same on every architecture that this crate runs on.
const KNOWN: &[Known] = &[
    known(
        1, // EPERM
        ErrorKind::PermissionDenied,
        "this process lacks the right to do it, or a seccomp filter or security module of its container or service forbids \
         it",
    ),
    known(
        12, // ENOMEM
        ErrorKind::OutOfMemory,
        "free memory, or raise the limit on address space (ulimit -v), of the control group (memory.max), or on the number \
         of mappings (sysctl vm.max_map_count)",
    ),
    known(
        23, // ENFILE
        ErrorKind::Limit,
        "the limit is that of the whole system: raise it with sysctl fs.file-max",
    ),
    known(
        24, // EMFILE
        ErrorKind::Limit,
        "the limit is that of this process: close descriptors, or raise it with ulimit -n",
    ),
    known(
        27, // EFBIG
        ErrorKind::Limit,
        "the limit is that on the size of a file, which also holds for shared memory: raise it with ulimit -f",
    ),
    known(
        28, // ENOSPC
        ErrorKind::Limit,
        "the file system or the memory that stands behind it is full: free some of it, or give it more",
    ),
    known(
        38, // ENOSYS
        ErrorKind::Unsupported,
        "the kernel is too old or a sandbox hides this system call: Linux 5.4 or later is needed, and leave of the sandbox \
         if there is one",
    ),
    known(
        122, // EDQUOT
        ErrorKind::Limit,
        "the quota of this user is used up: free some of it, or raise it",
    ),
];

/// What is known about an error of the system.
fn find(cause: &io::Error) -> Option<&'static Known> {
    let number = cause.raw_os_error()?;
    KNOWN.iter().find(|known| known.number == number)
}

/// The kind that an error of the system has here.
fn kind_of(cause: &io::Error) -> ErrorKind {
    if let Some(known) = find(cause) {
        return known.kind;
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

/// The system's text, and what helps against this very error.
fn text_of(cause: &io::Error) -> String {
    match find(cause) {
        Some(known) => format!("{cause}; {}", known.hint),
        None => cause.to_string(),
    }
}

impl Error {
    /// The system refused `what`, a clause such as "cannot map the world".
    ///
    /// Kind and advice are drawn from the system's error, which is also the source: `what` gives no advice of its own.
    #[cold]
    pub(crate) fn os(what: impl Into<String>, cause: io::Error) -> Error {
        let mut message = what.into();
        message.push_str(": ");
        message.push_str(&text_of(&cause));
        Error::of(kind_of(&cause), message).with_source(cause)
    }
}

/// Takes the system's text and draws the kind from the system's error. An [`Error`] that was
/// wrapped into an `io::Error` comes out as it went in.
impl From<io::Error> for Error {
    fn from(cause: io::Error) -> Error {
        match cause.downcast::<Error>() {
            Ok(error) => error,
            Err(cause) => Error::of(kind_of(&cause), text_of(&cause)).with_source(cause),
        }
    }
}
