//! The scripts: what is set up, what the victim does, what the survivors must then be able to do.
//!
//! Every script is written for a victim that came any part of the way, nothing and everything
//! included, and was killed or stopped there. In every script in which somebody is woken, two
//! sleepers wait besides the victim, and a barger takes what the woken one has not taken yet.
//!
//! What a script never does is help before it has looked: a wake-up that died with the victim would
//! be made good by the next operation's, and nobody would see it. So after the kill comes first what
//! must happen by itself ([`Director::until`]), and only then the rest.

use super::actor::{BOUND, Code, Kind, Verb};
use super::board::{AFTER, BEFORE, HOLDING};
use super::director::{BARGER, Director, FIRST, Fate, Outcome, SECOND, Trouble};

/// One script.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What the victim does: the operation under test.
    pub(crate) verb: Verb,
    /// The victim does it as the first thing in its life.
    pub(crate) cold: bool,
    /// The barger takes part before the sleepers come to it.
    pub(crate) barge: bool,
    /// Brings everybody into place; the victim's seat is given.
    arrange: fn(&mut Director, &Scenario, usize) -> Outcome,
    /// The victim sleeps in its operation; called again while it sleeps on.
    asleep: fn(&mut Director, &Scenario, usize) -> Outcome,
    /// The victim is dead or stands still.
    after: fn(&mut Director, &Scenario, usize) -> Outcome,
}

impl Scenario {
    pub(crate) fn arrange(&self, d: &mut Director, victim: usize) -> Outcome {
        (self.arrange)(d, self, victim)
    }

    pub(crate) fn asleep(&self, d: &mut Director, turn: usize) -> Outcome {
        (self.asleep)(d, self, turn)
    }

    pub(crate) fn after(&self, d: &mut Director, victim: usize) -> Outcome {
        (self.after)(d, self, victim)
    }

    /// Whether the victim may be inside a queue.
    pub(crate) fn is_of_queue(&self) -> bool {
        matches!(self.verb, Verb::Put | Verb::PutMany | Verb::Get | Verb::GetMany)
    }

    /// What the victim's order says.
    pub(crate) fn arguments(&self, d: &Director) -> [u64; 2] {
        [self.kind as u64, d.books.own.first().copied().unwrap_or(0)]
    }
}

const LOCK: Scenario = Scenario {
    name: "",
    kind: Kind::Small,
    verb: Verb::Cycle,
    cold: false,
    barge: false,
    arrange: |_, _, _| Ok(()),
    asleep: |_, _, _| Ok(()),
    after: lock_after,
};
const EVENT: Scenario = Scenario { asleep: event_asleep, after: event_after, ..LOCK };
const PUT: Scenario = Scenario { verb: Verb::Put, arrange: put_arrange, after: put_after, ..LOCK };
const PUT_FULL: Scenario = Scenario {
    kind: Kind::Bounded,
    arrange: put_full_arrange,
    asleep: put_full_asleep,
    after: put_full_after,
    ..PUT
};
const PUT_WAKES: Scenario = Scenario { arrange: put_wakes_arrange, after: put_wakes_after, ..PUT };
const GET: Scenario = Scenario { verb: Verb::Get, arrange: get_arrange, after: get_after, ..LOCK };
const GET_EMPTY: Scenario = Scenario {
    arrange: get_empty_arrange,
    asleep: get_empty_asleep,
    after: get_empty_after,
    ..GET
};
const GET_WAKES: Scenario =
    Scenario { kind: Kind::Bounded, arrange: get_wakes_arrange, after: get_wakes_after, ..GET };

/// All scripts.
pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "lock_free", ..LOCK },
    Scenario { name: "lock_first_use", cold: true, ..LOCK },
    Scenario { name: "lock_try", verb: Verb::TryCycle, ..LOCK },
    Scenario {
        name: "lock_contended",
        arrange: contended_arrange,
        asleep: contended_asleep,
        after: contended_after,
        ..LOCK
    },
    Scenario {
        name: "lock_contended_barger",
        barge: true,
        arrange: contended_arrange,
        asleep: contended_asleep,
        after: contended_after,
        ..LOCK
    },
    Scenario { name: "lock_recover", arrange: marked_arrange, ..LOCK },
    Scenario { name: "unlock_free", verb: Verb::Unlock, arrange: unlock_arrange, ..LOCK },
    Scenario {
        name: "unlock_sleepers",
        verb: Verb::Unlock,
        arrange: unlock_sleepers_arrange,
        after: contended_after,
        ..LOCK
    },
    Scenario {
        name: "unlock_sleepers_barger",
        barge: true,
        verb: Verb::Unlock,
        arrange: unlock_sleepers_arrange,
        after: contended_after,
        ..LOCK
    },
    Scenario { name: "event_set", verb: Verb::Set, arrange: event_sleepers, ..EVENT },
    Scenario { name: "event_clear", verb: Verb::Clear, arrange: event_was_set, ..EVENT },
    Scenario { name: "event_wait", verb: Verb::Wait, arrange: event_sleepers, ..EVENT },
    Scenario { name: "event_wait_set", verb: Verb::Wait, arrange: event_was_set, ..EVENT },
    Scenario { name: "put_free", ..PUT },
    Scenario { name: "put_first_use", cold: true, ..PUT },
    Scenario { name: "put_bytes", kind: Kind::Raw, ..PUT },
    Scenario { name: "put_large", kind: Kind::Big, ..PUT },
    Scenario { name: "put_next_chunk", kind: Kind::Page, arrange: put_page_arrange, ..PUT },
    Scenario { name: "put_many", verb: Verb::PutMany, ..PUT },
    Scenario { name: "put_full", ..PUT_FULL },
    Scenario { name: "put_full_barger", barge: true, ..PUT_FULL },
    Scenario { name: "put_full_large", kind: Kind::BigBounded, ..PUT_FULL },
    Scenario { name: "put_wakes", ..PUT_WAKES },
    Scenario { name: "put_wakes_barger", barge: true, ..PUT_WAKES },
    Scenario { name: "put_wakes_large", kind: Kind::Big, ..PUT_WAKES },
    Scenario { name: "get_free", ..GET },
    Scenario { name: "get_first_use", cold: true, ..GET },
    Scenario { name: "get_bytes", kind: Kind::Raw, ..GET },
    Scenario { name: "get_large", kind: Kind::Big, ..GET },
    Scenario { name: "get_next_chunk", kind: Kind::Page, arrange: get_page_arrange, ..GET },
    Scenario { name: "get_many", verb: Verb::GetMany, ..GET },
    Scenario { name: "get_empty", ..GET_EMPTY },
    Scenario { name: "get_empty_barger", barge: true, ..GET_EMPTY },
    Scenario { name: "get_empty_large", kind: Kind::Big, ..GET_EMPTY },
    Scenario { name: "get_wakes", ..GET_WAKES },
    Scenario { name: "get_wakes_barger", barge: true, ..GET_WAKES },
    Scenario { name: "get_wakes_large", kind: Kind::BigBounded, ..GET_WAKES },
];

const NOTHING: [u64; 2] = [0; 2];

// Lock.

/// Everybody locks, recovers if need be, and unlocks; then the lock is as new.
fn lock_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
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
fn contended_arrange(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.must(BARGER, Verb::Hold, NOTHING)?;
    d.books.barger_holds = true;
    Ok(())
}

/// The victim waits for it, then the sleepers do; then the barger lets go.
fn contended_asleep(d: &mut Director, s: &Scenario, turn: usize) -> Outcome {
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

fn contended_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
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
fn unlock_arrange(d: &mut Director, _: &Scenario, victim: usize) -> Outcome {
    d.must(victim, Verb::Hold, NOTHING).map(drop)
}

fn unlock_sleepers_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    unlock_arrange(d, s, victim)?;
    contended_sleepers(d)
}

/// Somebody died with the lock; the victim will recover it.
fn marked_arrange(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.must(FIRST, Verb::Hold, NOTHING)?;
    d.bury(FIRST)?;
    d.reap(0)?;
    d.spawn(FIRST)?;
    d.ready(FIRST)
}

// Event.

fn event_sleepers(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.must(BARGER, Verb::Clear, NOTHING)?;
    d.lull(FIRST, Verb::Wait, NOTHING)?;
    d.lull(SECOND, Verb::Wait, NOTHING)?;
    Ok(())
}

fn event_was_set(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.must(BARGER, Verb::Set, NOTHING).map(drop)
}

fn event_asleep(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.must(BARGER, Verb::Set, NOTHING).map(drop)
}

/// If the event is set, who waits for it comes back, without another `set`.
fn event_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
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

// Queue: puts.

fn own_put(d: &mut Director, s: &Scenario) {
    let first = d.id();
    let many = if s.verb == Verb::PutMany { 3 } else { 1 };
    d.books.own = (first..first + many).collect();
}

fn put_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    own_put(d, s);
    d.put(BARGER, s.kind)
}

/// The victim's message is the first of a chunk.
fn put_page_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    own_put(d, s);
    d.turn_pages()
}

fn put_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    // Nobody changes it now: the count is what is there.
    let len = d.must(BARGER, Verb::Len, [s.kind as u64, 0])?;
    let got = d.drain(s.kind)? as u64;
    if d.fate != Fate::Stop && len != [got] {
        return Err(Trouble::Violation(format!("len said {len:?}, {got} were there")));
    }
    d.conclude(victim, |_| Ok(()))?;
    close_books(d, s, victim)
}

/// What is left is got, the books agree, and the queue works.
fn close_books(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
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
        let answer = d.call(FIRST, Verb::TryPut, [s.kind as u64, id])?;
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
fn put_full_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    own_put(d, s);
    for _ in 0..BOUND {
        d.put(BARGER, s.kind)?;
    }
    Ok(())
}

/// The victim waits for room, then the sleepers do; then the barger makes room for one, and may try
/// to fill it itself.
fn put_full_asleep(d: &mut Director, s: &Scenario, turn: usize) -> Outcome {
    if turn == 1 { put_full_start(d, s) } else { d.try_get(BARGER, s.kind) }
}

fn put_full_start(d: &mut Director, s: &Scenario) -> Outcome {
    put_full_sleepers(d, s)?;
    d.get(BARGER, s.kind)?;
    if s.barge { d.try_put(BARGER, s.kind) } else { Ok(()) }
}

fn put_full_sleepers(d: &mut Director, s: &Scenario) -> Outcome {
    d.books.started = true;
    d.lull_put(FIRST, s.kind, false)?;
    d.lull_put(SECOND, s.kind, true)?;
    Ok(())
}

fn put_full_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if !d.books.started {
        put_full_start(d, s)?;
    }
    room_is_taken(d, s)?;
    while !(d.is_finished(FIRST) && d.is_finished(SECOND)) {
        d.get(BARGER, s.kind)?;
        room_is_taken(d, s)?;
    }
    d.finish_well(FIRST)?;
    d.finish_well(SECOND)?;
    d.conclude(victim, |d| d.try_get(BARGER, s.kind))?;
    close_books(d, s, victim)
}

/// Where there is room, a putter that waits for it takes it.
fn room_is_taken(d: &mut Director, s: &Scenario) -> Outcome {
    let kind = s.kind;
    d.until("there is room, and a putter waits for room", |d| {
        d.is_finished(FIRST) && d.is_finished(SECOND) || kind.len(&d.props) >= BOUND
    })
}

/// The sleepers wait for a message.
fn put_wakes_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    own_put(d, s);
    getters(d, s)
}

fn getters(d: &mut Director, s: &Scenario) -> Outcome {
    d.books.started = true;
    d.lull(FIRST, Verb::Get, [s.kind as u64, 0])?;
    d.lull(SECOND, Verb::Get, [s.kind as u64, 0])?;
    Ok(())
}

fn put_wakes_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if s.barge {
        d.try_get(BARGER, s.kind)?;
    }
    feed_getters(d, s)?;
    d.conclude(victim, |_| Ok(()))?;
    close_books(d, s, victim)
}

/// What is there is got by itself; then there is one message after the other, until both are served.
fn feed_getters(d: &mut Director, s: &Scenario) -> Outcome {
    news_is_taken(d, s)?;
    while !(d.is_finished(FIRST) && d.is_finished(SECOND)) {
        d.put(BARGER, s.kind)?;
        news_is_taken(d, s)?;
    }
    for seat in [FIRST, SECOND] {
        let got = d.finish_well(seat)?;
        d.saw(seat, &got);
    }
    Ok(())
}

/// Where there is a message, a getter that waits for one takes it.
fn news_is_taken(d: &mut Director, s: &Scenario) -> Outcome {
    let kind = s.kind;
    d.until("there is a message, and a getter waits for one", |d| {
        d.is_finished(FIRST) && d.is_finished(SECOND) || kind.len(&d.props) == 0
    })
}

// Queue: gets.

/// There are messages.
fn get_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    d.books.takes = if s.verb == Verb::GetMany { 2 } else { 1 };
    for _ in 0..3 {
        d.put(BARGER, s.kind)?;
    }
    Ok(())
}

/// What the victim gets is the first of a chunk.
fn get_page_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.turn_pages()?;
    get_arrange(d, s, victim)
}

fn get_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let len = d.must(BARGER, Verb::Len, [s.kind as u64, 0])?;
    let got = d.drain(s.kind)? as u64;
    if d.fate != Fate::Stop && len != [got] {
        return Err(Trouble::Violation(format!("len said {len:?}, {got} were there")));
    }
    d.conclude(victim, |d| d.put(BARGER, s.kind))?;
    close_books(d, s, victim)
}

fn get_empty_arrange(d: &mut Director, _: &Scenario, _: usize) -> Outcome {
    d.books.takes = 1;
    Ok(())
}

/// The victim waits for a message, then the sleepers do; then there is one, or two, and the barger
/// may take one away.
fn get_empty_asleep(d: &mut Director, s: &Scenario, turn: usize) -> Outcome {
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

fn get_empty_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if !d.books.started {
        get_empty_start(d, s)?;
    }
    feed_getters(d, s)?;
    d.conclude(victim, |d| d.put(BARGER, s.kind))?;
    close_books(d, s, victim)
}

/// The queue is full, and the sleepers wait for the room that the victim makes.
fn get_wakes_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    d.books.takes = 1;
    for _ in 0..BOUND {
        d.put(BARGER, s.kind)?;
    }
    put_full_sleepers(d, s)
}

fn get_wakes_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    if s.barge {
        d.try_put(BARGER, s.kind)?;
    }
    room_is_taken(d, s)?;
    while !(d.is_finished(FIRST) && d.is_finished(SECOND)) {
        d.get(BARGER, s.kind)?;
        room_is_taken(d, s)?;
    }
    d.finish_well(FIRST)?;
    d.finish_well(SECOND)?;
    d.conclude(victim, |d| d.put(BARGER, s.kind))?;
    close_books(d, s, victim)
}
