//! How long somebody is waited for: until the time is over and nobody is about to do anything.
//!
//! On a machine that is busy with other things a process may stand in the queue of a processor for seconds, above all one of a crowd
//! that is stepped. Who waits for a processor does not hang: a hang is that all sleep, or that some go round in a circle. So time
//! that is over is not the end as long as somebody of the family runs or waits for a processor; four times as much is.

use std::time::{Duration, Instant};

use super::threads;

/// How much longer it may take while somebody is about to do something.
const AT_MOST: u32 = 4;

/// A wait that began when this was made.
#[derive(Debug)]
pub(crate) struct Patience {
    deadline: Instant,
    last: Instant,
    more: Duration,
}

impl Patience {
    pub(crate) fn new(time: Duration) -> Self {
        let now = Instant::now();
        Self { deadline: now + time, last: now + time * AT_MOST, more: time / 10 }
    }

    /// Whether the wait is over; if not, for how long it should go on before this is asked again.
    pub(crate) fn left(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if now >= self.deadline && now < self.last && threads::are_busy() {
            self.deadline = Instant::now() + self.more;
        }
        let left = self.deadline.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.left().is_none()
    }
}
