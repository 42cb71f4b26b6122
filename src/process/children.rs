//! The children of this process: their list, those that nobody joins, and the end of the program.
//!
//! Who takes the status of a child that nobody joins:
//!
//! - dropping a [`Process`](crate::Process) of a child that runs hands it to the *reaper*: one thread, started at the
//!   first such drop, with all signals blocked, that polls the pidfds of these children and a counter that rings when
//!   there is another one;
//! - the reaper also watches children for those who want to be told of an end and not wait for it ([`watch`]); it leaves the
//!   status to them;
//! - if that thread cannot be started, the child is marked, and each later start and drop looks at the marked ones;
//! - when the program ends, [`finish`] ends the daemons, waits for the others and takes the rest.
//!
//! Order of locks: `reaper`, then a child's `taking`, then `list`; none is held while anything is waited for. All of it
//! belongs to one process: after a fork the forked process has no children, no reaper, and locks of its own
//! ([`PerProcess`]).

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::at_exit;
use super::child::{Child, Started, lock};
use crate::sys::clock::Deadline;
use crate::sys::counter::Counter;
use crate::sys::per_process::PerProcess;
use crate::sys::thread::with_signals_blocked;
use crate::sys::{descriptor, signals};

/// What one process keeps of its children.
#[derive(Default)]
struct Family {
    list: Mutex<Vec<Arc<Child>>>,
    /// Some of them may be marked as left.
    some_left: AtomicBool,
    reaper: Mutex<Option<Reaper>>,
}

/// What the reaper thread is told.
struct Reaper {
    bell: Arc<Counter>,
    new: Vec<Watched>,
}

/// A child that the reaper watches.
struct Watched {
    child: Arc<Child>,
    /// Who is told of its end, and joins it; nobody will join it otherwise.
    tell: Option<Box<dyn FnOnce() + Send>>,
}

impl Watched {
    /// Whether it has ended; its call is freed, or who wants to know is told.
    fn is_over(&mut self) -> bool {
        let Some(tell) = self.tell.take() else {
            return self.child.take_if_ended();
        };
        if !matches!(self.child.look(), Ok(Some(_))) {
            self.tell = Some(tell);
            return false;
        }
        // Not this room's code.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(tell));
        true
    }
}

static FAMILY: PerProcess<Family> = PerProcess::new();

/// Adds a child that was just started.
pub(super) fn register(started: Started) -> Arc<Child> {
    at_exit::finally(finish);
    let child = Arc::new(Child::new(started, remove));
    lock(&FAMILY.get_or_make().list).push(Arc::clone(&child));
    child
}

/// The child has ended.
fn remove(child: &Child) {
    if let Some(family) = FAMILY.get() {
        lock(&family.list).retain(|other| !std::ptr::eq(&**other, child));
    }
}

/// The children that run, the oldest first. Takes the status of those that have ended.
pub(super) fn active() -> Vec<Arc<Child>> {
    sweep();
    children().into_iter().filter(|child| matches!(child.look(), Ok(None))).collect()
}

/// A copy of the list.
fn children() -> Vec<Arc<Child>> {
    FAMILY.get().map_or_else(Vec::new, |family| lock(&family.list).clone())
}

/// Lets go of a child: its status will be taken and its call freed when it ends.
pub(super) fn detach(child: &Arc<Child>) {
    if !child.is_ours() || child.take_if_ended() {
        return;
    }
    if !hand_over(Watched { child: Arc::clone(child), tell: None }) {
        // ORDERING: Relaxed: whoever misses a mark finds it at the next sweep; both are set before the sweep below.
        child.left.store(true, Ordering::Relaxed);
        FAMILY.get_or_make().some_left.store(true, Ordering::Relaxed);
    }
    sweep();
}

/// Looks at the children that neither an owner nor the reaper looks at.
pub(super) fn sweep() {
    let Some(family) = FAMILY.get().filter(|family| family.some_left.load(Ordering::Relaxed))
    else {
        return;
    };
    let left = |child: &&Arc<Child>| child.left.load(Ordering::Relaxed);
    let left: Vec<_> = lock(&family.list).iter().filter(left).cloned().collect();
    for child in left {
        child.take_if_ended();
    }
}

/// Has the reaper call `tell` once the child has ended; `false` if there is no reaper and none can be started.
pub(super) fn watch(child: &Arc<Child>, tell: Box<dyn FnOnce() + Send>) -> bool {
    hand_over(Watched { child: Arc::clone(child), tell: Some(tell) })
}

/// Gives a child to the reaper thread, which is started if there is none; `false` if it cannot be.
fn hand_over(watched: Watched) -> bool {
    let mut slot = lock(&FAMILY.get_or_make().reaper);
    if slot.is_none() {
        let Ok(bell) = Counter::new().map(Arc::new) else {
            return false;
        };
        let heard = Arc::clone(&bell);
        let thread = thread::Builder::new().name("multiproc-reaper".to_owned());
        if with_signals_blocked(|| thread.spawn(move || reap_all(&heard))).is_err() {
            return false;
        }
        *slot = Some(Reaper { bell, new: Vec::new() });
    }
    let Some(reaper) = slot.as_mut() else {
        return false;
    };
    reaper.new.push(watched);
    reaper.bell.add();
    true
}

/// The reaper thread: waits for the children it was given, for the life of the process.
fn reap_all(bell: &Counter) {
    let mut watched: Vec<Watched> = Vec::new();
    loop {
        let mut fds: Vec<BorrowedFd<'_>> = vec![bell.as_fd()];
        fds.extend(watched.iter().map(|watched| watched.child.fd()));
        let ready = descriptor::readable(&fds, Deadline::NEVER);
        let rang = ready.as_ref().is_ok_and(|ready| ready[0]);
        let before = watched.len();
        watched.retain_mut(|watched| !watched.is_over());
        if rang {
            bell.take();
            if let Some(reaper) = lock(&FAMILY.get_or_make().reaper).as_mut() {
                watched.append(&mut reaper.new);
            }
        } else if before == watched.len() {
            // No memory for the call, or a debugger has an ended child: not at full speed.
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// How long a daemon has to follow SIGTERM.
const GRACE: Duration = Duration::from_secs(1);

/// Whether the program is ending: whoever keeps a number of daemons starts no more.
pub(crate) fn is_ending() -> bool {
    // ORDERING: Relaxed: one more that is started ends with this process.
    ENDING.load(Ordering::Relaxed)
}

static ENDING: AtomicBool = AtomicBool::new(false);

/// Ends the daemons and waits for the other children, as Python does at the end of the main program. A forked process has none.
fn finish() {
    ENDING.store(true, Ordering::Relaxed);
    let running = children();
    let daemons: Vec<_> = running.iter().filter(|child| child.daemon).collect();
    for daemon in &daemons {
        let _ = daemon.signal(signals::SIGTERM);
    }
    let grace = Deadline::after(GRACE);
    for child in running.iter().filter(|child| !child.daemon && !child.unattended) {
        let _ = child.wait(Deadline::NEVER);
    }
    for daemon in &daemons {
        if !matches!(daemon.wait(grace), Ok(Some(_))) {
            let _ = daemon.signal(signals::SIGKILL);
            let _ = daemon.wait(Deadline::NEVER);
        }
    }
}
