//! The scripts about shared data; see `scenarios`.
//!
//! At the start of a point all places of the object say one number, and the victim's operation writes the next one. Whatever
//! becomes of the victim, the others find the old number or the new one everywhere, or are told that somebody died; then they
//! recover, and all is as new.

use super::board::{AFTER, BEFORE, HOLDING};
use super::data::{ARRAY, CLAIMED, DIED, FROZEN, LARGE_VALUE, LIST, MEMORY, Op, STRUCTURE, VALUE};
use super::director::{BARGER, Director, FIRST, SECOND};
use super::forms::{self, PLAIN};
use super::order::{Order, Verb};
use super::scenarios::Scenario;
use super::sync_verbs::REFUSED;
use super::trouble::{Outcome, Trouble};

const OTHERS: [usize; 3] = [BARGER, FIRST, SECOND];

pub(super) fn violation<T>(what: String) -> Outcome<T> {
    Err(Trouble::Violation(what))
}

/// Something done with the object, in the usual form.
pub(super) fn usual(s: &Scenario, op: Op, number: u64) -> Order {
    Order::Data { op, which: s.which, form: PLAIN, number }
}

pub(super) fn op(s: &Scenario) -> Op {
    match s.verb {
        Verb::Data(op) => op,
        _ => Op::Describe,
    }
}

fn is_locked(s: &Scenario) -> bool {
    matches!(s.which, VALUE | LARGE_VALUE | ARRAY | LIST)
}

/// Whether the operation leaves another number.
fn writes(s: &Scenario) -> bool {
    use Op::*;
    match op(s) {
        Get | GetOne | Read | CopyOut | Count | Index | Slice | CloneFrozen | Describe => false,
        Partition | Chunks | TakePart | SendPart | DropPart | Freeze => false,
        Recover => s.which != LIST,
        _ => s.which != STRUCTURE || op(s) == Set,
    }
}

/// Whether it leaves it in some places alone, or nothing keeps readers from what is half written.
fn is_partial(s: &Scenario) -> bool {
    use Op::*;
    let one_by_one = s.which == LIST && matches!(op(s), Counted | LetGo);
    s.which == MEMORY
        || one_by_one
        || matches!(op(s), SetOne | UpdateOne | Write | Claim | GiveClaim)
}

/// Whether it makes good what somebody left half written.
fn repairs(s: &Scenario) -> bool {
    match op(s) {
        Op::Recover => true,
        Op::Set | Op::Fill => is_locked(s),
        _ => false,
    }
}

/// All places say one number.
pub(super) fn arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    d.ledger.number = match d.must(BARGER, usual(s, Op::Check, 0))?[..] {
        [0, least, greatest] if least == greatest => least,
        ref found => return violation(format!("at the start of the point there is {found:?}")),
    };
    Ok(())
}

/// All look at once, and recover if need be.
pub(super) fn after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    for seat in [FIRST, SECOND, BARGER] {
        d.order(seat, usual(s, Op::Check, 0));
    }
    settle(d, s, victim)
}

/// The three finish the check that they were given; what they found is as it must be.
fn settle(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let mut found = Vec::new();
    for seat in OTHERS {
        found.push(d.finish_well(seat)?);
    }
    judge(d, s, victim, &found)?;
    check_answer(d, s, victim)?;
    d.conclude(victim, |_| Ok(()))?;
    check_answer(d, s, victim)?;
    is_new(d, s)
}

fn judge(d: &Director, s: &Scenario, victim: usize, found: &[Vec<u64>]) -> Outcome {
    let (old, reached) = (d.ledger.number, d.reached(victim));
    let new = old + u64::from(writes(s));
    let wrong = |what: &str| violation(format!("{what}; {old} was there, found {found:?}"));
    let mut deaths = 0;
    for one in found {
        let &[how, least, greatest] = &one[..] else { return wrong("somebody found nothing") };
        if how == CLAIMED {
            return wrong("a part is claimed, and by nobody");
        }
        if ![least, greatest].iter().all(|number| (old..=new).contains(number)) {
            return wrong("a number that nobody has written");
        }
        if how != DIED && least != greatest && !is_partial(s) {
            return wrong("half written, and nobody was told");
        }
        deaths += usize::from(how == DIED);
    }
    let firm = found.iter().all(|one| one[1] == one[2] || is_partial(s));
    let (all_old, some_new) =
        (found.iter().all(|one| one[2] == old), found.iter().any(|one| one[2] == new));
    match reached {
        _ if s.earlier => Ok(()),
        _ if d.fate.is_mild() && deaths > 0 => wrong("a death was reported, and nobody died"),
        _ if d.fate.is_mild() => Ok(()),
        BEFORE if (deaths > 0) != s.holds_on => wrong("the victim had not begun"),
        BEFORE if !s.holds_on && !all_old => wrong("the victim had not begun"),
        HOLDING if deaths == 0 && op(s) != Op::Claim => wrong("nobody was told of the death"),
        // What is borrowed is a copy.
        HOLDING if matches!(s.which, VALUE | LARGE_VALUE) && op(s) != Op::Counted && !all_old => {
            wrong("a guard that was not dropped has changed the value")
        }
        AFTER if deaths > 0 => wrong("a death was reported of somebody who was done"),
        AFTER if !(some_new && firm) && is_done(d, victim) => {
            wrong("what was written is not there")
        }
        _ => Ok(()),
    }
}

/// Whether the victim did what it was told and was not refused.
fn is_done(d: &Director, victim: usize) -> bool {
    !d.results(victim).iter().any(|told| [DIED, CLAIMED, FROZEN, REFUSED].contains(told))
}

/// What the victim was told is right.
fn check_answer(d: &Director, s: &Scenario, victim: usize) -> Outcome {
    use Op::{CopyOut, Counted, Freeze, Get, GetOne, Read, Swap};
    if d.reached(victim) != AFTER {
        return Ok(());
    }
    let right = match (s.which, op(s)) {
        // Of those that may be told either, or say how long a text is.
        (MEMORY | STRUCTURE, _) | (_, Op::Describe | Op::TakePart) => return Ok(()),
        _ if !s.says.is_empty() => return Ok(()),
        // Others may have repaired it while the victim stood.
        _ if s.earlier && d.fate.is_mild() => return Ok(()),
        _ if s.earlier && !repairs(s) => DIED,
        (_, Get | GetOne | Read | CopyOut | Swap | Freeze) => d.ledger.number,
        (_, Counted) => 0,
        _ => return Ok(()),
    };
    match d.results(victim)[..] {
        [told] if told == right => Ok(()),
        ref told => violation(format!("the victim was told {told:?}, not {right}")),
    }
}

/// Nobody has it, nothing is half written, and all see what one writes.
pub(super) fn is_new(d: &mut Director, s: &Scenario) -> Outcome {
    let next = d.ledger.number + 1;
    write(d, s, next)?;
    for seat in [FIRST, BARGER, SECOND] {
        let found = d.must(seat, usual(s, Op::Check, 0))?;
        if found != [0, next, next] {
            return violation(format!("{next} was written, found {found:?}"));
        }
    }
    Ok(())
}

/// The barger writes a number everywhere.
fn write(d: &mut Director, s: &Scenario, number: u64) -> Outcome {
    if is_locked(s) {
        d.must(BARGER, usual(s, Op::Hold, number))?;
        d.must(BARGER, usual(s, Op::LetGo, 0))?;
    } else {
        d.must(BARGER, usual(s, Op::Set, number))?;
    }
    Ok(())
}

// Somebody has it.

/// The barger has it.
pub(super) fn contended_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    arrange(d, s, victim)?;
    d.must(BARGER, usual(s, Op::Hold, 0))?;
    d.ledger.barger_holds = true;
    Ok(())
}

/// The victim waits for it, then the sleepers do; then the barger lets go.
pub(super) fn contended_asleep(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    sleepers(d, s)?;
    let_go(d, s)
}

fn sleepers(d: &mut Director, s: &Scenario) -> Outcome {
    if !std::mem::replace(&mut d.ledger.started, true) {
        d.lull(FIRST, usual(s, Op::Check, 0))?;
        d.lull(SECOND, usual(s, Op::Check, 0))?;
    }
    Ok(())
}

pub(super) fn let_go(d: &mut Director, s: &Scenario) -> Outcome {
    if std::mem::take(&mut d.ledger.barger_holds) {
        d.must(BARGER, usual(s, Op::LetGo, 0))?;
    }
    Ok(())
}

pub(super) fn contended_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    sleepers(d, s)?;
    let_go(d, s)?;
    // Nobody else comes by: what the victim left undone is done without.
    d.finish(FIRST)?;
    d.finish(SECOND)?;
    d.order(BARGER, usual(s, Op::Check, 0));
    settle(d, s, victim)
}

/// The victim has it, has written, and lets go.
pub(super) fn held_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    arrange(d, s, victim)?;
    d.must(victim, usual(s, Op::Hold, d.ledger.number + 1)).map(drop)
}

/// And the others wait for it.
pub(super) fn held_sleepers_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    held_arrange(d, s, victim)?;
    sleepers(d, s)
}

/// Somebody died with it.
pub(super) fn left_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    arrange(d, s, victim)?;
    d.must(FIRST, usual(s, Op::Hold, 0))?;
    d.kill(FIRST)?;
    d.recast(FIRST)
}

/// Who recovers the lock by itself does not hide what is half written.
pub(super) fn lock_recovered_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.must(SECOND, usual(s, Op::RecoverLock, 0))?;
    // Of the lock nobody is told any more; of the data all are, if it is not whole.
    let found = d.must(FIRST, usual(s, Op::Check, 0))?;
    let numbers = (d.ledger.number, d.ledger.number + 1);
    match found[..] {
        [0, least, greatest] if least != greatest && !is_partial(s) => {
            return violation(format!("half written, and nobody was told: {numbers:?}, {found:?}"));
        }
        _ => {}
    }
    d.conclude(victim, |_| Ok(()))?;
    is_new(d, s)
}

/// The holder dies while the victim stands.
pub(super) fn witness_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    sleepers(d, s)?;
    let is_left = d.ledger.barger_holds;
    d.kill(BARGER)?;
    d.reap(0)?;
    let mut told = d.conclude(victim, |_| Ok(()))?;
    for seat in [FIRST, SECOND] {
        told.extend(d.finish_well(seat)?.first());
    }
    d.recast(BARGER)?;
    let deaths = told.iter().filter(|&&told| told == DIED).count();
    if deaths > 0 && !is_left || deaths == 0 && is_left && !repairs(s) {
        return violation(format!("the holder died, or did not: {is_left}; told {told:?}"));
    }
    is_new(d, s)
}

// Freezing.

/// The array is frozen or not; all can read it, and freeze it.
pub(super) fn frozen_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    for seat in [FIRST, SECOND, BARGER] {
        d.order(seat, usual(s, Op::Check, 0));
    }
    let mut found = Vec::new();
    for seat in OTHERS {
        found.push(d.finish_well(seat)?);
    }
    judge(d, s, victim, &found)?;
    d.conclude(victim, |_| Ok(()))?;
    check_answer(d, s, victim)?;
    let is_frozen = d.must(BARGER, usual(s, Op::Fill, d.ledger.number))? == [FROZEN];
    let expected = match d.reached(victim) {
        BEFORE if !d.fate.is_mild() => Some(false),
        AFTER => Some(true),
        _ => None,
    };
    if expected.is_some_and(|expected| expected != is_frozen) {
        return violation(format!("is the array frozen: {is_frozen}"));
    }
    for seat in [FIRST, SECOND, BARGER] {
        let told = d.must(seat, usual(s, Op::Freeze, 0))?;
        if told != [d.ledger.number] {
            return violation(format!("freezing was answered by {told:?}"));
        }
    }
    match d.must(SECOND, usual(s, Op::Fill, 0))?[..] {
        [FROZEN] => Ok(()),
        ref told => violation(format!("a frozen array was written to: {told:?}")),
    }
}

/// What a scenario of a form that is refused says.
pub(super) const REFUSALS: &[u64] = &[REFUSED];
/// What a claim is told while somebody has a guard of the whole.
pub(super) const BUSY: &[u64] = &[CLAIMED];

/// Whether the victim may hold up others: it may have the object's lock, or be inside a queue or the memory.
pub(super) fn may_be_inside(s: &Scenario) -> bool {
    is_locked(s) && op(s) != Op::Slice && !forms::is_owned(s.form)
}
