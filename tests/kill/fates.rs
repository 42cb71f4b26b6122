//! What happens to the victim at its point, and what becomes of it.
//!
//! **A stopped victim.** Under [`Fate::Stop`] a wait that takes long asks whether the stopped victim
//! may legitimately hold what is waited for. If so it is let go, and the wait starts anew; if not,
//! the wait must end while the victim stands.
//!
//! **A witness.** Under [`Fate::Witness`] the victim, which lives, stands at its point while the
//! script kills somebody else; then it is let go as a stopped one is.

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

use super::board::{AFTER, WITHIN};
use super::commands::doing;
use super::director::Director;
use super::ledger::Ledger;
use super::order::Order;
use super::patience::Patience;
use super::ptrace::{Halt, Running, SLOW, Tracee};
use super::sync_verbs::LOCKS;
use super::trouble::{Outcome, Trouble};

/// What happens to the victim at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// SIGKILL.
    Kill,
    /// SIGKILL, but the thread under test dies some milliseconds after the rest of its process.
    Late,
    /// SIGSTOP, and SIGCONT when the others have done what they can.
    Stop,
    /// None: it stands still, under the tracer's hand, while somebody else dies.
    Witness,
}

impl Fate {
    /// Whether the victim lives on.
    pub(crate) fn is_mild(self) -> bool {
        matches!(self, Self::Stop | Self::Witness)
    }
}

impl Director {
    /// Clears the ledger and the rest of what is known about the last point.
    pub(crate) fn begin_point(&mut self) {
        self.ledger = Ledger::default();
        self.single = None;
        self.tasks = None;
        self.slept = false;
        self.strict = false;
    }

    /// Lets fate strike. `strict`: nobody may depend on it.
    pub(crate) fn strike(&mut self, tracee: Tracee, strict: bool) -> Outcome {
        self.slept = matches!(tracee, Tracee::Running(_));
        self.strict = strict;
        let Some(seat) = self.victim else { return Ok(()) };
        match self.fate {
            Fate::Kill => tracee.kill()?,
            Fate::Late => tracee.kill_late(Duration::from_millis(8))?,
            Fate::Stop => {
                let tracee = tracee.stop_process()?;
                self.seat(seat).marked.store(0, Relaxed);
                self.stopped = Some(tracee);
                return Ok(());
            }
            Fate::Witness => {
                self.seat(seat).marked.store(0, Relaxed);
                self.stopped = Some(tracee);
                return Ok(());
            }
        }
        self.leave_to_reap(seat);
        Ok(())
    }

    /// Whether a victim that stands may hold what others wait for.
    pub(crate) fn is_excused(&self) -> bool {
        let Some(seat) = self.victim else { return false };
        !self.strict
            || (0..LOCKS).any(|which| self.has_lock(seat, which))
            || self.props.data.is_held_by(self.pid(seat))
    }

    /// Whether the actor holds the lock with this number.
    pub(crate) fn has_lock(&self, seat: usize, which: u64) -> bool {
        let owner = self.props.owner(which);
        owner.is_some_and(|owner| i64::from(owner.pid) == i64::from(self.pid(seat)))
    }

    /// Lets a victim that stands go on; one that sleeps under the tracer's hand has to wake up first.
    pub(super) fn let_go(&mut self) -> Outcome {
        let stopped = match self.stopped.take() {
            None => return Ok(()),
            Some(Tracee::Stopped(stopped)) => stopped,
            Some(Tracee::Running(sleeper)) => {
                match sleeper.wait_awake(Instant::now() + self.settings.patience)? {
                    Halt::Trap(stopped) => stopped,
                    Halt::Late(_) => {
                        return Err(Trouble::Hang(
                            "the witness sleeps, and nobody wakes it".into(),
                        ));
                    }
                    halt => return Err(Trouble::Violation(format!("the witness ended: {halt:?}"))),
                }
            }
        };
        Ok(stopped.release()?)
    }

    /// How far the victim came.
    pub(crate) fn reached(&self, seat: usize) -> u32 {
        self.seat(seat).stage.load(Acquire)
    }

    /// Lets a victim that stands go on, and waits until it has done its operation; `help` is called
    /// when that takes long. What it got goes into the ledger. Gives what it answered; a dead one is
    /// not asked.
    pub(crate) fn conclude(
        &mut self,
        seat: usize,
        mut help: impl FnMut(&mut Self) -> Outcome,
    ) -> Outcome<Vec<u64>> {
        if !self.fate.is_mild() {
            return Ok(Vec::new());
        }
        self.let_go()?;
        let mut patience = Patience::new(self.settings.patience);
        while !self.seat(seat).await_finished(Instant::now() + Duration::from_millis(20)) {
            if patience.is_over() {
                let what = doing(self.seat(seat));
                return Err(Trouble::Hang(format!("the victim, let go, does not finish {what}")));
            }
            help(self)?;
        }
        let results = self.finish_well(seat)?;
        if self.ledger.takes > 0 {
            self.saw(seat, &results);
        }
        Ok(results)
    }

    /// Kills the actor of `seat` in the middle of an operation: behind its first locked instruction,
    /// by which it has taken or let go of something, and has told nobody yet.
    pub(crate) fn kill_halfway(&mut self, seat: usize, order: Order) -> Outcome {
        let mut tracee = Running::seize(self.pid(seat), self.tid(seat))?;
        self.mark(seat, order);
        let deadline = Instant::now() + SLOW;
        let mut is_done = false;
        let stopped = loop {
            let at = match tracee.wait_awake(deadline)? {
                Halt::Trap(at) if is_done => break at,
                Halt::Trap(at) if self.reached(seat) != AFTER => at,
                halt => {
                    return Err(Trouble::Fault(format!("no locked instruction: {halt:?}")));
                }
            };
            // Not those before the operation.
            is_done = self.reached(seat) == WITHIN && at.is_locked_next();
            tracee = at.step()?;
        };
        Tracee::Stopped(stopped).kill()?;
        self.leave_to_reap(seat);
        Ok(())
    }
}
