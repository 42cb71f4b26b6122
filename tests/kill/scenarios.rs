//! The scenarios: what is set up, what the victim does, what the survivors must then be able to do.
//! The scripts they are made of are in `lock_scripts`, `semaphore_scripts` and
//! `queue_scripts`.
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
use super::sync_verbs::{BRIEF, OWNED, PLAIN, TIMEOUT, TRY};
use super::{lock_scripts, queue_scripts, semaphore_scripts};

/// One script.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Which of the two locks, or semaphores; and in which form the victim uses it (`sync_verbs`).
    pub(crate) which: u64,
    pub(crate) form: u64,
    /// What the victim does: the operation under test.
    pub(crate) verb: Verb,
    /// The victim does it as the first thing in its life.
    pub(crate) cold: bool,
    /// The barger takes part before the sleepers come to it.
    pub(crate) barge: bool,
    /// Somebody died with the lock before the victim began.
    pub(crate) earlier: bool,
    /// The victim holds the lock all the time.
    pub(crate) holds_on: bool,
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

    fn is_of_queue(&self) -> bool {
        matches!(self.verb, Verb::Put | Verb::PutMany | Verb::Get | Verb::GetMany)
    }

    /// Whether the victim may be inside a queue or a semaphore, where others have to wait for it.
    pub(crate) fn may_be_inside(&self) -> bool {
        use Verb::{Acquire, Available, Forget, GiveBack, Release};
        self.is_of_queue() || matches!(self.verb, Acquire | GiveBack | Forget | Release | Available)
    }

    /// What the victim's order says.
    pub(crate) fn arguments(&self, d: &Director) -> [u64; 2] {
        if self.is_of_queue() {
            [self.kind as u64, d.books.own.first().copied().unwrap_or(0)]
        } else {
            [self.which, self.form]
        }
    }

    /// The lock or semaphore, in the usual form.
    pub(crate) fn object(&self) -> [u64; 2] {
        [self.which, PLAIN]
    }
}

const LOCK: Scenario = Scenario {
    name: "",
    kind: Kind::Small,
    which: 0,
    form: PLAIN,
    verb: Verb::Cycle,
    cold: false,
    barge: false,
    earlier: false,
    holds_on: false,
    arrange: |_, _, _| Ok(()),
    asleep: |_, _, _| Ok(()),
    after: lock_scripts::lock_after,
};
const EVENT: Scenario =
    Scenario { asleep: lock_scripts::event_asleep, after: lock_scripts::event_after, ..LOCK };
const RLOCK: Scenario = Scenario { which: 1, ..LOCK };
const CONTENDED: Scenario = Scenario {
    arrange: lock_scripts::contended_arrange,
    asleep: lock_scripts::contended_asleep,
    after: lock_scripts::contended_after,
    ..LOCK
};
const RUNLOCK: Scenario = Scenario {
    verb: Verb::Unlock,
    arrange: lock_scripts::unlock_sleepers_arrange,
    after: lock_scripts::contended_after,
    ..RLOCK
};
/// The second death: of who recovered the lock, and lets go of it.
const RECOVERED: Scenario = Scenario {
    verb: Verb::Unlock,
    earlier: true,
    arrange: lock_scripts::recovered_arrange,
    after: lock_scripts::contended_after,
    ..LOCK
};
const ACQUIRE: Scenario =
    Scenario { verb: Verb::Acquire, after: semaphore_scripts::acquire_after, ..LOCK };
const ACQUIRE_NONE: Scenario = Scenario {
    arrange: semaphore_scripts::none_arrange,
    asleep: semaphore_scripts::none_asleep,
    ..ACQUIRE
};
const GIVE: Scenario = Scenario {
    verb: Verb::GiveBack,
    arrange: semaphore_scripts::held_arrange,
    after: semaphore_scripts::given_after,
    ..LOCK
};
const GIVE_SLEEPERS: Scenario =
    Scenario { arrange: semaphore_scripts::held_sleepers_arrange, ..GIVE };
const RELEASE: Scenario =
    Scenario { verb: Verb::Release, form: 1, after: semaphore_scripts::given_after, ..LOCK };
const RELEASE_SLEEPERS: Scenario =
    Scenario { arrange: semaphore_scripts::release_sleepers_arrange, ..RELEASE };
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
pub(crate) const ALL: &[Scenario] = &{
    const SYNC: usize = FAMILY.len();
    let mut all = [LOCK; SYNC + QUEUE.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = if index < SYNC { FAMILY[index] } else { QUEUE[index - SYNC] };
        index += 1;
    }
    all
};

/// Those of locks, semaphores and events.
const FAMILY: &[Scenario] = &[
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
    Scenario { name: "lock_recover", earlier: true, arrange: lock_scripts::marked_arrange, ..LOCK },
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
    Scenario {
        name: "event_wait_timeout",
        verb: Verb::Wait,
        form: TIMEOUT,
        arrange: lock_scripts::event_sleepers,
        ..EVENT
    },
    Scenario {
        name: "event_wait_timeout_over",
        verb: Verb::Wait,
        form: BRIEF,
        arrange: lock_scripts::event_sleepers,
        asleep: lock_scripts::nothing,
        ..EVENT
    },
    Scenario { name: "lock_owned", form: OWNED, ..LOCK },
    Scenario { name: "lock_timeout", form: TIMEOUT, ..LOCK },
    Scenario { name: "lock_owned_contended", form: OWNED, ..CONTENDED },
    Scenario { name: "lock_timeout_contended", form: TIMEOUT, ..CONTENDED },
    Scenario { name: "lock_timeout_over", form: BRIEF, asleep: lock_scripts::nothing, ..CONTENDED },
    Scenario { name: "lock_recover_unmarked", verb: Verb::Recover, ..LOCK },
    Scenario { name: "unlock_recovered_sleepers", ..RECOVERED },
    Scenario { name: "unlock_recovered_sleepers_barger", barge: true, ..RECOVERED },
    Scenario { name: "rlock_free", ..RLOCK },
    Scenario { name: "rlock_first_use", cold: true, ..RLOCK },
    Scenario { name: "rlock_try", verb: Verb::TryCycle, ..RLOCK },
    Scenario { name: "rlock_owned", form: OWNED, ..RLOCK },
    Scenario { name: "rlock_nested", verb: Verb::Nested, ..RLOCK },
    Scenario {
        name: "rlock_relock",
        verb: Verb::Relock,
        holds_on: true,
        arrange: lock_scripts::unlock_arrange,
        ..RLOCK
    },
    Scenario { name: "rlock_contended", which: 1, ..CONTENDED },
    Scenario { name: "rlock_contended_barger", which: 1, barge: true, ..CONTENDED },
    Scenario { name: "rlock_nested_contended", which: 1, verb: Verb::Nested, ..CONTENDED },
    Scenario { name: "rlock_timeout_contended", which: 1, form: TIMEOUT, ..CONTENDED },
    Scenario {
        name: "rlock_timeout_over",
        which: 1,
        form: BRIEF,
        asleep: lock_scripts::nothing,
        ..CONTENDED
    },
    Scenario {
        name: "rlock_recover",
        verb: Verb::Nested,
        earlier: true,
        arrange: lock_scripts::marked_arrange,
        ..RLOCK
    },
    Scenario {
        name: "rlock_unlock_free",
        verb: Verb::Unlock,
        arrange: lock_scripts::unlock_arrange,
        ..RLOCK
    },
    Scenario {
        name: "rlock_unlock_inner",
        verb: Verb::Unlock,
        holds_on: true,
        arrange: lock_scripts::twice_arrange,
        ..RLOCK
    },
    Scenario { name: "rlock_unlock_sleepers", ..RUNLOCK },
    Scenario { name: "rlock_unlock_sleepers_barger", barge: true, ..RUNLOCK },
    Scenario { name: "rlock_unlock_recovered_sleepers", which: 1, ..RECOVERED },
    Scenario { name: "semaphore_acquire", ..ACQUIRE },
    Scenario { name: "semaphore_first_use", cold: true, ..ACQUIRE },
    Scenario { name: "semaphore_acquire_timeout", form: TIMEOUT, ..ACQUIRE },
    Scenario { name: "semaphore_acquire_owned", form: OWNED, ..ACQUIRE },
    Scenario { name: "semaphore_try_acquire", form: TRY, ..ACQUIRE },
    Scenario { name: "semaphore_acquire_none", ..ACQUIRE_NONE },
    Scenario { name: "semaphore_acquire_none_barger", barge: true, ..ACQUIRE_NONE },
    Scenario { name: "semaphore_acquire_timeout_none", form: TIMEOUT, ..ACQUIRE_NONE },
    Scenario {
        name: "semaphore_acquire_timeout_over",
        form: BRIEF,
        asleep: lock_scripts::nothing,
        ..ACQUIRE_NONE
    },
    Scenario { name: "semaphore_try_acquire_none", form: TRY, ..ACQUIRE_NONE },
    Scenario {
        name: "semaphore_acquire_from_dead",
        earlier: true,
        arrange: semaphore_scripts::dead_arrange,
        ..ACQUIRE
    },
    Scenario {
        name: "semaphore_acquire_adopts",
        earlier: true,
        arrange: semaphore_scripts::adopt_arrange,
        ..ACQUIRE
    },
    Scenario {
        name: "semaphore_release_adopts",
        earlier: true,
        arrange: semaphore_scripts::adopt_arrange,
        ..RELEASE
    },
    Scenario { name: "semaphore_drop", ..GIVE },
    Scenario { name: "semaphore_drop_sleepers", ..GIVE_SLEEPERS },
    Scenario { name: "semaphore_drop_sleepers_barger", barge: true, ..GIVE_SLEEPERS },
    Scenario { name: "semaphore_forget", verb: Verb::Forget, ..GIVE },
    Scenario { name: "semaphore_forget_sleepers", verb: Verb::Forget, ..GIVE_SLEEPERS },
    Scenario { name: "semaphore_release", ..RELEASE },
    Scenario { name: "semaphore_release_sleepers", ..RELEASE_SLEEPERS },
    Scenario { name: "semaphore_release_sleepers_barger", barge: true, ..RELEASE_SLEEPERS },
    Scenario { name: "semaphore_release_two", form: 2, ..RELEASE_SLEEPERS },
    Scenario { name: "semaphore_release_two_barger", form: 2, barge: true, ..RELEASE_SLEEPERS },
    Scenario { name: "semaphore_available", verb: Verb::Available, ..RELEASE },
    Scenario { name: "bounded_acquire", which: 1, ..ACQUIRE },
    Scenario { name: "bounded_acquire_none", which: 1, ..ACQUIRE_NONE },
    Scenario { name: "bounded_drop_sleepers", which: 1, ..GIVE_SLEEPERS },
    Scenario { name: "bounded_forget", which: 1, verb: Verb::Forget, ..GIVE },
    Scenario {
        name: "bounded_release",
        which: 1,
        arrange: semaphore_scripts::forgotten_arrange,
        ..RELEASE
    },
    Scenario { name: "bounded_release_over", which: 1, ..RELEASE },
    Scenario { name: "bounded_release_sleepers", which: 1, ..RELEASE_SLEEPERS },
];

/// Those of queues.
const QUEUE: &[Scenario] = &[
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
