//! Tasks: functions that other rooms name in one process and run in another, as [`Process::spawn`](crate::Process::spawn) does.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use super::current::current_process;
use super::entry::{Entry, Output, Trampoline};
use super::function::private::Token;
use super::function::{Arguments, Function, Outcome, Parameters};
use super::panic;
use crate::error::{ChildFailure, Error, Result};
use crate::handle::{self, Claimed, Parcel};

/// The name of a function, the same in all processes of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskName {
    /// Where in the image its entry lies.
    pub(crate) offset: u64,
    /// The entry's checksum.
    pub(crate) checksum: u64,
}

impl TaskName {
    /// The name of `f`.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the function is not part of the main executable.
    pub(crate) fn of<F, P, O>(f: F) -> Result<TaskName>
    where
        F: Function<P, Output: Outcome<O>>,
        P: Parameters,
    {
        let (offset, checksum) = Entry::of::<F, P, O>(f).name()?;
        Ok(TaskName { offset, checksum })
    }
}

/// Appends arguments; the handles in them.
#[inline]
pub(crate) fn arguments<P, A: Arguments<P>>(args: &A, out: &mut Vec<u8>) -> Result<Parcel> {
    let ((), handles) = handle::pack(|| args.encode(out, Token))?;
    Ok(handles)
}

/// Brings back what a task returned, with the handles in it.
#[inline]
pub(crate) fn result<R: Outcome<O>, O>(bytes: &[u8], given: Claimed) -> Result<R> {
    handle::unpack(given, || R::take_up(bytes, Token))
}

/// A function that was found by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task(&'static Entry<Trampoline>);

impl Task {
    /// The function of that name.
    ///
    /// # Errors
    ///
    /// `Corrupted` if there is none.
    pub(crate) fn find(name: TaskName) -> Result<Task> {
        Entry::find(name.offset, name.checksum).map(Task)
    }

    /// Runs the function; its result is in `out`, and the handles in the result are given. After an error the end of the bytes may
    /// be a part of a result.
    ///
    /// # Errors
    ///
    /// `Child` with message and place if the function, or a type's serde code, panics; those of the arguments and the result.
    #[inline]
    pub(crate) fn run(self, given: Claimed, args: &[u8], mut out: Output<'_>) -> Result<Parcel> {
        let work = AssertUnwindSafe(|| (self.0.trampoline)(given, args, &mut out));
        std::panic::catch_unwind(work).unwrap_or_else(|payload| Err(panicked(payload)))
    }
}

/// The error of a function that panicked in this process, for whoever had it run.
#[cold]
pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let panic = panic::caught(&*payload);
    // Its destructor may panic again.
    std::mem::forget(payload);
    let this = current_process();
    let failure = ChildFailure::of(this.name(), this.id());
    Error::from_child(failure.with_panic(panic.message, panic.location, panic.backtrace))
}
