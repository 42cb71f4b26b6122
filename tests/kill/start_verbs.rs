//! What an actor does with processes of its own: it starts one and joins it; see `actor`.

use multiproc::{Lock, Process, StartMethod};

use super::actor::{Mark, answer};
use super::board::Seat;
use super::ptrace;

/// In how a process is started: by the fork server; with something shared, so that it has a keeper from the beginning.
pub(crate) const SERVER: u64 = 1;
pub(crate) const GIVEN: u64 = 2;
/// What the process answers.
pub(crate) const ANSWER: u64 = 42;

/// Starts a process and joins it.
pub(super) fn perform(place: &Seat, mark: Mark, how: u64) -> multiproc::Result<()> {
    // The end of the process is no step of the operation.
    ptrace::hold_child_signals();
    let method = if how & SERVER != 0 { StartMethod::ForkServer } else { StartMethod::Spawn };
    let builder = Process::builder().start_method(method);
    let answered = if how & GIVEN != 0 {
        let lock = Lock::new()?;
        let locks = |lock: Lock| lock.lock().map_or(0, |_guard| ANSWER);
        mark.around(|| builder.spawn(locks, (&lock,)).and_then(Process::join))
    } else {
        mark.around(|| builder.spawn(|| ANSWER, ()).and_then(Process::join))
    };
    answer(place, answered?);
    Ok(())
}
