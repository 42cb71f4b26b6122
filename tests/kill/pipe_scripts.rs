//! The scripts about pipes; see `scenarios`.
//!
//! The first sleeper makes a pipe and keeps one end; the victim takes the other end out of a queue. Whatever the victim does
//! and wherever it dies, the first sleeper then gets what was sent and finds the pipe closed.

use super::board::{AFTER, BEFORE};
use super::director::{BARGER, Director, FIRST};
use super::order::{Order, Verb};
use super::pipe_verbs::{CLOSED, RECEIVES, SAID, WAITING};
use super::scenarios::Scenario;
use super::trouble::{Outcome, Trouble};

fn on(s: &Scenario, verb: Verb) -> Order {
    Order::Pipe { verb, how: s.which }
}

fn is_receiver(s: &Scenario) -> bool {
    s.which & RECEIVES != 0
}

/// A new pipe, with this many messages in it if the victim receives.
fn make(d: &mut Director, s: &Scenario, messages: usize) -> Outcome {
    let how = s.which | (messages as u64) << 8;
    d.must(FIRST, Order::Pipe { verb: Verb::MakePipe, how }).map(drop)
}

/// The victim has its end.
pub(super) fn arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    make(d, s, WAITING)?;
    take(d, s, victim)
}

fn take(d: &mut Director, s: &Scenario, seat: usize) -> Outcome {
    if d.must(seat, on(s, Verb::TakeEnd))? == [1] {
        return Ok(());
    }
    Err(Trouble::Violation("an end that was put in a queue is not there".into()))
}

/// The victim's end is in the queue.
pub(super) fn taking_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    make(d, s, WAITING)
}

/// There is no message, and the victim waits for one.
pub(super) fn empty_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    make(d, s, 0)?;
    take(d, s, victim)
}

pub(super) fn empty_asleep(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    help(d, s)
}

fn help(d: &mut Director, s: &Scenario) -> Outcome {
    if std::mem::replace(&mut d.ledger.started, true) {
        return Ok(());
    }
    d.must(FIRST, on(s, Verb::Send)).map(drop)
}

/// The first sleeper waits for a message, or for room.
pub(super) fn wakes_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    empty_arrange(d, s, victim)?;
    if is_receiver(s) {
        d.must(FIRST, on(s, Verb::FillPipe))?;
    }
    let verb = if is_receiver(s) { Verb::Send } else { Verb::Recv };
    d.lull(FIRST, on(s, verb)).map(drop)
}

pub(super) fn wakes_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.conclude(victim, |_| Ok(()))?;
    if d.fate.is_mild() {
        d.must(victim, on(s, Verb::DropEnd))?;
    }
    let got = d.finish_well(FIRST)?;
    let is_sent = s.verb == Verb::Send;
    if is_receiver(s) {
        // One more message went in, or nobody takes it.
        return d.must(FIRST, on(s, Verb::SendOut)).map(drop);
    }
    let mut got: Vec<u64> = got.into_iter().filter(|&got| got != CLOSED).collect();
    got.extend(d.must(FIRST, on(s, Verb::RecvAll))?);
    check_sent(d, victim, is_sent, &got)
}

/// What the victim sent has come, once, and nothing else.
fn check_sent(d: &Director, victim: usize, is_sent: bool, got: &[u64]) -> Outcome {
    let (least, most) = match d.reached(victim) {
        _ if !is_sent => (0, 0),
        _ if d.fate.is_mild() => (1, 1),
        BEFORE => (0, 0),
        AFTER => (1, 1),
        _ => (0, 1),
    };
    if got.iter().all(|&got| got == SAID) && (least..=most).contains(&got.len()) {
        return Ok(());
    }
    Err(Trouble::Violation(format!("received {got:x?}, expected {least} to {most} messages")))
}

pub(super) fn after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    // Other pipes work while the victim stands.
    d.must(BARGER, on(s, Verb::UsePipe))?;
    let told = d.conclude(victim, |d| help(d, s))?;
    let told = if told.is_empty() { d.results(victim) } else { told };
    if s.verb == Verb::Recv && told.iter().any(|&told| told != SAID) {
        return Err(Trouble::Violation(format!("the victim received {told:x?}")));
    }
    let has_end = d.fate.is_mild() && s.verb != Verb::SendEnd;
    if has_end {
        d.must(victim, on(s, Verb::DropEnd))?;
    }
    let travelled = matches!(s.verb, Verb::SendEnd | Verb::TakeEnd) && find_end(d, s, victim)?;
    if !is_receiver(s) {
        if travelled {
            d.must(FIRST, on(s, Verb::Send))?;
            d.must(FIRST, on(s, Verb::DropEnd))?;
        }
        let got = d.must(FIRST, on(s, Verb::RecvAll))?;
        if travelled {
            return if got == [SAID] { Ok(()) } else { Err(lost(&got)) };
        }
        return check_sent(d, victim, s.verb == Verb::Send, &got);
    }
    if travelled {
        for _ in 0..WAITING {
            let got = d.must(FIRST, on(s, Verb::Recv))?;
            if got != [SAID] {
                return Err(lost(&got));
            }
        }
        d.must(FIRST, on(s, Verb::DropEnd))?;
    }
    d.must(FIRST, on(s, Verb::SendOut)).map(drop)
}

fn lost(got: &[u64]) -> Trouble {
    Trouble::Violation(format!("received {got:x?} by an end that travelled"))
}

/// Has the first sleeper take the end that the victim sent, or did not take; whether it was there.
fn find_end(d: &mut Director, s: &Scenario, victim: usize) -> Outcome<bool> {
    let was_there = d.must(FIRST, on(s, Verb::TakeEnd))? == [1];
    let sends = s.verb == Verb::SendEnd;
    let expected = match d.reached(victim) {
        _ if d.fate.is_mild() => Some(sends),
        BEFORE => Some(!sends),
        AFTER => Some(sends),
        _ => None,
    };
    if expected.is_some_and(|expected| expected != was_there) {
        return Err(Trouble::Violation(format!("is the end in the queue: {was_there}")));
    }
    Ok(was_there)
}
