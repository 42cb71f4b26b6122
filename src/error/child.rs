//! How a child process failed.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};

/// How a child process failed: [`Error::child`](crate::Error::child) has it.
///
/// A panic has a message and a place, a signal its number, and any other end without a result the
/// exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildFailure {
    name: String,
    pid: u32,
    /// As `wait(2)` gives it.
    status: Option<i32>,
    message: Option<String>,
    location: Option<String>,
    backtrace: Option<String>,
    /// What else is known about the end.
    note: Option<String>,
}

impl ChildFailure {
    /// A failure of which nothing is known but whose it is.
    pub(crate) fn of(name: impl Into<String>, pid: u32) -> ChildFailure {
        ChildFailure {
            name: name.into(),
            pid,
            status: None,
            message: None,
            location: None,
            backtrace: None,
            note: None,
        }
    }

    /// The process ended in this way.
    pub(crate) fn with_status(mut self, status: ExitStatus) -> ChildFailure {
        self.status = Some(status.into_raw());
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

    /// How the process ended, if that is known: it is not if some other code of the program took the status.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status.map(ExitStatus::from_raw)
    }

    /// The exit code, unless a signal ended the process. It is 101 after a panic.
    pub fn exit_code(&self) -> Option<i32> {
        self.status()?.code()
    }

    /// The signal that ended the process: 9 is SIGKILL, 11 is SIGSEGV.
    pub fn signal(&self) -> Option<i32> {
        self.status()?.signal()
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
        match (self.signal(), self.exit_code()) {
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
