//! Monotonic deadlines with nanosecond resolution.

#![allow(unsafe_code, reason = "one system call")]

use std::time::{Duration, Instant};

use crate::sys::system::COARSE;

/// A point on `CLOCK_MONOTONIC`, in nanoseconds, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(Option<u64>);

impl Deadline {
    /// For ever.
    pub(crate) const NEVER: Deadline = Deadline(None);
    /// Already over: an attempt without waiting.
    pub(crate) const NOW: Deadline = Deadline(Some(0));

    /// `timeout` from now; a sum past the clock's range means for ever.
    pub(crate) fn after(timeout: Duration) -> Deadline {
        if timeout.is_zero() {
            return Deadline::NOW;
        }
        Deadline(u64::try_from(timeout.as_nanos()).ok().and_then(|ns| now().checked_add(ns)))
    }

    /// The same moment as `instant`; one in the past is `NOW`.
    pub(crate) fn at(instant: Instant) -> Deadline {
        Deadline::after(instant.saturating_duration_since(Instant::now()))
    }

    /// The earlier of the two.
    pub(crate) fn earlier(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Deadline(Some(a.min(b))),
            (a, b) => Deadline(a.or(b)),
        }
    }

    /// The later of the two.
    pub(crate) fn later(self, other: Deadline) -> Deadline {
        Deadline(self.0.zip(other.0).map(|(a, b)| a.max(b)))
    }

    /// Whether the moment has come.
    pub(crate) fn is_over(self) -> bool {
        self.0.is_some_and(|at| at == 0 || now() >= at)
    }

    /// The same moment for calls of the standard library; `None` is for ever.
    pub(crate) fn instant(self) -> Option<Instant> {
        self.0.map(|ns| Instant::now() + Duration::from_nanos(ns.saturating_sub(now())))
    }

    /// The absolute time for the kernel; `None` is for ever.
    #[cfg(not(any(feature = "raw-sync", not(target_os = "linux"))))]
    pub(crate) fn timespec(self) -> Option<libc::timespec> {
        self.0.map(timespec)
    }

    /// How long it is until then, for the kernel; zero if it has passed, `None` for ever.
    pub(crate) fn left(self) -> Option<libc::timespec> {
        // Of what is over by itself nobody need ask the clock, whose first reading in a process costs two page faults.
        self.0.map(|ns| timespec(if ns == 0 { 0 } else { ns.saturating_sub(now()) }))
    }
}

fn timespec(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (ns / 1_000_000_000) as _,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds.
pub(crate) fn now() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// The same clock as it stood at the last tick, 1 to 10 ms ago, for a fifth of the time that [`now`] takes.
pub(crate) fn coarse() -> u64 {
    read(COARSE)
}

#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write; the system has both clocks.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflowing_timeout_means_for_ever() {
        assert_eq!(Deadline::after(Duration::MAX), Deadline::NEVER);
        assert_eq!(Deadline::after(Duration::from_nanos(u64::MAX)), Deadline::NEVER);
        assert!(!Deadline::NEVER.is_over());
    }

    #[test]
    fn zero_and_the_past_are_over() {
        assert!(Deadline::after(Duration::ZERO).is_over());
        assert!(Deadline::at(Instant::now()).is_over());
        assert!(!Deadline::after(Duration::from_secs(3600)).is_over());
    }

    #[test]
    fn the_earlier_and_the_later_of_two() {
        let near = Deadline::after(Duration::from_secs(1));
        let far = Deadline::after(Duration::from_secs(2));
        assert_eq!(near.earlier(far), near);
        assert_eq!(Deadline::NEVER.earlier(near), near);
        assert_eq!(near.earlier(Deadline::NEVER), near);
        assert_eq!(near.later(far), far);
        assert_eq!(Deadline::NEVER.later(near), Deadline::NEVER);
        assert_eq!(near.later(Deadline::NEVER), Deadline::NEVER);
    }
}
