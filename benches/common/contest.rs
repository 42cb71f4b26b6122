//! Contenders for one thing: each takes it, adds one to a number in two steps, gives it back and begins again, for as long as
//! the run lasts. The number must be the sum of what all say they did. They are not pinned.

use multiproc::Result;
use serde::{Deserialize, Serialize};

use super::os::{self, Line};
use super::{Fold, Sample};

/// What one contender did.
#[derive(Serialize, Deserialize)]
pub(crate) struct Score {
    turns: u64,
    from: u64,
    to: u64,
    /// The longest time for [`CLOCK_EVERY`] turns.
    longest: u64,
}

/// Turns between two checks of the clock.
const CLOCK_EVERY: u64 = 16;

/// One contender's part.
pub(crate) fn contend(ms: u64, mut once: impl FnMut() -> Result<()>) -> Result<Score> {
    let from = os::now();
    let until = from + ms * 1_000_000;
    let mut score = Score { turns: 0, from, to: from, longest: 0 };
    while score.to < until {
        for _ in 0..CLOCK_EVERY {
            once()?;
        }
        score.turns += CLOCK_EVERY;
        let now = os::now();
        score.longest = score.longest.max(now - score.to);
        score.to = now;
    }
    Ok(score)
}

/// The note on the smallest part that one had, in hundredths of the fair one.
pub(crate) const LEAST_SHARE: &str = "least share";
/// The note on the longest time that one took for [`CLOCK_EVERY`] turns.
pub(crate) const LONGEST_WAIT: &str = "longest wait";

/// The sum of all, who counted on this line.
pub(crate) fn result(scores: Vec<Score>, line: &Line) -> Sample {
    let turns: u64 = scores.iter().map(|score| score.turns).sum();
    assert_eq!(turns, line.read(), "two were inside at once");
    let from = scores.iter().map(|score| score.from).min().expect("a contender");
    let to = scores.iter().map(|score| score.to).max().expect("a contender");
    let fair = turns as f64 / scores.len() as f64 / 100.0;
    let least = scores.iter().map(|score| score.turns).min().expect("a contender") as f64;
    let most = scores.iter().map(|score| score.turns).max().expect("a contender") as f64;
    let longest = scores.iter().map(|score| score.longest).max().expect("a contender");
    Sample::new(turns, to - from)
        .note(LEAST_SHARE, least / fair, "% of fair", Fold::Least)
        .note("most", most / fair, "%", Fold::Most)
        .note(LONGEST_WAIT, longest as f64 / 1e6, "ms", Fold::Most)
}
