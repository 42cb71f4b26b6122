//! The scripts about locks and events; see `scenarios`.

use super::board::{AFTER, BEFORE, HOLDING};
use super::director::{BARGER, Director, FIRST, SECOND};
use super::fates::Fate;
use super::forms::{DEBUG, DEPTH, IS_LOCKED, IS_SET, OWNER, PLAIN, TRY};
use super::order::{Order, Verb};
use super::scenarios::Scenario;
use super::sync_verbs::IGNORING;
use super::trouble::{Outcome, Trouble};

// Lock.

/// Everybody locks, recovers if need be, and unlocks; then the lock is as new.
pub(super) fn lock_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    for seat in [FIRST, SECOND, BARGER] {
        d.order(seat, s.usual(Verb::Cycle));
    }
    if s.holds_on && d.fate == Fate::Stop {
        // Whoever is done with its operation and still holds the lock is waited for, rightly.
        d.conclude(victim, |_| Ok(()))?;
        d.must(victim, s.holding(Verb::Unlock))?;
    }
    lock_settle(d, s, victim)
}

/// The three finish the `Cycle` they were given; the deaths they report are as they must be.
fn lock_settle(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let mut deaths = 0;
    for seat in [BARGER, FIRST, SECOND] {
        deaths += d.finish_well(seat)?.iter().sum::<u64>();
    }
    check_deaths(d, s, victim, deaths)?;
    d.conclude(victim, |_| Ok(()))?;
    lock_is_new(d, s)
}

fn check_deaths(d: &Director, s: &Scenario, victim: usize, deaths: u64) -> Outcome {
    let held = s.earlier || s.holds_on || s.verb == Verb::Unlock;
    // The sleepers, too, were told of the death before.
    let told = s.earlier && d.ledger.started;
    let wrong = |what: &str| Err(Trouble::Violation(what.into()));
    if s.which & IGNORING != 0 {
        return if deaths == 0 { Ok(()) } else { wrong("a death was reported that is ignored") };
    }
    match (d.fate, d.reached(victim)) {
        (Fate::Stop, _) if deaths > 0 && !s.earlier => Err(Trouble::Violation(format!(
            "{deaths} reported the death of an owner that only stood still"
        ))),
        (Fate::Stop, _) => Ok(()),
        _ if s.holds_on && deaths == 0 => wrong("the owner died and nobody was told"),
        _ if s.holds_on => Ok(()),
        // Who asks neither takes the lock nor recovers it.
        _ if s.verb == Verb::AskLock && (deaths > 0) != s.earlier => {
            Err(Trouble::Violation(format!("{deaths} deaths were reported after a question")))
        }
        _ if s.verb == Verb::AskLock => Ok(()),
        (_, HOLDING) if deaths == 0 => wrong("the owner died and nobody was told"),
        (_, AFTER) if deaths > 0 && !told => wrong("a death was reported for a lock that was free"),
        (_, BEFORE) if (deaths > 0) != held => {
            Err(Trouble::Violation(format!("{deaths} deaths were reported at the start")))
        }
        _ => Ok(()),
    }
}

/// The lock is free and not poisoned, and works.
pub(super) fn lock_is_new(d: &mut Director, s: &Scenario) -> Outcome {
    for seat in [FIRST, BARGER, SECOND] {
        if d.must(seat, s.usual(Verb::Cycle))? != [0] {
            return Err(Trouble::Violation("a recovered lock is still poisoned".into()));
        }
        if d.must(seat, Order::on(Verb::Cycle, s.which, TRY))? != [0] {
            return Err(Trouble::Violation("a free lock is not to be had".into()));
        }
        if s.is_reentrant() {
            let depths = d.must(seat, s.usual(Verb::Depths))?;
            if depths != [0, 1, 2, 3, 2, 1, 0] {
                return Err(Trouble::Violation(format!("the depths are {depths:?}")));
            }
        }
    }
    match d.props.owner(s.which) {
        None => Ok(()),
        Some(owner) => Err(Trouble::Violation(format!("a free lock names its owner: {owner:?}"))),
    }
}

/// `seat` takes the lock, the re-entrant one twice.
pub(super) fn hold(d: &mut Director, s: &Scenario, seat: usize) -> Outcome {
    d.must(seat, s.usual(Verb::Hold))?;
    if s.is_reentrant() {
        d.must(seat, s.usual(Verb::Hold))?;
        let depth = d.props.reentrant_lock(s.which).depth();
        if depth != 2 {
            return Err(Trouble::Violation(format!("the depth is {depth}, it was locked twice")));
        }
    }
    Ok(())
}

/// The barger holds the lock.
pub(super) fn contended_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    hold(d, s, BARGER)?;
    d.ledger.barger_holds = true;
    Ok(())
}

/// The victim waits for it, then the sleepers do; then the barger lets go.
pub(super) fn contended_asleep(d: &mut Director, s: &Scenario, turn: usize) -> Outcome {
    match turn {
        1 => {
            contended_sleepers(d, s)?;
            contended_release(d, s)
        }
        _ => contended_let_go(d, s),
    }
}

pub(super) fn contended_sleepers(d: &mut Director, s: &Scenario) -> Outcome {
    d.ledger.started = true;
    d.lull(FIRST, s.usual(Verb::Cycle))?;
    d.lull(SECOND, s.usual(Verb::Cycle))?;
    Ok(())
}

/// The barger lets go, and in the `barge` scripts tries to have the lock back at once.
fn contended_release(d: &mut Director, s: &Scenario) -> Outcome {
    if !s.barge {
        return contended_let_go(d, s);
    }
    d.must(BARGER, s.usual(Verb::UnlockBarge))?;
    Ok(())
}

pub(super) fn contended_let_go(d: &mut Director, s: &Scenario) -> Outcome {
    if d.ledger.barger_holds {
        d.ledger.barger_holds = false;
        d.must(BARGER, s.usual(Verb::Unlock))?;
        if s.is_reentrant() {
            d.must(BARGER, s.usual(Verb::Unlock))?;
        }
    }
    Ok(())
}

pub(super) fn contended_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if !d.ledger.started {
        contended_sleepers(d, s)?;
        contended_release(d, s)?;
    }
    contended_let_go(d, s)?;
    if s.barge && s.verb == Verb::Unlock {
        // It takes what the dead one freed, ahead of whom that woke or did not wake.
        d.must(BARGER, Order::on(Verb::Barge, s.which, 200))?;
        d.must(BARGER, s.usual(Verb::Unlock))?;
    }
    if !s.barge {
        // Nobody else comes by: what the victim left undone is done without.
        d.finish(FIRST)?;
        d.finish(SECOND)?;
    }
    d.order(BARGER, s.usual(Verb::Cycle));
    lock_settle(d, s, victim)
}

/// The victim holds the lock and will let go of it.
pub(super) fn unlock_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.must(victim, s.holding(Verb::Hold)).map(drop)
}

pub(super) fn unlock_sleepers_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    unlock_arrange(d, s, victim)?;
    contended_sleepers(d, s)
}

/// The victim holds the lock twice.
pub(super) fn twice_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    hold(d, s, victim)
}

/// Somebody died with the lock; the victim will recover it.
pub(super) fn poisoned_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    hold(d, s, FIRST)?;
    d.kill(FIRST)?;
    d.recast(FIRST)
}

/// Somebody died with the lock; the victim has recovered it and will let go of it, while the
/// sleepers wait to recover it, too.
pub(super) fn recovered_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    poisoned_arrange(d, s, victim)?;
    d.must(victim, s.usual(Verb::RecoverHold))?;
    contended_sleepers(d, s)
}

// Questions.

/// What was asked of a lock that nobody has touched since has the right answer.
fn check_lock_answer(d: &Director, s: &Scenario, victim: usize) -> Outcome {
    if d.reached(victim) != AFTER || s.holds_on {
        return Ok(());
    }
    let held = d.ledger.barger_holds;
    let right = match s.form {
        IS_LOCKED => u64::from(held),
        OWNER if held => d.pid(BARGER).unsigned_abs().into(),
        // `hold` has locked it twice.
        DEPTH if held => 2,
        DEBUG => d.props.describe_lock(s.which).len() as u64,
        _ => 0,
    };
    check_answer(d, victim, right)
}

/// The victim answered `right`.
pub(super) fn check_answer(d: &Director, victim: usize, right: u64) -> Outcome {
    match d.results(victim)[..] {
        [told] if told == right => Ok(()),
        ref told => Err(Trouble::Violation(format!("the answer is {told:?}, not {right}"))),
    }
}

/// Nobody has the lock, or the dead or the victim have it.
pub(super) fn ask_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    check_lock_answer(d, s, victim)?;
    lock_after(d, s, victim)
}

/// The barger has it.
pub(super) fn ask_held_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    check_lock_answer(d, s, victim)?;
    contended_after(d, s, victim)
}

// Event.

/// What is done with the event.
pub(super) fn event(verb: Verb) -> Order {
    Order::on(verb, 0, PLAIN)
}

pub(super) fn event_sleepers(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.must(BARGER, event(Verb::Clear))?;
    d.lull(FIRST, event(Verb::Wait))?;
    d.lull(SECOND, event(Verb::Wait))?;
    Ok(())
}

pub(super) fn event_was_set(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.ledger.was_set = true;
    event_set(d)
}

pub(super) fn event_asleep(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    event_set(d)
}

pub(super) fn event_set(d: &mut Director) -> Outcome {
    d.must(BARGER, event(Verb::Set)).map(drop)
}

/// The victim's time runs out.
pub(super) fn nothing(_: &mut Director, _: &Scenario, _: usize) -> Outcome {
    Ok(())
}

/// As [`event_after`], and the victim's question has the right answer.
pub(super) fn ask_event_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if d.reached(victim) == AFTER {
        let right = match s.form {
            IS_SET => d.props.event.is_set().into(),
            _ => format!("{:?}", d.props.event).len() as u64,
        };
        check_answer(d, victim, right)?;
    }
    event_after(d, s, victim)
}

/// If the event is set, who waits for it comes back, without another `set`.
pub(super) fn event_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let is_set = d.must(BARGER, Order::on(Verb::AskEvent, 0, IS_SET))? == [1];
    let known = match (s.verb, d.reached(victim)) {
        (Verb::Set, AFTER) => Some(true),
        (Verb::Set, BEFORE) => Some(d.ledger.was_set),
        (Verb::Clear, AFTER) => Some(false),
        (Verb::Clear, BEFORE) => Some(true),
        _ => None,
    };
    if known.is_some_and(|known| known != is_set) {
        return Err(Trouble::Violation(format!("is_set is {is_set}")));
    }
    if s.verb == Verb::Clear {
        // It would undo what comes now.
        d.conclude(victim, |_| Ok(()))?;
    }
    if !is_set || s.verb == Verb::Clear {
        d.must(BARGER, event(Verb::Set))?;
    }
    for seat in [FIRST, SECOND] {
        if s.verb == Verb::Clear || d.is_finished(seat) {
            d.order(seat, event(Verb::Wait));
        }
    }
    d.finish_well(FIRST)?;
    d.finish_well(SECOND)?;
    d.conclude(victim, |_| Ok(()))?;
    d.must(BARGER, event(Verb::Clear))?;
    if d.must(BARGER, Order::on(Verb::AskEvent, 0, IS_SET))? != [0] {
        return Err(Trouble::Violation("a cleared event is set".into()));
    }
    Ok(())
}
