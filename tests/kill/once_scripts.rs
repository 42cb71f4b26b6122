//! The scripts about `raw::Once`; see `scenarios`. Each point has a new one.

use std::sync::atomic::Ordering::SeqCst;

use super::board::{AFTER, BEFORE};
use super::director::{BARGER, Director, FIRST, SECOND};
use super::forms::PLAIN;
use super::order::{Order, Verb};
use super::scenarios::{LOCK, Scenario};
use super::sync_verbs::WAITS;
use super::trouble::{Outcome, Trouble};

const FREE: Scenario =
    Scenario { name: "once", verb: Verb::CallOnce, fresh: true, after: free_after, ..LOCK };

pub(super) const ALL: &[Scenario] = &[
    FREE,
    Scenario {
        name: "once_waits",
        arrange: waits_arrange,
        asleep: waits_asleep,
        after: waits_after,
        ..FREE
    },
];

fn call() -> Order {
    Order::on(Verb::CallOnce, 0, PLAIN)
}

/// The others call, too: it is done, and once unless the victim died in the middle.
fn free_after(d: &mut Director, _: &Scenario, victim: usize) -> Outcome {
    let (reached, is_mild) = (d.reached(victim), d.fate.is_mild());
    for seat in [FIRST, SECOND, BARGER] {
        d.order(seat, call());
    }
    let mut told = 0;
    for seat in [FIRST, SECOND, BARGER] {
        told += d.finish_well(seat)?.iter().sum::<u64>();
    }
    d.conclude(victim, |_| Ok(()))?;
    let own: u64 = if is_mild || reached == AFTER { d.results(victim).iter().sum() } else { 0 };
    let right: &[(u64, u64)] = match reached {
        _ if is_mild => &[(1, 0), (0, 1)],
        AFTER => &[(0, 1)],
        BEFORE => &[(1, 0)],
        // Done by the victim, which did not come to say so; or done again.
        _ => &[(0, 0), (1, 0)],
    };
    if !right.contains(&(told, own)) {
        let text = format!("{told} of the others and {own} victims say that they did it");
        return Err(Trouble::Violation(text));
    }
    let again = u64::from(!is_mild && reached != AFTER && told == 1);
    check(d, 1..=1 + again)
}

/// The first sleeper is in the middle of it.
fn waits_arrange(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.lull(FIRST, Order::on(Verb::CallOnce, WAITS, PLAIN)).map(drop)
}

/// Another one waits beside the victim; then the first goes on.
fn waits_asleep(d: &mut Director, _: &Scenario, turn: usize) -> Outcome {
    if turn == 1 {
        d.ledger.started = true;
        d.lull(SECOND, call())?;
        d.must(BARGER, Order::on(Verb::Set, 0, PLAIN))?;
    }
    Ok(())
}

fn waits_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if !d.ledger.started {
        waits_asleep(d, s, 1)?;
    }
    let told = [d.finish_well(FIRST)?, d.finish_well(SECOND)?, d.must(BARGER, call())?];
    d.conclude(victim, |_| Ok(()))?;
    let is_told = d.fate.is_mild() || d.reached(victim) == AFTER;
    if told != [[1], [0], [0]] || (is_told && d.results(victim) != [0]) {
        let text = format!("the others were told {told:?}, the victim {:?}", d.results(victim));
        return Err(Trouble::Violation(text));
    }
    check(d, 1..=1)
}

/// It is done, and was so often.
fn check(d: &Director, right: std::ops::RangeInclusive<u64>) -> Outcome {
    let (done, times) = (d.props.once.once.is_done(), d.props.once.times.load(SeqCst));
    if done && right.contains(&times) {
        return Ok(());
    }
    Err(Trouble::Violation(format!("done: {done}, {times} times, not {right:?}")))
}
