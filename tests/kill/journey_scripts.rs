//! The scripts about ends of pipes that travel inside messages of another pipe, and about duplex ends that are taken apart; see
//! `scenarios`.
//!
//! The first sleeper has the end that stays, and sleeps in a call before the victim begins. Wherever the other end is in the end, with
//! one who lives or gone, the sleeper is told by itself: it gets what is sent, and then that the pipe is closed.

use multiproc::Pipe;

use super::board::{AFTER, BEFORE};
use super::director::{BARGER, Director, FIRST};
use super::journey_verbs::{Bag, Crate, Ware};
use super::order::{Order, Verb};
use super::pipe_verbs::{CLOSED, SAID};
use super::scenarios::Scenario;
use super::trouble::{Outcome, Trouble};

/// Which end travels.
pub(super) const SENDER: u64 = 0;
pub(super) const RECEIVER: u64 = 1;
pub(super) const BOTH: u64 = 2;

fn on(verb: Verb, seat: usize) -> Order {
    Order::Bag { verb, seat }
}

fn hand(d: &mut Director, seat: usize, bag: Bag) -> Outcome {
    d.props.bags[seat].put(bag)?;
    d.must(seat, on(Verb::BagFetch, seat)).map(drop)
}

/// The end that travels. The other one is with the first sleeper, which sleeps.
fn with_sleeper(d: &mut Director, s: &Scenario) -> Outcome<Ware> {
    let (stays, travels) = match s.which {
        SENDER => {
            let (sender, receiver) = Pipe::simplex()?;
            (Ware::Receiver(receiver), Ware::Sender(sender))
        }
        RECEIVER => {
            let (sender, receiver) = Pipe::simplex()?;
            (Ware::Sender(sender), Ware::Receiver(receiver))
        }
        _ => {
            let (here, there) = Pipe::duplex()?;
            (Ware::Connection(here), Ware::Connection(there))
        }
    };
    hand(d, FIRST, Bag { wares: [stays].into(), ..Bag::default() })?;
    d.lull(FIRST, on(Verb::BagListen, FIRST))?;
    Ok(travels)
}

/// The victim has an end and sends it away; the barger has the other side of the pipe in which it travels.
pub(super) fn send_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let ware = with_sleeper(d, s)?;
    let (out, inn) = Pipe::simplex()?;
    hand(d, victim, Bag { wares: [ware].into(), out: Some(out), inn: None })?;
    hand(d, BARGER, Bag { inn: Some(inn), ..Bag::default() })?;
    leave_memory()
}

/// Leaves a free block for a message with an end in it: else the victim sweeps all memory first, after the deaths of others.
fn leave_memory() -> Outcome {
    let ((mut out, mut inn), (sender, _receiver)) = (Pipe::simplex()?, Pipe::simplex()?);
    out.send(Crate::of(Ware::Sender(sender)))?;
    Ok(inn.recv().map(drop)?)
}

/// The end is in a message, for which the victim has the receiver. Nobody has the sender any more.
pub(super) fn take_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let ware = with_sleeper(d, s)?;
    let (mut out, inn) = Pipe::simplex()?;
    out.send(Crate::of(ware))?;
    hand(d, victim, Bag { inn: Some(inn), ..Bag::default() })
}

/// The victim has the end.
pub(super) fn hold_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let ware = with_sleeper(d, s)?;
    hand(d, victim, Bag { wares: [ware].into(), ..Bag::default() })
}

/// The end arrives, or it is gone with the victim.
pub(super) fn send_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.conclude(victim, |_| Ok(()))?;
    let told = d.must(BARGER, on(Verb::BagTake, BARGER))?;
    let arrived = told == [1];
    if !arrived && told != [CLOSED] {
        return Err(Trouble::Violation(format!("the barger was told {told:x?} of the end")));
    }
    let expected = match d.reached(victim) {
        _ if d.fate.is_mild() => Some(true),
        BEFORE => Some(false),
        AFTER => Some(true),
        _ => None,
    };
    if expected.is_some_and(|expected| expected != arrived) {
        return Err(Trouble::Violation(format!("has the end arrived: {arrived}")));
    }
    if d.fate.is_mild() {
        d.must(victim, on(Verb::BagDrop, victim))?;
    }
    finish(d, s, BARGER, arrived)
}

/// The victim has the end if it lives; else that is gone with it.
pub(super) fn hold_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let told = d.conclude(victim, |_| Ok(()))?;
    if told.iter().any(|&told| told != 1) {
        return Err(Trouble::Violation(format!("the victim was told {told:x?} of the end")));
    }
    let has_end = d.fate.is_mild() && s.verb != Verb::BagDrop;
    finish(d, s, victim, has_end)
}

/// The one who has the end, if anybody has, uses it and drops it; the sleeper is told of that, and of nothing else.
fn finish(d: &mut Director, s: &Scenario, seat: usize, has_end: bool) -> Outcome {
    // Of a duplex end that was taken apart, one half would wait for a message that nobody sends.
    let is_used = has_end && s.verb != Verb::BagSplit;
    if is_used {
        let received = d.must(seat, on(Verb::BagUse, seat))?;
        if received.iter().any(|&said| said != SAID) {
            return Err(Trouble::Violation(format!("{received:x?} was received")));
        }
    }
    if seat == BARGER || d.fate.is_mild() {
        d.must(seat, on(Verb::BagDrop, seat))?;
    }
    let told = d.finish_well(FIRST)?;
    let due: &[u64] = if is_used && s.which != RECEIVER { &[SAID, CLOSED] } else { &[CLOSED] };
    if told != due {
        return Err(Trouble::Violation(format!("the sleeper was told {told:x?}, not {due:x?}")));
    }
    Ok(())
}
