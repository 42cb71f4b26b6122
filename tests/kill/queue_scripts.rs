//! The scripts about queues; see `scenarios`.

use super::director::{BARGER, Director, FIRST, SECOND};
use super::fates::Fate;
use super::order::{Code, Order, Verb};
use super::props::BOUND;
use super::scenarios::Scenario;
use super::trouble::{Outcome, Trouble};

// Puts.

fn own_put(d: &mut Director, s: &Scenario) {
    let first = d.id();
    let many = if s.verb == Verb::PutMany { 3 } else { 1 };
    d.ledger.own = (first..first + many).collect();
}

pub(super) fn put_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    own_put(d, s);
    d.put(BARGER, s.kind)
}

/// The victim's message is the first of a chunk.
pub(super) fn put_page_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    own_put(d, s);
    d.turn_pages()
}

pub(super) fn put_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    // Nobody changes it now: the count is what is there.
    let len = d.must(BARGER, Order::of(Verb::Len, s.kind))?;
    let got = d.drain(s.kind)? as u64;
    if d.fate != Fate::Stop && len != [got] {
        return Err(Trouble::Violation(format!("len said {len:?}, {got} were there")));
    }
    d.conclude(victim, |_| Ok(()))?;
    close_ledger(d, s, victim)
}

/// What is left is got, the ledger agrees, and the queue works.
fn close_ledger(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.drain(s.kind)?;
    d.balance(victim, s.kind)?;
    d.put(BARGER, s.kind)?;
    d.get(FIRST, s.kind)?;
    if s.kind.is_bounded() {
        // No room was lost, and none was won.
        for _ in 0..BOUND {
            d.put(SECOND, s.kind)?;
        }
        let id = d.id();
        let answer = d.call(FIRST, Order::put(Verb::TryPut, s.kind, id))?;
        if answer.code != Code::Full {
            return Err(d.unexpected(FIRST, &answer));
        }
        for _ in 0..BOUND {
            d.get(FIRST, s.kind)?;
        }
    }
    d.balance(victim, s.kind)
}

/// The queue is full.
pub(super) fn put_full_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    own_put(d, s);
    for _ in 0..BOUND {
        d.put(BARGER, s.kind)?;
    }
    Ok(())
}

/// The victim waits for room, then the sleepers do; then the barger makes room for one, and may try
/// to fill it itself.
pub(super) fn put_full_asleep(d: &mut Director, s: &Scenario, turn: usize) -> Outcome {
    if turn == 1 { put_full_start(d, s) } else { d.try_get(BARGER, s.kind) }
}

fn put_full_start(d: &mut Director, s: &Scenario) -> Outcome {
    put_full_sleepers(d, s)?;
    d.get(BARGER, s.kind)?;
    if s.barge { d.try_put(BARGER, s.kind) } else { Ok(()) }
}

fn put_full_sleepers(d: &mut Director, s: &Scenario) -> Outcome {
    d.ledger.started = true;
    d.lull_put(FIRST, s.kind, false)?;
    d.lull_put(SECOND, s.kind, true)?;
    Ok(())
}

pub(super) fn put_full_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if !d.ledger.started {
        put_full_start(d, s)?;
    }
    drain_putters(d, s)?;
    d.conclude(victim, |d| d.try_get(BARGER, s.kind))?;
    close_ledger(d, s, victim)
}

/// What room there is gets taken by itself; then the barger makes room, until both putters are served.
fn drain_putters(d: &mut Director, s: &Scenario) -> Outcome {
    room_is_taken(d, s)?;
    while !(d.is_finished(FIRST) && d.is_finished(SECOND)) {
        d.get(BARGER, s.kind)?;
        room_is_taken(d, s)?;
    }
    d.finish_well(FIRST)?;
    d.finish_well(SECOND)?;
    Ok(())
}

/// Where there is room, a putter that waits for it takes it.
fn room_is_taken(d: &mut Director, s: &Scenario) -> Outcome {
    let kind = s.kind;
    d.until("there is room, and a putter waits for room", |d| {
        d.is_finished(FIRST) && d.is_finished(SECOND) || kind.len(&d.props) >= BOUND
    })
}

/// The sleepers wait for a message.
pub(super) fn put_wakes_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    own_put(d, s);
    getters(d, s)
}

fn getters(d: &mut Director, s: &Scenario) -> Outcome {
    d.ledger.started = true;
    d.lull(FIRST, Order::of(Verb::Get, s.kind))?;
    d.lull(SECOND, Order::of(Verb::Get, s.kind))?;
    Ok(())
}

pub(super) fn put_wakes_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if s.barge {
        d.try_get(BARGER, s.kind)?;
    }
    feed_getters(d, s)?;
    d.conclude(victim, |_| Ok(()))?;
    close_ledger(d, s, victim)
}

/// What is there is got by itself; then there is one message after the other, until both are served.
fn feed_getters(d: &mut Director, s: &Scenario) -> Outcome {
    message_or_room_is_taken(d, s)?;
    while !(d.is_finished(FIRST) && d.is_finished(SECOND)) {
        d.put(BARGER, s.kind)?;
        message_or_room_is_taken(d, s)?;
    }
    for seat in [FIRST, SECOND] {
        let got = d.finish_well(seat)?;
        d.saw(seat, &got);
    }
    Ok(())
}

/// Where there is a message, a getter that waits for one takes it.
fn message_or_room_is_taken(d: &mut Director, s: &Scenario) -> Outcome {
    let kind = s.kind;
    d.until("there is a message, and a getter waits for one", |d| {
        d.is_finished(FIRST) && d.is_finished(SECOND) || kind.len(&d.props) == 0
    })
}

// Gets.

/// There are messages.
pub(super) fn get_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    d.ledger.takes = if s.verb == Verb::GetMany { 2 } else { 1 };
    for _ in 0..3 {
        d.put(BARGER, s.kind)?;
    }
    Ok(())
}

/// What the victim gets is the first of a chunk.
pub(super) fn get_page_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.turn_pages()?;
    get_arrange(d, s, victim)
}

pub(super) fn get_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let len = d.must(BARGER, Order::of(Verb::Len, s.kind))?;
    let got = d.drain(s.kind)? as u64;
    if d.fate != Fate::Stop && len != [got] {
        return Err(Trouble::Violation(format!("len said {len:?}, {got} were there")));
    }
    d.conclude(victim, |d| d.put(BARGER, s.kind))?;
    close_ledger(d, s, victim)
}

pub(super) fn get_empty_arrange(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.ledger.takes = 1;
    Ok(())
}

/// The victim waits for a message, then the sleepers do; then there is one, or two, and the barger
/// may take one away.
pub(super) fn get_empty_asleep(d: &mut Director, s: &Scenario, turn: usize) -> Outcome {
    if turn == 1 { get_empty_start(d, s) } else { d.put(BARGER, s.kind) }
}

fn get_empty_start(d: &mut Director, s: &Scenario) -> Outcome {
    getters(d, s)?;
    d.put(BARGER, s.kind)?;
    if s.barge {
        d.try_get(BARGER, s.kind)?;
        d.put(BARGER, s.kind)?;
        d.put(BARGER, s.kind)?;
    }
    Ok(())
}

pub(super) fn get_empty_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if !d.ledger.started {
        get_empty_start(d, s)?;
    }
    feed_getters(d, s)?;
    d.conclude(victim, |d| d.put(BARGER, s.kind))?;
    close_ledger(d, s, victim)
}

/// The queue is full, and the sleepers wait for the room that the victim makes.
pub(super) fn get_wakes_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    d.ledger.takes = 1;
    for _ in 0..BOUND {
        d.put(BARGER, s.kind)?;
    }
    put_full_sleepers(d, s)
}

pub(super) fn get_wakes_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if s.barge {
        d.try_put(BARGER, s.kind)?;
    }
    drain_putters(d, s)?;
    d.conclude(victim, |d| d.put(BARGER, s.kind))?;
    close_ledger(d, s, victim)
}
