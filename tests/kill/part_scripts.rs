//! The scripts about parts of an array; see `data_scripts`.

use super::board::{AFTER, BEFORE, HOLDING};
use super::data::{CLAIMED, DIED, Op};
use super::data_scripts::{after, arrange, is_new, let_go, op, usual, violation};
use super::director::{BARGER, Director, FIRST, SECOND};
use super::patience::Patience;
use super::scenarios::Scenario;
use super::trouble::Outcome;

/// The array is cut in two; the parts are in the queue.
pub(super) fn cut_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    arrange(d, s, victim)?;
    d.must(BARGER, usual(s, Op::Cut, 0)).map(drop)
}

/// The victim has the first part, and the first sleeper the other.
pub(super) fn part_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    cut_arrange(d, s, victim)?;
    take(d, s, victim)?;
    take(d, s, FIRST)
}

fn take(d: &mut Director, s: &Scenario, seat: usize) -> Outcome {
    if d.must(seat, usual(s, Op::TakePart, 0))? == [1] {
        return Ok(());
    }
    violation("a part that was put in the queue is not there".into())
}

/// And a handle of the victim's part is in the queue.
pub(super) fn offered_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    part_arrange(d, s, victim)?;
    d.must(victim, usual(s, Op::OfferPart, 0)).map(drop)
}

/// Somebody has the array's lock.
pub(super) fn locked_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    part_arrange(d, s, victim)?;
    d.must(BARGER, usual(s, Op::HoldLock, 0))?;
    d.ledger.barger_holds = true;
    Ok(())
}

pub(super) fn locked_asleep(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    if std::mem::take(&mut d.ledger.barger_holds) {
        d.must(BARGER, usual(s, Op::FreeLock, 0))?;
    }
    Ok(())
}

/// Somebody has a guard of the whole: parts are busy.
pub(super) fn borrowed_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    part_arrange(d, s, victim)?;
    d.must(BARGER, usual(s, Op::Hold, 0))?;
    d.ledger.barger_holds = true;
    Ok(())
}

/// The other part is to be had, whatever became of the victim; then the array is.
pub(super) fn part_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if s.arrange as usize == borrowed_arrange as *const () as usize {
        let_go(d, s)?;
    }
    locked_asleep(d, s, 1)?;
    claim(d, s, d.ledger.number)?;
    d.conclude(victim, |_| Ok(()))?;
    end_parts(d, s, victim)
}

/// The first sleeper claims its part, and writes.
fn claim(d: &mut Director, s: &Scenario, number: u64) -> Outcome<bool> {
    let mut patience = Patience::new(d.patience());
    loop {
        match d.must(FIRST, usual(s, Op::Claim, number))?[..] {
            [is_taken_over @ (0 | 1)] => return Ok(is_taken_over == 1),
            // Its process has not ended altogether.
            [CLAIMED] if !patience.is_over() => {}
            ref told => {
                return violation(format!("a part that nobody has was refused: {told:?}"));
            }
        }
    }
}

fn end_parts(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if d.fate.is_mild() {
        d.must(victim, usual(s, Op::DropPart, 0))?;
    }
    d.must(FIRST, usual(s, Op::DropPart, 0))?;
    after(d, s, victim)
}

/// Whoever claims the part of the dead does its work again, and then nothing is half written.
pub(super) fn offered_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.conclude(victim, |_| Ok(()))?;
    take(d, s, FIRST)?;
    let is_taken_over = claim(d, s, d.ledger.number + 1)?;
    let expected = match d.reached(victim) {
        BEFORE | AFTER => Some(false),
        HOLDING => Some(!d.fate.is_mild()),
        _ => None,
    };
    if expected.is_some_and(|expected| expected != is_taken_over) {
        return violation(format!("was the part taken over from the dead: {is_taken_over}"));
    }
    let found = d.must(SECOND, usual(s, Op::Check, 0))?;
    if d.reached(victim) == HOLDING && found[0] == DIED {
        return violation(format!("the part was done again, and {found:?}"));
    }
    if d.fate.is_mild() {
        d.must(victim, usual(s, Op::DropPart, 0))?;
    }
    d.must(FIRST, usual(s, Op::DropPart, 0))?;
    is_new(d, s)
}

/// The part is in the queue or with the victim.
pub(super) fn moved_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.conclude(victim, |_| Ok(()))?;
    let takes = op(s) == Op::TakePart;
    if takes {
        // One of the two at least.
        take(d, s, FIRST)?;
    }
    let is_there = d.must(if takes { SECOND } else { FIRST }, usual(s, Op::TakePart, 0))? == [1];
    let expected = match d.reached(victim) {
        _ if d.fate.is_mild() => Some(!takes),
        BEFORE => Some(takes),
        AFTER => Some(!takes),
        _ => None,
    };
    if expected.is_some_and(|expected| expected != is_there) {
        return violation(format!("is the part in the queue: {is_there}"));
    }
    claim(d, s, d.ledger.number)?;
    if takes {
        d.must(SECOND, usual(s, Op::DropPart, 0))?;
    }
    end_parts(d, s, victim)
}
