//! What is called when a process ends in order: the functions of the program, then what this crate has left to do.
//!
//! Both hang on one call of libc at the end, so that their order does not depend on which was asked for first: the program's
//! functions come first, the last one registered before the others, while its children still run.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

use super::child::lock;
use crate::sys::per_process::{PerProcess, SetOnce};
use crate::sys::program;

type Function = Box<dyn FnOnce() + Send>;

/// Those of this process; a forked one has none.
static FUNCTIONS: PerProcess<Mutex<Vec<Function>>> = PerProcess::new();
/// What comes after them.
static LAST: SetOnce<fn()> = SetOnce::new();

/// Has a function called when this process ends in order: when its `main`, or the function of a child, has returned or
/// panicked, and at [`std::process::exit`]. Not when it is killed or aborts.
///
/// The function registered last is called first. All are called before the process ends its daemons and waits for its other
/// children, and in a child before [`join`](crate::Process::join) returns in the parent: what they write is written by then.
/// A panic in one is reported, and the next is called. One that does not return keeps the process from ending.
///
/// A process has only the functions that it registered itself: neither a child nor a forked process has its parent's.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, Queue, at_exit};
///
/// # fn main() -> multiproc::Result<()> {
/// let log = Queue::<String>::new()?;
/// let work = |log: Queue<String>| {
///     let last = log.clone();
///     at_exit(move || last.put("cleaned up").expect("the queue is there"));
///     log.put("worked").expect("the queue is there");
/// };
/// Process::spawn(work, (&log,))?.join()?;
/// assert_eq!(log.get_many(10)?, ["worked", "cleaned up"]);
/// # Ok(())
/// # }
/// ```
pub fn at_exit(f: impl FnOnce() + Send + 'static) {
    lock(FUNCTIONS.get_or_make()).push(Box::new(f));
    ask();
}

/// Has `f` called after the functions of the program.
pub(super) fn finally(f: fn()) {
    if LAST.get().is_none() {
        LAST.set(f);
        ask();
    }
}

/// Asks libc once. A forked process inherits that. Two threads may ask at once: the second call finds nothing to do.
fn ask() {
    static ASKED: SetOnce<()> = SetOnce::new();
    if ASKED.get().is_none() {
        program::at_exit(run);
        ASKED.set(());
    }
}

extern "C" fn run() {
    call_all();
}

/// Calls them. A function that is called has been taken off the list.
pub(super) fn call_all() {
    while let Some(f) = FUNCTIONS.get().and_then(|functions| lock(functions).pop()) {
        let _ = std::panic::catch_unwind(AssertUnwindSafe(f));
    }
    if let Some(last) = LAST.get() {
        let _ = std::panic::catch_unwind(last);
    }
}
