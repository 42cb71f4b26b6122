//! The start of a keeper: its thread takes the process's slot, and whoever starts it waits for that.
//!
//! The thread is a bare one ([`thread::start_bare`]): with what Rust's standard library does for each thread, libc would make an
//! arena of its allocator for it, which costs eight pages and five system calls in every process.

use crate::error::Result;
use crate::liveness::keeper::Keeper;
use crate::liveness::slot::{PROCESSES, ProcessId};
use crate::liveness::view::Liveness;
use crate::sys::robust::List;
use crate::sys::{barrier, program, thread};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

const STACK: usize = 64 * 1024;

/// The slot that a parent reserved for the calling process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reserved {
    pub(crate) child: ProcessId,
    /// What to call when the parent is dead, if this process ends with it: it ends the process.
    pub(crate) end_with_parent: Option<fn()>,
    /// Whether it ran without a keeper until now, and may have started threads.
    pub(crate) has_begun: bool,
}

/// Starts the keeper, which takes `reserved` or a new slot; returns when the process is registered.
///
/// `after_death` is called from time to time when processes have died and all their threads with them; it must not block.
pub(crate) fn start(
    liveness: &'static Liveness,
    reserved: Option<Reserved>,
    after_death: fn(),
) -> Result<ProcessId> {
    // Kept for ever: the thread frees nothing either.
    let start: &'static Start = Box::leak(Box::default());
    // All memory is taken here: the thread allocates nothing, which also spares it an arena of the allocator.
    let seen = Vec::with_capacity(PROCESSES);
    let dying = Vec::with_capacity(PROCESSES);
    // Here it costs nothing, and beside another thread some milliseconds. A child at its beginning has none.
    let is_at_start = reserved.is_some_and(|reserved| !reserved.has_begun);
    let is_alone = is_at_start || program::count_threads() == 1;
    if is_alone {
        barrier::register();
    } else {
        barrier::forget();
    }
    let body = move || {
        thread::take_short_turns();
        let list = if liveness.is_robust() { List::of_this_thread() } else { None };
        let ends_with = reserved.and_then(|reserved| liveness.ends_with(reserved));
        match liveness.take_process(list.as_ref(), reserved.map(|reserved| reserved.child)) {
            Ok(process) => {
                let mut keeper = Keeper::new(liveness, process, seen, dying);
                keeper.after_death = Some(after_death);
                keeper.ends_with = ends_with;
                start.tell(Ok(process));
                if !is_alone {
                    barrier::register();
                }
                keeper.run();
            }
            Err(error) => start.tell(Err(error)),
        }
    };
    let started = thread::with_signals_blocked(|| thread::start_bare(c"keeper", STACK, body));
    started.map_err(|error| {
        thread::cannot_start(
            "the keeper thread, which every process with shared objects has",
            error,
        )
    })?;
    start.wait()
}

/// What became of a keeper's start.
#[derive(Default)]
struct Start {
    outcome: Mutex<Option<Result<ProcessId>>>,
    told: Condvar,
}

impl Start {
    fn outcome(&self) -> MutexGuard<'_, Option<Result<ProcessId>>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, outcome: Result<ProcessId>) {
        *self.outcome() = Some(outcome);
        self.told.notify_one();
    }

    fn wait(&self) -> Result<ProcessId> {
        let mut outcome = self.outcome();
        loop {
            if let Some(outcome) = outcome.take() {
                return outcome;
            }
            outcome = self.told.wait(outcome).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Liveness {
    /// With whom a process is to end whose slot is reserved; asked before it takes the slot, which names the parent until then.
    fn ends_with(&self, reserved: Reserved) -> Option<(ProcessId, fn())> {
        let parent = self.registry.state(reserved.child.slot()).parent();
        parent.zip(reserved.end_with_parent)
    }
}
