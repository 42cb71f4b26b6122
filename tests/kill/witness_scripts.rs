//! The scripts in which the victim lives, and somebody else dies while it stands at its point; see
//! `scenarios`.
//!
//! The other one dies with what the victim and the sleepers wait for, or half-way through letting go
//! of it, or it is a sleeper that what the victim lets go of may have been for. While the victim
//! stands, those who need nothing of it have to get on; then it is let go and has to get on, too.

use super::board::{AFTER, BEFORE};
use super::director::{BARGER, Director, FIRST, SECOND};
use super::forms::{BRIEF, OWNED, PLAIN, TRY};
use super::lock_scripts::{
    contended_let_go, contended_sleepers, event, event_set, hold, lock_is_new,
};
use super::order::{Order, Verb};
use super::scenarios::Scenario;
use super::semaphore_scripts::{
    close, give_all, none_arrange, pass_on, serve_all, served, sleepers,
};
use super::sync_verbs::{IGNORING, REFUSED};
use super::trouble::{Outcome, Trouble};

/// Who dies while the victim stands, and in the middle of what; at a moment of its own if of nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    pub(crate) seat: usize,
    pub(crate) verb: Option<Verb>,
}

fn violation<T>(what: String) -> Outcome<T> {
    Err(Trouble::Violation(what))
}

/// Kills whoever is to die; in the middle of something only if there is `something` to it.
fn kill_other(d: &mut Director, s: &Scenario, something: bool) -> Outcome {
    match s.dies {
        Death { seat, verb: Some(verb) } if something => d.kill_halfway(seat, s.usual(verb))?,
        Death { seat, .. } => d.kill(seat)?,
    }
    d.reap(0)
}

/// Whether the victim may be refused.
fn may_give_up(s: &Scenario) -> bool {
    matches!(s.form & !OWNED, BRIEF | TRY)
}

// Locks.

/// The victim waits for the lock, then the sleepers do, unless it is to be alone; then the barger
/// lets go and has the lock back at once, ahead of the victim, and then lets go of it.
pub(super) fn lock_asleep(d: &mut Director, s: &Scenario, turn: usize) -> Outcome {
    if turn > 1 {
        return contended_let_go(d, s);
    }
    if !s.alone {
        contended_sleepers(d, s)?;
    }
    contended_let_go(d, s)?;
    // Only the first in the line was woken, and that is the victim.
    hold(d, s, BARGER)?;
    d.ledger.barger_holds = true;
    Ok(())
}

/// The holder dies; all get the lock, and are told of the death if it had not let go before it.
pub(super) fn lock_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if !s.alone && !d.ledger.started {
        contended_sleepers(d, s)?;
    }
    let sleepers: &[usize] = if s.alone { &[] } else { &[FIRST, SECOND] };
    let waiting = sleepers.iter().filter(|&&seat| !d.is_finished(seat)).count();
    let waiting = waiting + usize::from(d.reached(victim) != AFTER);
    let holds = d.has_lock(BARGER, s.which);
    let is_left = holds && s.dies.verb.is_none() && s.which & IGNORING == 0;
    let dead = u64::from(d.pid(BARGER).unsigned_abs());
    if holds && s.dies.verb.is_some() && s.is_reentrant() {
        d.must(BARGER, s.usual(Verb::Unlock))?;
    }
    kill_other(d, s, holds)?;
    if !d.is_excused() {
        // Who holds nothing holds nobody up.
        for &seat in sleepers {
            d.finish(seat)?;
        }
    }
    let mut told = d.conclude(victim, |_| Ok(()))?;
    for &seat in sleepers {
        told.extend(d.finish_well(seat)?);
    }
    let refused = told.iter().filter(|&&told| told == REFUSED).count();
    if refused > usize::from(may_give_up(s)) {
        return violation("the lock was not to be had".into());
    }
    let deaths = told.iter().filter(|&&told| !matches!(told, 0 | REFUSED)).count();
    // Of those who wait, at least one is told; who is refused is not.
    let least = usize::from(is_left && waiting > refused);
    if deaths < least || deaths > 0 && !is_left {
        return violation(format!("{deaths} were told of a death, of those who answered {told:?}"));
    }
    if is_left && deaths == 0 && d.must(SECOND, s.usual(Verb::Cycle))? != [1] {
        return violation("the owner died and nobody was told".into());
    }
    if s.verb == Verb::Recover && !matches!(told[0], 0 | REFUSED) && told[0] != dead {
        return violation(format!("{told:?} died with the lock, and not {dead}"));
    }
    d.recast(BARGER)?;
    lock_is_new(d, s)
}

/// A sleeper dies; the other one gets the lock that the victim lets go of.
pub(super) fn unlock_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    kill_other(d, s, false)?;
    d.conclude(victim, |_| Ok(()))?;
    // The dead one may have had it, too, just before.
    d.finish_well(SECOND)?;
    d.recast(FIRST)?;
    lock_is_new(d, s)
}

// Semaphores.

/// The barger has all permits.
pub(super) fn acquire_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.ledger.barger_holds = true;
    none_arrange(d, s, victim)
}

/// The victim waits for a permit, then the sleepers do, unless it is to be alone; then the barger
/// gives one back and takes it again at once, ahead of the victim, and then gives it back.
pub(super) fn acquire_asleep(d: &mut Director, s: &Scenario, turn: usize) -> Outcome {
    if turn > 1 {
        d.ledger.barger_holds = false;
        give_all(d, s, BARGER)?;
        return pass_on(d, s);
    }
    if !s.alone {
        sleepers(d, s)?;
    }
    d.must(BARGER, s.usual(Verb::GiveBarge)).map(drop)
}

/// The holder of all permits dies; they are for the others.
pub(super) fn acquire_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if !s.alone && !d.ledger.started {
        sleepers(d, s)?;
    }
    let holds = d.ledger.barger_holds;
    kill_other(d, s, holds)?;
    // A victim that stands may have taken one.
    let has_none = d.slept || d.reached(victim) == BEFORE;
    if !s.alone && has_none {
        d.until("the permits of the dead are for two sleepers", |d| served(d) == 2)?;
    }
    pass_on(d, s)?;
    let told = d.conclude(victim, |d| pass_on(d, s))?;
    if told != [1] && !(told == [0] && may_give_up(s)) {
        return violation(format!("the victim answered {told:?}"));
    }
    d.recast(BARGER)?;
    if !s.alone {
        give_all(d, s, victim)?;
        serve_all(d, s)?;
    }
    close(d, s, victim)
}

/// A sleeper dies, or who holds permits does; what the victim gives is for the sleepers.
pub(super) fn give_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    kill_other(d, s, false)?;
    d.conclude(victim, |_| Ok(()))?;
    // One permit for the sleeper that lives; or the dead one's as well for both.
    let seats: &[usize] = if s.dies.seat == FIRST { &[SECOND] } else { &[FIRST, SECOND] };
    d.until("there are permits, and a sleeper waits for one", |d| {
        seats.iter().all(|&seat| d.is_finished(seat))
    })?;
    d.recast(s.dies.seat)?;
    close(d, s, victim)
}

// Events.

/// Who was to set the event dies, before that or in the middle of it: then all come back.
pub(super) fn wait_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let sets = s.dies.verb.is_some() && !d.props.event.is_set();
    kill_other(d, s, sets)?;
    if !sets {
        if !d.slept {
            // It may fall asleep after the death.
            d.let_go()?;
        }
        d.recast(BARGER)?;
        event_set(d)?;
    }
    d.finish_well(FIRST)?;
    d.finish_well(SECOND)?;
    let told = d.conclude(victim, |_| Ok(()))?;
    if told != [1] && !(told == [0] && may_give_up(s)) {
        return violation(format!("the victim answered {told:?}"));
    }
    if sets {
        d.recast(BARGER)?;
    }
    d.must(BARGER, event(Verb::Clear)).map(drop)
}

/// A waiter dies while the victim sets the event; the other one comes back.
pub(super) fn set_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    kill_other(d, s, false)?;
    d.conclude(victim, |_| Ok(()))?;
    d.finish_well(SECOND)?;
    d.recast(FIRST)?;
    d.must(FIRST, Order::on(Verb::Wait, 0, PLAIN))?;
    d.must(BARGER, event(Verb::Clear)).map(drop)
}
