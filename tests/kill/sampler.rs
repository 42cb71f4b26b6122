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
    /// Every operation; a kill at every point that differs, where they are not very many.
    Operations,
    /// Every instruction of every operation: one point for those at which a death leaves the same (`remains.rs`).
    Changes,
    /// The same, each by itself.
    Instructions,
}

/// Which points of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// So many; chance says which.
    Sample(usize),
    /// Those at which a death leaves something different (`remains.rs`): all, or of more than so many a part, another one each day.
    Different(usize),
    /// All.
    Each,
}

/// All of these, and those behind the end that was seen.
const ALL: Choice = Choice::Different(usize::MAX);

impl Choice {
    /// Whether all are wanted, those behind the end that was seen included.
    pub(crate) fn is_whole(self) -> bool {
        matches!(self, ALL | Choice::Each)
    }

    /// The same, but for so many at most.
    pub(crate) fn at_most(self, most: usize) -> Self {
        match self {
            Choice::Sample(count) => Choice::Sample(count.min(most)),
            Choice::Different(count) => Choice::Different(count.min(most)),
            Choice::Each => Choice::Sample(most),
        }
    }
}

/// So many of `len` places, evenly; they begin elsewhere each day.
pub(crate) fn spread(len: usize, count: usize, seed: u64) -> impl Iterator<Item = usize> {
    let gap = (len / count.max(1)).max(1);
    let offset = (seed % gap as u64) as usize;
    (0..count).map(move |index| (index * len / count + offset).min(len.saturating_sub(1)))
}

/// Points of one scenario, for each fate.
type Points = &'static [(Fate, Choice)];

/// Kills at these points; so many late deaths and stops.
const fn fates(kill: Choice, late: usize, stop: usize) -> [(Fate, Choice); 3] {
    [(Fate::Kill, kill), (Fate::Late, Choice::Sample(late)), (Fate::Stop, Choice::Sample(stop))]
}

const DAY: Points = &fates(Choice::Sample(6), 1, 2);
const SAMPLE: Points = &fates(Choice::Different(MOST), 4, 6);
/// The same of what is hardly different from another scenario.
const MINOR_DAY: Points = &fates(Choice::Sample(4), 1, 1);
const MINOR_SAMPLE: Points = &fates(Choice::Different(MOST), 2, 3);
/// Where every instruction counts.
const WHOLE: Points = &fates(ALL, 60, 60);
const EACH: Points = &fates(Choice::Each, 60, 60);
/// The same where the victim is a witness: it lives on with what it has read, which nobody sees.
const SEEN_DAY: Points = &[(Fate::Witness, Choice::Sample(5))];
const SEEN_SAMPLE: Points = &[(Fate::Witness, Choice::Sample(24))];
const SEEN_WHOLE: Points = &[(Fate::Witness, Choice::Each)];

/// Hardly an operation has more points that differ.
const MOST: usize = 100;

impl Reach {
    /// What the environment says.
    pub(crate) fn of(text: Option<&str>) -> Self {
        match text {
            Some("all") => Self::Changes,
            Some("each") => Self::Instructions,
            Some(_) => Self::Operations,
            None => Self::Day,
        }
    }

    /// Which points of a scenario.
    pub(crate) fn points(self, scenario: &Scenario) -> Points {
        match (self, scenario.is_witness, scenario.is_minor) {
            (Self::Day, true, _) => SEEN_DAY,
            (Self::Day, false, true) => MINOR_DAY,
            (Self::Day, false, false) => DAY,
            (Self::Operations, true, _) => SEEN_SAMPLE,
            (Self::Operations, false, true) => MINOR_SAMPLE,
            (Self::Operations, false, false) => SAMPLE,
            (Self::Changes | Self::Instructions, true, _) => SEEN_WHOLE,
            (Self::Changes, false, _) => WHOLE,
            (Self::Instructions, false, _) => EACH,
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
