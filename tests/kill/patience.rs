//! How long somebody is waited for: until the time is over and nobody is about to do anything.
//!
//! On a machine that is busy with other things a process may stand in the queue of a processor for long: beside crowds that were
//! stepped in other sessions, threads waited for 80 s (Linux 6.18 with autogroups, two processors). Who waits for a processor does not
//! hang: a hang is that all sleep, or that some go round in a circle. So time that is over is not the end as long as somebody of the
//! family runs or waits for a processor, and the family has not used up three times as much of the processors since. And who waits
//! looks some more times then: it may have stood in the queue itself, since its last look.

use std::time::{Duration, Instant};

use super::group;

/// How many times the time that is over the family may use of the processors behind it.
const AT_MOST: u32 = 3;
/// Looks after the end. Who looks for a sleeper wants to see it asleep three times in a row, and one that sleeps in slices of 50 ms
/// is awake now and then.
const LAST_LOOKS: usize = 30;

/// A wait that began when this was made.
#[derive(Debug)]
pub(crate) struct Patience {
    deadline: Instant,
    time: Duration,
    /// What the family had used of the processors when the time was over.
    used: Option<Duration>,
    last_looks: usize,
}

impl Patience {
    pub(crate) fn new(time: Duration) -> Self {
        Self { deadline: Instant::now() + time, time, used: None, last_looks: LAST_LOOKS }
    }

    /// Whether the wait is over; if not, for how long it should go on before this is asked again.
    pub(crate) fn left(&mut self) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return Some(left);
        }
        if group::is_busy() {
            let used = group::used();
            if used < *self.used.get_or_insert(used) + self.time * AT_MOST {
                self.deadline = Instant::now() + self.time / 10;
                return Some(self.time / 10);
            }
        }
        self.last_looks = self.last_looks.checked_sub(1)?;
        Some(Duration::ZERO)
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.left().is_none()
    }
}
