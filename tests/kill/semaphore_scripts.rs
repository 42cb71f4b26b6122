//! The scripts about semaphores; see `scenarios`.
//!
//! At the start of every point there are [`PERMITS`] permits, all available. Whoever takes one keeps
//! it until it is told to give it back; so who has one can be told from who came back.

use std::time::{Duration, Instant};

use super::board::{AFTER, BEFORE};
use super::director::{BARGER, Director, FIRST, SECOND};
use super::fates::Fate;
use super::forms::{DEBUG, PLAIN, TRY};
use super::lock_scripts::check_answer;
use super::order::{Order, Verb};
use super::props::{COUNTED, PERMITS};
use super::scenarios::Scenario;
use super::sync_verbs;
use super::trouble::{Outcome, Trouble};

/// How long nobody checks, where nobody knows whether a sleeper is to come back: a check takes the
/// semaphore's lock, and that may be a help.
const UNSEEN: Duration = Duration::from_millis(15);
/// Something done with a lock that no script about semaphores uses otherwise.
fn ear(verb: Verb) -> Order {
    Order::on(verb, 0, PLAIN)
}

// What is there.

/// What the semaphore says of itself.
fn description(d: &Director, s: &Scenario) -> String {
    match d.props.simple_semaphore(s.which) {
        Some(semaphore) => format!("{semaphore:?}"),
        None => format!("{:?}", d.props.bounded_semaphore),
    }
}

/// How many permits are available, and how many exist, without those that the director has for ever.
fn counts(d: &Director, s: &Scenario) -> Outcome<(u32, u32)> {
    let text = description(d, s);
    let number = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split([',', ' ']).next()?.parse().ok()
    };
    number("available: ")
        .zip(number("permits: "))
        .map(|(available, permits)| (available, permits - director_has(s)))
        .ok_or_else(|| Trouble::Fault(format!("what does {text} mean?")))
}

/// How many permits the director has for ever.
fn director_has(s: &Scenario) -> u32 {
    if s.which == sync_verbs::COUNTED { COUNTED } else { 0 }
}

/// How many may exist now: without and with what the victim did, as far as that can be told.
fn allowed(d: &Director, s: &Scenario, victim: usize) -> Vec<u32> {
    let before = PERMITS + d.ledger.released - d.ledger.forgotten;
    let after = match s.verb {
        Verb::Forget => before - 1,
        Verb::Release if s.which != 1 || before < PERMITS => before + s.form as u32,
        _ => before,
    };
    match d.reached(victim) {
        _ if d.fate.is_mild() => vec![after],
        AFTER => vec![after],
        BEFORE => vec![before],
        // A sleeper forgets and releases nothing.
        _ => vec![before, after],
    }
}

/// `seat` gives back all it has.
pub(super) fn give_all(d: &mut Director, s: &Scenario, seat: usize) -> Outcome {
    d.must(seat, s.usual(Verb::GiveAll)).map(drop)
}

/// `seat` takes a permit, which must be there or come.
fn take(d: &mut Director, s: &Scenario, seat: usize) -> Outcome {
    take_as(d, seat, s.usual(Verb::Acquire))
}

/// The victim takes the permit that its operation is about.
fn take_own(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    take_as(d, victim, s.holding(Verb::Acquire))
}

fn take_as(d: &mut Director, seat: usize, order: Order) -> Outcome {
    match d.must(seat, order)?[..] {
        [1] => Ok(()),
        _ => Err(Trouble::Violation("acquiring found no permit and said so".into())),
    }
}

/// `seat` takes a permit if there is one; whether there was.
fn try_take(d: &mut Director, s: &Scenario, seat: usize) -> Outcome<bool> {
    Ok(d.must(seat, Order::on(Verb::Acquire, s.which, TRY))? == [1])
}

fn forget(d: &mut Director, s: &Scenario, seat: usize) -> Outcome {
    take(d, s, seat)?;
    d.must(seat, s.usual(Verb::Forget)).map(drop)
}

/// The sleepers want a permit each.
pub(super) fn sleepers(d: &mut Director, s: &Scenario) -> Outcome {
    d.ledger.started = true;
    d.lull(FIRST, s.usual(Verb::Acquire))?;
    d.lull(SECOND, s.usual(Verb::Acquire))?;
    Ok(())
}

pub(super) fn served(d: &Director) -> usize {
    [FIRST, SECOND].into_iter().filter(|&seat| d.is_finished(seat)).count()
}

/// The sleepers come back: `least` of them without anybody's help, not even a check; `most` if the
/// victim did what it had to.
fn await_served(d: &mut Director, s: &Scenario, least: usize, most: usize) -> Outcome {
    d.until("there is a permit, and a sleeper waits for one", |d| served(d) >= least)?;
    let deadline = Instant::now() + UNSEEN;
    while served(d) < most && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(100));
    }
    if d.fate != Fate::Stop {
        d.until("a permit is available, and a sleeper waits for one", |d| {
            served(d) == 2 || counts(d, s).is_ok_and(|counts| counts.0 == 0)
        })?;
    }
    let now = served(d);
    if now > most {
        return Err(Trouble::Violation(format!("{now} got a permit, there were {most}")));
    }
    Ok(())
}

/// All are served in turn, by what the others give back and by nothing else.
pub(super) fn serve_all(d: &mut Director, s: &Scenario) -> Outcome {
    give_all(d, s, BARGER)?;
    d.until("there are permits, and both sleepers wait for one", |d| served(d) > 0)?;
    pass_on(d, s)?;
    for seat in [FIRST, SECOND] {
        d.finish_well(seat)?;
        give_all(d, s, seat)?;
    }
    Ok(())
}

/// The permits of the dead come back, those that were forgotten do not, and the semaphore works.
pub(super) fn close(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    for seat in [FIRST, SECOND, BARGER] {
        give_all(d, s, seat)?;
    }
    if d.fate.is_mild() {
        give_all(d, s, victim)?;
    }
    d.until("the permits of the dead do not come back", |d| {
        counts(d, s).is_ok_and(|(available, permits)| available == permits)
    })?;
    let (_, permits) = counts(d, s)?;
    let allowed = allowed(d, s, victim);
    if !allowed.contains(&permits) {
        return Err(Trouble::Violation(format!("{permits} permits exist, not {allowed:?}")));
    }
    // Exactly as many are to be had.
    for _ in 0..permits {
        if !try_take(d, s, BARGER)? {
            return Err(Trouble::Violation(format!("there are fewer than {permits} permits")));
        }
    }
    if try_take(d, s, FIRST)? {
        return Err(Trouble::Violation(format!("there are more than {permits} permits")));
    }
    expect(d, s, 0, permits)?;
    give_all(d, s, BARGER)?;
    // As many as at the start.
    for _ in permits..PERMITS {
        if d.must(SECOND, Order::on(Verb::Release, s.which, 1))? != [1] {
            return Err(Trouble::Violation("a permit that was forgotten is not released".into()));
        }
    }
    for _ in PERMITS..permits {
        forget(d, s, BARGER)?;
    }
    if s.which == 1 && d.must(SECOND, Order::on(Verb::Release, s.which, 1))? != [0] {
        return Err(Trouble::Violation("a bounded semaphore has more than at the start".into()));
    }
    expect(d, s, PERMITS, PERMITS)?;
    for _ in 0..PERMITS {
        take(d, s, FIRST)?;
    }
    if !d.lull(SECOND, s.usual(Verb::Acquire))? {
        return Err(Trouble::Violation("there is one permit too many".into()));
    }
    if s.verb == Verb::Release && s.form == 2 {
        // One release for two.
        d.lull(BARGER, s.usual(Verb::Acquire))?;
        d.must(FIRST, Order::on(Verb::Release, s.which, 2))?;
        for seat in [SECOND, BARGER] {
            d.finish_well(seat)?;
            d.must(seat, s.usual(Verb::Forget))?;
        }
        give_all(d, s, FIRST)?;
    } else {
        give_all(d, s, FIRST)?;
        d.finish_well(SECOND)?;
        give_all(d, s, SECOND)?;
    }
    expect(d, s, PERMITS, PERMITS)
}

fn expect(d: &mut Director, s: &Scenario, available: u32, permits: u32) -> Outcome {
    let told = d.must(BARGER, s.usual(Verb::Available))?;
    let now = counts(d, s)?;
    if told == [u64::from(available)] && now == (available, permits) {
        return Ok(());
    }
    Err(Trouble::Violation(format!(
        "{told:?} and {} of {} permits are available, not {available} of {permits}",
        now.0, now.1
    )))
}

// Acquiring.

/// The barger has all permits.
pub(super) fn none_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    for _ in 0..PERMITS {
        take(d, s, BARGER)?;
    }
    Ok(())
}

/// The victim waits for a permit, then the sleepers do; then the barger gives one back, and may try
/// to have it again at once.
pub(super) fn none_asleep(d: &mut Director, s: &Scenario, turn: usize) -> Outcome {
    if turn == 1 {
        return none_start(d, s);
    }
    give_all(d, s, BARGER)?;
    pass_on(d, s)
}

/// Sleepers that were served give back what they have.
pub(super) fn pass_on(d: &mut Director, s: &Scenario) -> Outcome {
    for seat in [FIRST, SECOND] {
        if d.is_finished(seat) {
            give_all(d, s, seat)?;
        }
    }
    Ok(())
}

fn none_start(d: &mut Director, s: &Scenario) -> Outcome {
    sleepers(d, s)?;
    let verb = if s.barge { Verb::GiveBarge } else { Verb::GiveBack };
    d.must(BARGER, s.usual(verb)).map(drop)
}

/// A process died with all permits, and nobody has checked since.
pub(super) fn dead_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    for _ in 0..PERMITS {
        take(d, s, FIRST)?;
    }
    listen(d, victim)?;
    d.kill(FIRST)?;
    heard(d, victim)
}

/// A process died in the middle of a release, with the semaphore's own lock. It takes that where permits are counted.
pub(super) fn adopt_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    listen(d, victim)?;
    d.kill_halfway(FIRST, Order::on(Verb::Release, s.which, 1))?;
    heard(d, victim)
}

/// All but the first sleeper wait for a lock that it has, and it is about to die: so each comes back
/// when its keeper has told it of the death.
fn listen(d: &mut Director, victim: usize) -> Outcome {
    d.must(FIRST, ear(Verb::Hold))?;
    for seat in [SECOND, BARGER, victim] {
        d.lull(seat, ear(Verb::Cycle))?;
    }
    Ok(())
}

/// All have heard of it, and no alarm is to come that could help somebody later on. The one that is
/// put in the dead one's place came after it.
fn heard(d: &mut Director, victim: usize) -> Outcome {
    let mut told = 0;
    for seat in [SECOND, BARGER, victim] {
        told += d.finish_well(seat)?.iter().sum::<u64>();
    }
    if told == 0 {
        return Err(Trouble::Violation("the owner died and nobody was told".into()));
    }
    d.recast(FIRST)
}

pub(super) fn acquire_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if !d.ledger.started {
        sleepers(d, s)?;
    }
    give_all(d, s, BARGER)?;
    // A victim that stands may have taken one.
    let may_have = d.fate == Fate::Stop && !d.slept && d.reached(victim) != BEFORE;
    let least = if may_have { 1 } else { 2 };
    d.until("there are permits, and a sleeper waits for one", |d| served(d) >= least)?;
    if d.fate == Fate::Stop {
        d.conclude(victim, |d| pass_on(d, s))?;
        give_all(d, s, victim)?;
    }
    d.finish_well(FIRST)?;
    d.finish_well(SECOND)?;
    close(d, s, victim)
}

/// The first of those who have no seat in the state wants a permit: it has to make the semaphore's block. Two others hold
/// permits.
pub(super) fn fifth_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    d.must(BARGER, Order::on(Verb::Release, s.which, 1))?;
    d.ledger.released = 1;
    take(d, s, FIRST)?;
    take(d, s, SECOND)
}

pub(super) fn fifth_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let got = try_take(d, s, BARGER)?;
    let may_have = d.fate.is_mild() || d.reached(victim) != BEFORE;
    if !got && !may_have {
        return Err(Trouble::Violation("a permit is available, and not to be had".into()));
    }
    give_all(d, s, FIRST)?;
    give_all(d, s, SECOND)?;
    acquire_after(d, s, victim)
}

// Giving back, forgetting, releasing.

/// The victim has a permit.
pub(super) fn held_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    take_own(d, s, victim)
}

/// The victim has one, the barger the other, and the sleepers wait.
pub(super) fn held_sleepers_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    take_own(d, s, victim)?;
    take(d, s, BARGER)?;
    sleepers(d, s)
}

/// One permit was forgotten.
pub(super) fn forgotten_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    d.ledger.forgotten = 1;
    forget(d, s, BARGER)
}

/// The barger has all permits, and the sleepers wait; a bounded semaphore has one to be released.
pub(super) fn release_sleepers_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if s.which == 1 {
        forgotten_arrange(d, s, victim)?;
        take(d, s, BARGER)?;
    } else {
        none_arrange(d, s, victim)?;
    }
    sleepers(d, s)
}

/// The victim's question has the right answer, and the rest is as if it had not asked.
pub(super) fn ask_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    // One that is dead held a permit while it was asked.
    if d.reached(victim) == AFTER && s.form == DEBUG {
        check_answer(d, victim, description(d, s).len() as u64)?;
    }
    given_after(d, s, victim)
}

pub(super) fn given_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if d.ledger.started {
        let made = if s.verb == Verb::Release { s.form as usize } else { 1 };
        let stands = d.fate == Fate::Stop;
        let (least, most) = match (s.verb, d.reached(victim)) {
            // The dead one's own permit comes back in any case, unless it is forgotten.
            (Verb::GiveBack, _) if !stands => (1, 1),
            (Verb::GiveBack, AFTER) => (1, 1),
            (Verb::Forget, BEFORE) if !stands => (1, 1),
            (Verb::Forget, AFTER) => (0, 0),
            (Verb::Forget, _) => (0, usize::from(!stands)),
            (Verb::Release, AFTER) => (made, made),
            (_, BEFORE) => (0, 0),
            _ => (0, made),
        };
        // The barger may be ahead of whom the victim woke or did not wake.
        let got = usize::from(s.barge && try_take(d, s, BARGER)?);
        await_served(d, s, least.saturating_sub(got), most.saturating_sub(got))?;
        if stands {
            d.conclude(victim, |_| Ok(()))?;
            let given = if s.verb == Verb::Forget { 0 } else { made };
            await_served(d, s, given - got.min(given), given.saturating_sub(got))?;
        } else if s.verb == Verb::Release && !matches!(served(d) + got, 0 | 2) && made == 2 {
            return Err(Trouble::Violation("one of two permits was released".into()));
        }
        serve_all(d, s)?;
    }
    d.conclude(victim, |_| Ok(()))?;
    close(d, s, victim)
}
