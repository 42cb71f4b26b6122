//! What a child does with a panic: it says so on stderr, naming the process, and keeps message, place and backtrace
//! for the parent.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::PanicHookInfo;
use std::thread::{self, ThreadId};

use std::sync::Mutex;

use super::call::Panic;
use super::child::lock;
use crate::sys::per_process::PerProcess;

/// The last panic of the thread that runs the function.
static LAST: PerProcess<Mutex<Option<Panic>>> = PerProcess::new();

/// Replaces Rust's own report. `dying` is told of each panic of a program that is built to abort on them.
pub(super) fn install(name: &str, dying: impl Fn(&Panic) + Send + Sync + 'static) {
    let (name, pid, main) = (name.to_owned(), std::process::id(), thread::current().id());
    std::panic::set_hook(Box::new(move |info| {
        let panic = describe(info);
        report(&name, pid, main, &panic);
        if cfg!(panic = "abort") {
            dying(&panic);
        }
        if thread::current().id() == main {
            *lock(LAST.get_or_make()) = Some(panic);
        }
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> Panic {
    let backtrace = Backtrace::capture();
    Panic {
        message: text(info.payload()),
        location: info.location().map(ToString::to_string),
        backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
    }
}

/// The message that a panic was given.
fn text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is not text".to_owned()
    }
}

/// One write, so that reports of several processes do not mix.
fn report(name: &str, pid: u32, main: ThreadId, panic: &Panic) {
    use std::fmt::Write as _;
    let mut text = String::from("\n");
    let current = thread::current();
    if current.id() != main {
        let _ = write!(text, "thread '{}' of ", current.name().unwrap_or("<unnamed>"));
    }
    let _ = write!(text, "process '{name}' ({pid}) panicked");
    if let Some(location) = &panic.location {
        let _ = write!(text, " at {location}");
    }
    let _ = writeln!(text, ":\n{}", panic.message);
    match &panic.backtrace {
        Some(backtrace) => {
            let _ = writeln!(text, "stack backtrace:\n{}", backtrace.trim_end());
        }
        None => text.push_str(
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
        ),
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// What was caught: the message, and the place and backtrace if the hook saw this very panic.
pub(super) fn caught(payload: &(dyn Any + Send)) -> Panic {
    let message = text(payload);
    match lock(LAST.get_or_make()).take() {
        Some(last) if last.message == message => last,
        _ => Panic { message, ..Panic::default() },
    }
}
