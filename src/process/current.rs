//! Who this process is: its name, its place in the tree, its parent.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::call::Request;
use super::child::Child;
use super::handle::ProcessHandle;
use crate::sys::per_process::{self, PerProcess, SetOnce};

#[derive(Debug)]
struct Identity {
    name: String,
    /// The path from the main process, each child by its number: `1:2`. Empty for the main process.
    number: String,
    parent: Option<Parent>,
    daemon: bool,
}

/// The parent of a child.
#[derive(Debug)]
struct Parent {
    pid: u32,
    name: String,
    /// Whose parent it is: that child's number in [`per_process`], which a process that it forks has not.
    of: u64,
}

static IDENTITY: SetOnce<Identity> = SetOnce::new();

fn identity() -> &'static Identity {
    IDENTITY.get_or_make(|| Identity {
        name: "MainProcess".to_owned(),
        number: String::new(),
        parent: None,
        daemon: false,
    })
}

/// Whether this process was started as a daemon; one that it forks is none.
pub(super) fn is_daemon() -> bool {
    let identity = identity();
    let is_own = |parent: &Parent| parent.of == per_process::process();
    identity.daemon && identity.parent.as_ref().is_some_and(is_own)
}

/// Tells a child who it is, before its function runs.
pub(super) fn set(request: &Request) {
    IDENTITY.replace(Identity {
        name: request.name.clone(),
        number: request.number.clone(),
        parent: Some(Parent {
            pid: request.parent_pid,
            name: request.parent_name.clone(),
            of: per_process::process(),
        }),
        daemon: request.daemon,
    });
}

/// The number of the next child: `3` in the main process, `1:3` in its first child.
pub(super) fn next_number() -> String {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    // ORDERING: Relaxed: only the number itself must be new.
    let count = STARTED.fetch_add(1, Ordering::Relaxed) + 1;
    match identity().number.as_str() {
        "" => count.to_string(),
        number => format!("{number}:{count}"),
    }
}

/// The process that calls: [`current_process`] gives it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CurrentProcess {
    name: &'static str,
    id: u32,
}

impl CurrentProcess {
    /// `MainProcess`; in a child the name it was given, or `Process-1`, or `Process-1:2` for the second child of the
    /// first one.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl fmt::Debug for CurrentProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentProcess").field("name", &self.name).field("id", &self.id).finish()
    }
}

impl fmt::Display for CurrentProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

/// Who the calling process is.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, current_process};
///
/// # fn main() -> multiproc::Result<()> {
/// assert_eq!(current_process().name(), "MainProcess");
/// let process = Process::spawn(|| current_process().name().to_owned(), ())?;
/// assert_eq!(process.join()?, "Process-1");
/// # Ok(())
/// # }
/// ```
pub fn current_process() -> CurrentProcess {
    CurrentProcess { name: &identity().name, id: std::process::id() }
}

/// The process that started this one, or `None` in a process that [`Process`](crate::Process) did not start, such as the
/// first one or a forked one.
///
/// It can be watched and signalled. Its exit status is never known here: only its own parent learns it, and
/// [`ProcessHandle::wait`] is an error once it has ended. If it had ended before the first call of this function, the
/// handle says so. `None` also if there is no descriptor left for the handle.
pub fn parent_process() -> Option<ProcessHandle> {
    static PARENT: PerProcess<OnceLock<ProcessHandle>> = PerProcess::new();
    let parent = identity().parent.as_ref().filter(|parent| parent.of == per_process::process())?;
    let known = PARENT.get_or_make();
    if let Some(parent) = known.get() {
        return Some(parent.clone());
    }
    let child = Child::stranger(parent.pid, &parent.name).ok()?;
    Some(known.get_or_init(|| ProcessHandle::of(child)).clone())
}

/// How many processors this process may use: its affinity mask and its control group's quota, whichever is less.
///
/// # Examples
///
/// ```
/// assert!(multiproc::cpu_count() >= 1);
/// ```
pub fn cpu_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
