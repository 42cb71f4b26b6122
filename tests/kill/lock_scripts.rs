//! The scripts about locks and events; see `scenarios`.

use super::actor::Verb;
use super::board::{AFTER, BEFORE, HOLDING};
use super::director::{BARGER, Director, FIRST, Fate, Outcome, SECOND, Trouble};
use super::scenarios::Scenario;

const NOTHING: [u64; 2] = [0; 2];

// Lock.

/// Everybody locks, recovers if need be, and unlocks; then the lock is as new.
pub(super) fn lock_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    for seat in [FIRST, SECOND, BARGER] {
        d.order(seat, Verb::Cycle, NOTHING);
    }
    lock_settle(d, s, victim)
}

/// The three finish the `Cycle` they were given; the deaths they report are as they must be.
fn lock_settle(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let mut deaths = 0;
    for seat in [BARGER, FIRST, SECOND] {
        deaths += d.finish_well(seat)?.iter().sum::<u64>();
    }
    // With `lock_recover` the death of somebody else before the victim is reported as well.
    let earlier = s.name == "lock_recover";
    let reached = d.reached(victim);
    match (d.fate, reached) {
        (Fate::Stop, _) if deaths > 0 && !earlier => {
            return Err(Trouble::Violation(format!(
                "{deaths} reported the death of an owner that only stood still"
            )));
        }
        (Fate::Stop, _) => {}
        (_, HOLDING) if deaths == 0 => {
            return Err(Trouble::Violation("the owner died and nobody was told".into()));
        }
        (_, AFTER) if deaths > 0 => {
            return Err(Trouble::Violation("a death was reported for a lock that was free".into()));
        }
        (_, BEFORE) if (deaths > 0) != (earlier || s.verb == Verb::Unlock) => {
            return Err(Trouble::Violation(format!("{deaths} deaths were reported at the start")));
        }
        _ => {}
    }
    d.conclude(victim, |_| Ok(()))?;
    for seat in [FIRST, BARGER, SECOND] {
        if d.must(seat, Verb::Cycle, NOTHING)? != [0] {
            return Err(Trouble::Violation("a recovered lock is still marked".into()));
        }
        d.must(seat, Verb::TryCycle, NOTHING)?;
    }
    match d.props.lock.owner() {
        None => Ok(()),
        Some(owner) => Err(Trouble::Violation(format!("a free lock names its owner: {owner:?}"))),
    }
}

/// The barger holds the lock.
pub(super) fn contended_arrange(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.must(BARGER, Verb::Hold, NOTHING)?;
    d.books.barger_holds = true;
    Ok(())
}

/// The victim waits for it, then the sleepers do; then the barger lets go.
pub(super) fn contended_asleep(d: &mut Director, s: &Scenario, turn: usize) -> Outcome {
    match turn {
        1 => {
            contended_sleepers(d)?;
            contended_release(d, s)
        }
        _ => contended_let_go(d),
    }
}

fn contended_sleepers(d: &mut Director) -> Outcome {
    d.books.started = true;
    d.lull(FIRST, Verb::Cycle, NOTHING)?;
    d.lull(SECOND, Verb::Cycle, NOTHING)?;
    Ok(())
}

/// The barger lets go, and in the `barge` scripts tries to have the lock back at once.
fn contended_release(d: &mut Director, s: &Scenario) -> Outcome {
    if !s.barge {
        return contended_let_go(d);
    }
    d.must(BARGER, Verb::UnlockBarge, NOTHING)?;
    Ok(())
}

fn contended_let_go(d: &mut Director) -> Outcome {
    if d.books.barger_holds {
        d.books.barger_holds = false;
        d.must(BARGER, Verb::Unlock, NOTHING)?;
    }
    Ok(())
}

pub(super) fn contended_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if !d.books.started {
        contended_sleepers(d)?;
        contended_release(d, s)?;
    }
    contended_let_go(d)?;
    if s.barge && s.verb == Verb::Unlock {
        // It takes what the dead one freed, ahead of whom that woke or did not wake.
        d.must(BARGER, Verb::Barge, [200, 0])?;
        d.must(BARGER, Verb::Unlock, NOTHING)?;
    }
    if !s.barge {
        // Nobody else comes by: what the victim left undone is done without.
        d.finish(FIRST)?;
        d.finish(SECOND)?;
    }
    d.order(BARGER, Verb::Cycle, NOTHING);
    lock_settle(d, s, victim)
}

/// The victim holds the lock and will let go of it.
pub(super) fn unlock_arrange(d: &mut Director, _: &Scenario, victim: usize) -> Outcome {
    d.must(victim, Verb::Hold, NOTHING).map(drop)
}

pub(super) fn unlock_sleepers_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    unlock_arrange(d, s, victim)?;
    contended_sleepers(d)
}

/// Somebody died with the lock; the victim will recover it.
pub(super) fn marked_arrange(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.must(FIRST, Verb::Hold, NOTHING)?;
    d.bury(FIRST)?;
    d.reap(0)?;
    d.spawn(FIRST)?;
    d.ready(FIRST)
}

// Event.

pub(super) fn event_sleepers(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.must(BARGER, Verb::Clear, NOTHING)?;
    d.lull(FIRST, Verb::Wait, NOTHING)?;
    d.lull(SECOND, Verb::Wait, NOTHING)?;
    Ok(())
}

pub(super) fn event_was_set(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.must(BARGER, Verb::Set, NOTHING).map(drop)
}

pub(super) fn event_asleep(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.must(BARGER, Verb::Set, NOTHING).map(drop)
}

/// If the event is set, who waits for it comes back, without another `set`.
pub(super) fn event_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let is_set = d.must(BARGER, Verb::IsSet, NOTHING)? == [1];
    let known = match (s.verb, d.reached(victim)) {
        (Verb::Set, AFTER) => Some(true),
        (Verb::Set, BEFORE) => Some(false),
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
        d.must(BARGER, Verb::Set, NOTHING)?;
    }
    for seat in [FIRST, SECOND] {
        if s.verb == Verb::Clear || d.is_finished(seat) {
            d.order(seat, Verb::Wait, NOTHING);
        }
    }
    d.finish_well(FIRST)?;
    d.finish_well(SECOND)?;
    d.conclude(victim, |_| Ok(()))?;
    d.must(BARGER, Verb::Clear, NOTHING)?;
    if d.must(BARGER, Verb::IsSet, NOTHING)? != [0] {
        return Err(Trouble::Violation("a cleared event is set".into()));
    }
    Ok(())
}
