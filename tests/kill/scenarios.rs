//! The scenarios: what is set up, what the victim does, what the survivors must then be able to do.
//! The scripts they are made of are in `lock_scripts` and `queue_scripts`.
//!
//! Every script is written for a victim that came any part of the way, nothing and everything
//! included, and was killed or stopped there. In every script in which somebody is woken, two
//! sleepers wait besides the victim, and a barger takes what the woken one has not taken yet.
//!
//! What a script never does is help before it has looked: a wake-up that died with the victim would
//! be made good by the next operation's, and nobody would see it. So after the kill comes first what
//! must happen by itself ([`Director::until`]), and only then the rest.

use super::actor::{Kind, Verb};
use super::director::{Director, Outcome};
use super::{lock_scripts, queue_scripts};

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
    after: lock_scripts::lock_after,
};
const EVENT: Scenario =
    Scenario { asleep: lock_scripts::event_asleep, after: lock_scripts::event_after, ..LOCK };
const PUT: Scenario = Scenario {
    verb: Verb::Put,
    arrange: queue_scripts::put_arrange,
    after: queue_scripts::put_after,
    ..LOCK
};
const PUT_FULL: Scenario = Scenario {
    kind: Kind::Bounded,
    arrange: queue_scripts::put_full_arrange,
    asleep: queue_scripts::put_full_asleep,
    after: queue_scripts::put_full_after,
    ..PUT
};
const PUT_WAKES: Scenario = Scenario {
    arrange: queue_scripts::put_wakes_arrange,
    after: queue_scripts::put_wakes_after,
    ..PUT
};
const GET: Scenario = Scenario {
    verb: Verb::Get,
    arrange: queue_scripts::get_arrange,
    after: queue_scripts::get_after,
    ..LOCK
};
const GET_EMPTY: Scenario = Scenario {
    arrange: queue_scripts::get_empty_arrange,
    asleep: queue_scripts::get_empty_asleep,
    after: queue_scripts::get_empty_after,
    ..GET
};
const GET_WAKES: Scenario = Scenario {
    kind: Kind::Bounded,
    arrange: queue_scripts::get_wakes_arrange,
    after: queue_scripts::get_wakes_after,
    ..GET
};

/// All scripts.
pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "lock_free", ..LOCK },
    Scenario { name: "lock_first_use", cold: true, ..LOCK },
    Scenario { name: "lock_try", verb: Verb::TryCycle, ..LOCK },
    Scenario {
        name: "lock_contended",
        arrange: lock_scripts::contended_arrange,
        asleep: lock_scripts::contended_asleep,
        after: lock_scripts::contended_after,
        ..LOCK
    },
    Scenario {
        name: "lock_contended_barger",
        barge: true,
        arrange: lock_scripts::contended_arrange,
        asleep: lock_scripts::contended_asleep,
        after: lock_scripts::contended_after,
        ..LOCK
    },
    Scenario { name: "lock_recover", arrange: lock_scripts::marked_arrange, ..LOCK },
    Scenario {
        name: "unlock_free",
        verb: Verb::Unlock,
        arrange: lock_scripts::unlock_arrange,
        ..LOCK
    },
    Scenario {
        name: "unlock_sleepers",
        verb: Verb::Unlock,
        arrange: lock_scripts::unlock_sleepers_arrange,
        after: lock_scripts::contended_after,
        ..LOCK
    },
    Scenario {
        name: "unlock_sleepers_barger",
        barge: true,
        verb: Verb::Unlock,
        arrange: lock_scripts::unlock_sleepers_arrange,
        after: lock_scripts::contended_after,
        ..LOCK
    },
    Scenario { name: "event_set", verb: Verb::Set, arrange: lock_scripts::event_sleepers, ..EVENT },
    Scenario {
        name: "event_clear",
        verb: Verb::Clear,
        arrange: lock_scripts::event_was_set,
        ..EVENT
    },
    Scenario {
        name: "event_wait",
        verb: Verb::Wait,
        arrange: lock_scripts::event_sleepers,
        ..EVENT
    },
    Scenario {
        name: "event_wait_set",
        verb: Verb::Wait,
        arrange: lock_scripts::event_was_set,
        ..EVENT
    },
    Scenario { name: "put_free", ..PUT },
    Scenario { name: "put_first_use", cold: true, ..PUT },
    Scenario { name: "put_bytes", kind: Kind::Raw, ..PUT },
    Scenario { name: "put_large", kind: Kind::Big, ..PUT },
    Scenario {
        name: "put_next_chunk",
        kind: Kind::Page,
        arrange: queue_scripts::put_page_arrange,
        ..PUT
    },
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
    Scenario {
        name: "get_next_chunk",
        kind: Kind::Page,
        arrange: queue_scripts::get_page_arrange,
        ..GET
    },
    Scenario { name: "get_many", verb: Verb::GetMany, ..GET },
    Scenario { name: "get_empty", ..GET_EMPTY },
    Scenario { name: "get_empty_barger", barge: true, ..GET_EMPTY },
    Scenario { name: "get_empty_large", kind: Kind::Big, ..GET_EMPTY },
    Scenario { name: "get_wakes", ..GET_WAKES },
    Scenario { name: "get_wakes_barger", barge: true, ..GET_WAKES },
    Scenario { name: "get_wakes_large", kind: Kind::BigBounded, ..GET_WAKES },
];
