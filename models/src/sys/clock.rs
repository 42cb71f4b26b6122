//! A clock that stands still, unless a keeper sleeps until a moment or the model lets it tick.

use std::time::{Duration, Instant};

/// Waits from here on do not end by time in a model, unless it says so: whoever looks that seldom must not be what others
/// wait for.
const LONG: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(Option<u64>);

impl Deadline {
    pub(crate) const NEVER: Deadline = Deadline(None);
    pub(crate) const NOW: Deadline = Deadline(Some(0));

    pub(crate) fn after(timeout: Duration) -> Deadline {
        let nanoseconds = timeout.as_nanos() as u64;
        if nanoseconds == 0 {
            return Deadline::NOW;
        }
        let ends = nanoseconds < LONG || crate::sim::has_long_waits();
        Deadline(ends.then(|| now() + nanoseconds))
    }

    pub(crate) fn at(_: Instant) -> Deadline {
        Deadline::NEVER
    }

    pub(crate) fn earlier(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Deadline(Some(a.min(b))),
            (a, b) => Deadline(a.or(b)),
        }
    }

    pub(crate) fn later(self, other: Deadline) -> Deadline {
        Deadline(self.0.zip(other.0).map(|(a, b)| a.max(b)))
    }

    pub(crate) fn is_over(self) -> bool {
        self.0.is_some_and(|at| at == 0 || now() >= at)
    }

    /// When it is over, if ever.
    pub(super) fn moment(self) -> Option<u64> {
        self.0
    }
}

pub(crate) fn now() -> u64 {
    crate::sim::clock()
}
