//! The scripts about conditions and barriers; see `scenarios`.

use super::board::{AFTER, BEFORE};
use super::director::{BARGER, Director, FIRST, SECOND};
use super::forms::{BRIEF, PLAIN};
use super::order::{Order, Verb};
use super::scenarios::Scenario;
use super::semaphore_scripts::served;
use super::trouble::{Outcome, Trouble};

/// Something done with the condition or the barrier.
fn with(verb: Verb) -> Order {
    Order::on(verb, 0, PLAIN)
}

// The condition.

/// How many wait and were not notified.
fn waiting(d: &Director) -> usize {
    let text = format!("{:?}", d.props.condition);
    text.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(usize::MAX)
}

/// Both sleepers wait.
pub(super) fn two_wait(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.ledger.started = true;
    d.lull(FIRST, with(Verb::Await))?;
    d.lull(SECOND, with(Verb::Await))?;
    Ok(())
}

/// The victim sleeps; then the others wait, too, and the oldest is notified: the victim, if it has the time.
pub(super) fn await_asleep(d: &mut Director, s: &Scenario, turn: usize) -> Outcome {
    if turn != 1 {
        return Ok(());
    }
    two_wait(d, s, turn)?;
    if s.form != BRIEF {
        d.must(BARGER, Order::on(Verb::Notify, 1, PLAIN))?;
    }
    Ok(())
}

/// Who was notified goes on by itself; so many as may have been. While one of them leaves, the condition may say for a moment that
/// another one waits who was notified, too.
fn check_served(d: &mut Director, allowed: &[usize]) -> Outcome {
    let all = |d: &Director| waiting(d) + served(d) == 2;
    let done = d.until("a waiter that was notified does not go on", |d| {
        all(d) && allowed.contains(&served(d))
    });
    match done {
        Err(Trouble::Hang(_)) if all(d) => {
            let now = served(d);
            Err(Trouble::Violation(format!("{now} went on, not {allowed:?}")))
        }
        done => done,
    }
}

/// All others are notified and go on, and the condition works.
fn end_waits(d: &mut Director) -> Outcome {
    d.must(BARGER, with(Verb::Notify))?;
    for seat in [FIRST, SECOND] {
        if d.finish_well(seat)? != [1] {
            return Err(Trouble::Violation("a waiter was not notified".into()));
        }
    }
    d.must(BARGER, with(Verb::Cycle))?;
    d.lull(FIRST, with(Verb::Await))?;
    d.must(BARGER, Order::on(Verb::Notify, 2, PLAIN))?;
    d.finish_well(FIRST)?;
    if waiting(d) != 0 {
        return Err(Trouble::Violation("somebody waits whom nobody knows".into()));
    }
    Ok(())
}

pub(super) fn notify_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let reached = d.reached(victim);
    let is_mild = d.fate.is_mild();
    if is_mild && reached == BEFORE {
        check_served(d, &[0])?;
    }
    d.conclude(victim, |_| Ok(()))?;
    // All or nothing.
    let all = if s.which == 1 { 1 } else { 2 };
    match reached {
        _ if is_mild => check_served(d, &[all])?,
        AFTER => check_served(d, &[all])?,
        BEFORE => check_served(d, &[0])?,
        _ => check_served(d, &[0, all])?,
    }
    end_waits(d)
}

pub(super) fn await_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let notified = usize::from(d.ledger.started && s.form != BRIEF);
    if d.fate.is_mild() {
        // One that stands before its wait may still enter it.
        d.conclude(victim, |d| d.must(BARGER, with(Verb::Notify)).map(drop))?;
    }
    if !d.ledger.started {
        two_wait(d, s, victim)?;
    }
    if d.fate.is_mild() {
        // It may have taken its own notification or, helped, those of all.
        d.until("a waiter that was notified does not go on", |d| waiting(d) + served(d) == 2)?;
    } else if notified == 1 && d.reached(victim) != AFTER {
        // What it had not used up is the next one's.
        check_served(d, &[0, 1])?;
    } else {
        check_served(d, &[0])?;
    }
    end_waits(d)
}

// The barrier.

/// The barrier is new; the victim has said that it will come.
fn anew(d: &mut Director, victim: usize) -> Outcome {
    d.reap(0)?;
    d.must(BARGER, with(Verb::Reset))?;
    d.must(victim, with(Verb::Party)).map(drop)
}

pub(super) fn two_arrived(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    one_arrived(d, s, victim)?;
    d.ledger.started = true;
    d.lull(SECOND, with(Verb::Arrive))?;
    Ok(())
}

pub(super) fn one_arrived(d: &mut Director, _: &Scenario, victim: usize) -> Outcome {
    anew(d, victim)?;
    d.lull(FIRST, with(Verb::Arrive))?;
    Ok(())
}

/// The last one arrives while the victim sleeps.
pub(super) fn arrive_asleep(d: &mut Director, _: &Scenario, turn: usize) -> Outcome {
    if turn == 1 {
        d.ledger.started = true;
        d.order(SECOND, with(Verb::Arrive));
    }
    Ok(())
}

/// Both others are told the same, and the barrier can be made new.
pub(super) fn rounds_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let reached = d.reached(victim);
    if !d.ledger.started {
        d.order(SECOND, with(Verb::Arrive));
    }
    d.conclude(victim, |_| Ok(()))?;
    let told = [d.finish_well(FIRST)?, d.finish_well(SECOND)?];
    let is_through = told[0] == [1];
    let right = match s.verb {
        Verb::Arrive if d.fate.is_mild() || reached == AFTER => Some(true),
        Verb::Arrive if reached == BEFORE => Some(false),
        Verb::Arrive => None,
        _ => Some(false),
    };
    if told[0] != told[1] || right.is_some_and(|right| right != is_through) {
        return Err(Trouble::Violation(format!("the others were told {told:?}, not {right:?}")));
    }
    d.reap(0)?;
    d.must(BARGER, with(Verb::Reset))?;
    d.lull(FIRST, with(Verb::Arrive))?;
    d.lull(SECOND, with(Verb::Arrive))?;
    let last = d.must(BARGER, with(Verb::Arrive))?;
    for seat in [FIRST, SECOND] {
        if d.finish_well(seat)? != [1] || last != [1] {
            return Err(Trouble::Violation("a barrier that was reset is broken".into()));
        }
    }
    Ok(())
}
