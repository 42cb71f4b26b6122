//! Which operations are stepped today, and how many points of each.
//!
//! Plain `cargo test` takes the operations of one day of the week: every seventh, and the day says
//! from which on. So seven days in a row, whichever they are, see every operation; and every broken
//! variant, by the same rule. The day is also where the choice of points starts; it is printed, and
//! `KILL_SEED` repeats it.

use std::time::{SystemTime, UNIX_EPOCH};

use super::fates::Fate;
use super::scenarios::Scenario;

/// Days after which every operation had its turn.
pub(crate) const WEEK: u64 = 7;

/// How much is stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The operations of a day, some points of each.
    Day,
    /// Every operation, more points of each.
    Operations,
    /// Every instruction of every operation.
    Instructions,
}

/// Points of one scenario, for each fate.
type Points = &'static [(Fate, usize)];

const DAY: Points = &[(Fate::Kill, 6), (Fate::Late, 1), (Fate::Stop, 2)];
const SAMPLE: Points = &[(Fate::Kill, 30), (Fate::Late, 4), (Fate::Stop, 6)];
/// The same of what is hardly different from another scenario.
const MINOR_DAY: Points = &[(Fate::Kill, 4), (Fate::Late, 1), (Fate::Stop, 1)];
const MINOR_SAMPLE: Points = &[(Fate::Kill, 10), (Fate::Late, 2), (Fate::Stop, 3)];
/// Where every point is killed.
const WHOLE: Points = &[(Fate::Kill, usize::MAX), (Fate::Late, 60), (Fate::Stop, 60)];
/// The same where the victim is a witness.
const SEEN_DAY: Points = &[(Fate::Witness, 5)];
const SEEN_SAMPLE: Points = &[(Fate::Witness, 24)];
const SEEN_WHOLE: Points = &[(Fate::Witness, usize::MAX)];

impl Reach {
    /// What the environment says.
    pub(crate) fn of(text: Option<&str>) -> Self {
        match text {
            Some("all") => Self::Instructions,
            Some(_) => Self::Operations,
            None => Self::Day,
        }
    }

    /// How many points of a scenario; `usize::MAX`: all.
    pub(crate) fn points(self, scenario: &Scenario) -> Points {
        match (self, scenario.is_witness, scenario.is_minor) {
            (Self::Day, true, _) => SEEN_DAY,
            (Self::Day, false, true) => MINOR_DAY,
            (Self::Day, false, false) => DAY,
            (Self::Operations, true, _) => SEEN_SAMPLE,
            (Self::Operations, false, true) => MINOR_SAMPLE,
            (Self::Operations, false, false) => SAMPLE,
            (Self::Instructions, true, _) => SEEN_WHOLE,
            (Self::Instructions, false, _) => WHOLE,
        }
    }
}

/// The number of the day.
pub(crate) fn today() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |time| time.as_secs() / (24 * 60 * 60))
}

/// Whether the operation, or the broken variant, at `index` has its turn on `day`.
pub(crate) fn is_of(day: u64, index: usize) -> bool {
    index as u64 % WEEK == day % WEEK
}

/// Whether the days of any week see each of `count` operations, once.
pub(crate) fn week_covers(count: usize) -> Result<(), String> {
    for first in today()..today() + WEEK {
        for index in 0..count {
            let days = (first..first + WEEK).filter(|&day| is_of(day, index)).count();
            if days != 1 {
                return Err(format!("operation {index} has {days} days of the week from {first}"));
            }
        }
    }
    Ok(())
}
