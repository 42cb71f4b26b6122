//! The scenarios of the lock family: every public operation of locks, semaphores and events, in every
//! form; see `scenarios`.
//!
//! They are tables. A [`Row`] is a scenario for each object of its table and each of its forms; in
//! its name `#` stands for the object and `*` for the form.

use super::director::{BARGER, FIRST};
use super::forms::{self, *};
use super::lock_scripts as locks;
use super::make_scripts as make;
use super::order::Verb;
use super::props::PERMITS;
use super::scenarios::{LOCK, Scenario};
use super::semaphore_scripts as permits;
use super::sync_verbs::{BLOCKLESS, COUNTED, CROWDED, REFUSED};
use super::witness_scripts::{self as witness, Death};

/// Scenarios that differ in object and form alone.
pub(super) struct Row(pub(super) &'static str, pub(super) &'static [u64], pub(super) Scenario);

/// What `#` stands for, and the object's number.
pub(super) type Object = (&'static str, u64);

/// All of the family.
pub(super) fn all() -> Vec<Scenario> {
    let tables: [(&[Row], &[Object]); 12] = [
        (LOCKS, &[("lock", 0), ("rlock", 1)]),
        (SIMPLE_LOCKS, &[("lock", 0)]),
        (RLOCKS, &[("rlock", 1)]),
        (IGNORING, &[("ignoring_lock", 2), ("ignoring_rlock", 3)]),
        (SEMAPHORES, &[("semaphore", 0), ("bounded", 1)]),
        (SIMPLE_SEMAPHORES, &[("semaphore", 0)]),
        (BOUNDED_SEMAPHORES, &[("bounded", 1)]),
        (SEATLESS, &[("crowded", CROWDED), ("counted", COUNTED)]),
        (BLOCKLESS_SEMAPHORES, &[("blockless", BLOCKLESS)]),
        (COUNTED_SEMAPHORES, &[("counted", COUNTED)]),
        (EVENTS, &[("event", 0)]),
        (
            MADE,
            &[
                ("lock", 0),
                ("ignoring_lock", 1),
                ("rlock", 2),
                ("ignoring_rlock", 3),
                ("semaphore", 4),
                ("bounded", 5),
                ("event", 6),
                ("value", 7),
                ("large_value", 8),
                ("atomic", 9),
                ("array", 10),
                ("memory", 11),
                ("list", 12),
                ("shared", 13),
            ],
        ),
    ];
    expand(&tables)
}

/// What tables stand for.
pub(super) fn expand(tables: &[(&[Row], &[Object])]) -> Vec<Scenario> {
    let mut all = Vec::new();
    for (rows, objects) in tables {
        for &(object, which) in *objects {
            for Row(pattern, forms, base) in *rows {
                all.extend(forms.iter().map(|&form| Scenario {
                    name: named(pattern, object, forms::name(form)).leak(),
                    which,
                    form,
                    is_minor: forms::is_minor(form),
                    ..*base
                }));
            }
        }
    }
    all
}

/// The name of a scenario, of which the words are joined by lines. To unlock says what it is done to.
fn named(pattern: &str, object: &str, form: &str) -> String {
    let words = pattern.split('_').map(|word| match word {
        "#" => object,
        "*" => form,
        other => other,
    });
    let name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
    match name.strip_prefix("lock_") {
        Some(rest) if rest.starts_with("unlock") => rest.into(),
        _ => name,
    }
}

// Forms.

/// One form, that has no name.
pub(super) const ONE: &[u64] = &[PLAIN];
/// Those that are had at once, but for the usual one.
const VARIANTS: &[u64] = &[TIMEOUT, DEADLINE, TRY, OWNED, OWNED_TIMEOUT, OWNED_DEADLINE, OWNED_TRY];
const EVERY: &[u64] =
    &[PLAIN, TIMEOUT, DEADLINE, TRY, OWNED, OWNED_TIMEOUT, OWNED_DEADLINE, OWNED_TRY];
/// Those that wait as long as it takes.
const WAITING: &[u64] = &[PLAIN, TIMEOUT, DEADLINE, OWNED, OWNED_TIMEOUT, OWNED_DEADLINE];
/// Those of a time that runs out.
const RUNNING_OUT: &[u64] = &[BRIEF, BRIEF_DEADLINE, OWNED_BRIEF, OWNED_BRIEF_DEADLINE];
/// The same without owned guards: recovering, and events.
pub(super) const PLAIN_WAITING: &[u64] = &[PLAIN, TIMEOUT, DEADLINE];
pub(super) const PLAIN_RUNNING_OUT: &[u64] = &[BRIEF, BRIEF_DEADLINE];
pub(super) const PLAIN_EVERY: &[u64] = &[PLAIN, TIMEOUT, DEADLINE, TRY];
/// Of letting go.
const HELD: &[u64] = &[PLAIN, OWNED];
/// Of witnesses: one for each way to wait.
const SEEING: &[u64] = &[PLAIN, TIMEOUT, OWNED_DEADLINE, TRY];

// Locks.

const CONTENDED: Scenario = Scenario {
    says: &[0],
    arrange: locks::contended_arrange,
    asleep: locks::contended_asleep,
    after: locks::contended_after,
    ..LOCK
};
/// The time runs out, or there is none.
const OVER: Scenario = Scenario { says: &[REFUSED], asleep: locks::nothing, ..CONTENDED };
const RECOVER: Scenario = Scenario { verb: Verb::Recover, ..LOCK };
const UNLOCK: Scenario = Scenario { verb: Verb::Unlock, arrange: locks::unlock_arrange, ..LOCK };
const UNLOCK_SLEEPERS: Scenario =
    Scenario { arrange: locks::unlock_sleepers_arrange, after: locks::contended_after, ..UNLOCK };
/// The second death: of who recovered the lock, and lets go of it.
const UNLOCK_RECOVERED: Scenario = Scenario {
    earlier: true,
    arrange: locks::recovered_arrange,
    after: locks::contended_after,
    ..UNLOCK
};
const ASK: Scenario = Scenario { verb: Verb::AskLock, after: locks::ask_after, ..LOCK };
const ASK_HELD: Scenario =
    Scenario { arrange: locks::contended_arrange, after: locks::ask_held_after, ..ASK };
const ASK_LEFT: Scenario = Scenario { earlier: true, arrange: locks::poisoned_arrange, ..ASK };
const ASK_OWN: Scenario = Scenario { holds_on: true, arrange: locks::unlock_arrange, ..ASK };
const WITNESS: Scenario = Scenario {
    is_witness: true,
    arrange: locks::contended_arrange,
    asleep: witness::lock_asleep,
    after: witness::lock_after,
    ..LOCK
};
const HALFWAY: Scenario =
    Scenario { dies: Death { seat: BARGER, verb: Some(Verb::Unlock) }, ..WITNESS };

/// Of both kinds of locks.
const LOCKS: &[Row] = &[
    Row("#_free", ONE, Scenario { says: &[0], ..LOCK }),
    Row("#_first_use", ONE, Scenario { cold: true, ..LOCK }),
    Row("#_*", VARIANTS, Scenario { says: &[0], ..LOCK }),
    Row("#_*_contended", WAITING, CONTENDED),
    Row("#_contended_barger", ONE, Scenario { barge: true, ..CONTENDED }),
    Row("#_*_over", RUNNING_OUT, OVER),
    Row("#_*_over", &[TRY, OWNED_TRY], OVER),
    Row("#_recover_*_unpoisoned", PLAIN_EVERY, Scenario { says: &[0], ..RECOVER }),
    Row(
        "#_recover_*_poisoned",
        PLAIN_EVERY,
        Scenario { earlier: true, arrange: locks::poisoned_arrange, ..RECOVER },
    ),
    Row("#_recover_*_contended", PLAIN_WAITING, Scenario { verb: Verb::Recover, ..CONTENDED }),
    Row("#_recover_*_over", PLAIN_RUNNING_OUT, Scenario { verb: Verb::Recover, ..OVER }),
    Row("#_recover_*_over", &[TRY], Scenario { verb: Verb::Recover, ..OVER }),
    Row(
        "#_recover_*_own",
        PLAIN_EVERY,
        Scenario { says: &[0], holds_on: true, arrange: locks::unlock_arrange, ..RECOVER },
    ),
    Row("#_unlock_*_free", HELD, UNLOCK),
    Row("#_unlock_*_sleepers", HELD, UNLOCK_SLEEPERS),
    Row("#_unlock_*_sleepers_barger", HELD, Scenario { barge: true, ..UNLOCK_SLEEPERS }),
    Row("#_unlock_recovered_sleepers", ONE, UNLOCK_RECOVERED),
    Row("#_unlock_recovered_sleepers_barger", ONE, Scenario { barge: true, ..UNLOCK_RECOVERED }),
    Row("#_*_free", &[IS_LOCKED, OWNER, DEBUG], ASK),
    Row("#_*_held", &[IS_LOCKED, OWNER, DEBUG], ASK_HELD),
    Row("#_*_left", &[IS_LOCKED, OWNER, DEBUG], ASK_LEFT),
    Row("#_*_own", &[IS_LOCKED, OWNER, DEBUG], ASK_OWN),
    Row("#_*", &[DEBUG_HELD, DEBUG_OWNED], ASK_OWN),
    Row("#_*_witness", SEEING, WITNESS),
    Row("#_*_witness_over", &[BRIEF], WITNESS),
    Row("#_*_witness_alone", WAITING, Scenario { alone: true, ..WITNESS }),
    Row("#_witness_halfway", ONE, HALFWAY),
    Row("#_witness_halfway_alone", ONE, Scenario { alone: true, ..HALFWAY }),
    Row("#_recover_*_witness", PLAIN_EVERY, Scenario { verb: Verb::Recover, ..WITNESS }),
    Row("#_recover_witness_alone", ONE, Scenario { verb: Verb::Recover, alone: true, ..WITNESS }),
    Row(
        "#_unlock_*_witness",
        HELD,
        Scenario {
            is_witness: true,
            dies: Death { seat: FIRST, verb: None },
            after: witness::unlock_after,
            ..UNLOCK_SLEEPERS
        },
    ),
];

/// Who holds the lock locks once more.
const RELOCK: Scenario =
    Scenario { verb: Verb::Relock, holds_on: true, arrange: locks::unlock_arrange, ..LOCK };

/// Of the simple one alone.
const SIMPLE_LOCKS: &[Row] = &[
    Row("#_recover", ONE, Scenario { earlier: true, arrange: locks::poisoned_arrange, ..LOCK }),
    Row("#_relock_*", EVERY, Scenario { says: &[0], ..RELOCK }),
];

/// Of the re-entrant one alone.
const RLOCKS: &[Row] = &[
    Row("#_relock_*", EVERY, Scenario { says: &[1], ..RELOCK }),
    Row("#_nested", ONE, Scenario { verb: Verb::Nested, ..LOCK }),
    Row("#_nested_contended", ONE, Scenario { verb: Verb::Nested, ..CONTENDED }),
    Row(
        "#_recover",
        ONE,
        Scenario { verb: Verb::Nested, earlier: true, arrange: locks::poisoned_arrange, ..LOCK },
    ),
    Row(
        "#_unlock_inner",
        ONE,
        Scenario { holds_on: true, arrange: locks::twice_arrange, ..UNLOCK },
    ),
    Row("#_*_free", &[DEPTH], ASK),
    Row("#_*_held", &[DEPTH], ASK_HELD),
    Row("#_*_left", &[DEPTH], ASK_LEFT),
    Row("#_*_own", &[DEPTH], ASK_OWN),
];

/// Of those that ignore deaths: nobody is ever told of one.
const IGNORING: &[Row] = &[
    Row("#_free", ONE, Scenario { says: &[0], ..LOCK }),
    Row("#_contended", ONE, CONTENDED),
    Row("#_contended_barger", ONE, Scenario { barge: true, ..CONTENDED }),
    Row(
        "#_left",
        ONE,
        Scenario { says: &[0], earlier: true, arrange: locks::poisoned_arrange, ..LOCK },
    ),
    Row(
        "#_recover_left",
        ONE,
        Scenario { earlier: true, arrange: locks::poisoned_arrange, ..RECOVER },
    ),
    Row("#_unlock_free", ONE, UNLOCK),
    Row("#_unlock_sleepers", ONE, UNLOCK_SLEEPERS),
    Row("#_unlock_sleepers_barger", ONE, Scenario { barge: true, ..UNLOCK_SLEEPERS }),
    Row("#_witness", ONE, WITNESS),
    Row("#_witness_alone", ONE, Scenario { alone: true, ..WITNESS }),
];

// Semaphores.

const ACQUIRE: Scenario =
    Scenario { verb: Verb::Acquire, says: &[1], after: permits::acquire_after, ..LOCK };
const ACQUIRE_NONE: Scenario =
    Scenario { arrange: permits::none_arrange, asleep: permits::none_asleep, ..ACQUIRE };
const ACQUIRE_OVER: Scenario = Scenario { says: &[0], asleep: locks::nothing, ..ACQUIRE_NONE };
const ADOPTS: Scenario = Scenario { earlier: true, arrange: permits::adopt_arrange, ..ACQUIRE };
const GIVE: Scenario = Scenario {
    verb: Verb::GiveBack,
    arrange: permits::held_arrange,
    after: permits::given_after,
    ..LOCK
};
const GIVE_SLEEPERS: Scenario = Scenario { arrange: permits::held_sleepers_arrange, ..GIVE };
const FORGET: Scenario = Scenario { verb: Verb::Forget, ..GIVE };
const FORGET_SLEEPERS: Scenario = Scenario { verb: Verb::Forget, ..GIVE_SLEEPERS };
const RELEASE: Scenario = Scenario { verb: Verb::Release, after: permits::given_after, ..LOCK };
const RELEASE_SLEEPERS: Scenario =
    Scenario { says: &[1], arrange: permits::release_sleepers_arrange, ..RELEASE };
const AVAILABLE: Scenario = Scenario { verb: Verb::Available, says: &[PERMITS as u64], ..RELEASE };
const ASK_PERMITS: Scenario =
    Scenario { verb: Verb::AskSemaphore, after: permits::ask_after, ..RELEASE };
const ACQUIRE_WITNESS: Scenario = Scenario {
    is_witness: true,
    says: &[],
    arrange: witness::acquire_arrange,
    asleep: witness::acquire_asleep,
    after: witness::acquire_after,
    ..ACQUIRE
};
const ACQUIRE_HALFWAY: Scenario =
    Scenario { dies: Death { seat: BARGER, verb: Some(Verb::GiveBack) }, ..ACQUIRE_WITNESS };
/// A sleeper dies.
const GIVE_WITNESS: Scenario = Scenario {
    is_witness: true,
    dies: Death { seat: FIRST, verb: None },
    after: witness::give_after,
    ..GIVE_SLEEPERS
};
const RELEASE_WITNESS: Scenario =
    Scenario { verb: Verb::Release, arrange: permits::release_sleepers_arrange, ..GIVE_WITNESS };
/// Who holds permits dies.
const HOLDER: Death = Death { seat: BARGER, verb: None };
/// How many permits are released.
const RELEASED: &[u64] = &[1];

/// Of both kinds of semaphores.
const SEMAPHORES: &[Row] = &[
    Row("#_acquire_*", WAITING, ACQUIRE),
    Row("#_first_use", ONE, Scenario { cold: true, ..ACQUIRE }),
    Row("#_try_acquire", &[TRY], ACQUIRE),
    Row("#_try_acquire_owned", &[OWNED_TRY], ACQUIRE),
    Row("#_acquire_*_none", WAITING, ACQUIRE_NONE),
    Row("#_acquire_none_barger", ONE, Scenario { barge: true, ..ACQUIRE_NONE }),
    Row("#_acquire_*_over", RUNNING_OUT, ACQUIRE_OVER),
    Row("#_try_acquire_none", &[TRY], ACQUIRE_OVER),
    Row("#_try_acquire_owned_none", &[OWNED_TRY], ACQUIRE_OVER),
    Row(
        "#_acquire_from_dead",
        ONE,
        Scenario { earlier: true, arrange: permits::dead_arrange, ..ACQUIRE },
    ),
    Row("#_drop_*", HELD, GIVE),
    Row("#_drop_*_sleepers", HELD, GIVE_SLEEPERS),
    Row("#_drop_*_sleepers_barger", HELD, Scenario { barge: true, ..GIVE_SLEEPERS }),
    Row("#_forget_*", HELD, FORGET),
    Row("#_forget_*_sleepers", HELD, FORGET_SLEEPERS),
    Row("#_release_sleepers", RELEASED, RELEASE_SLEEPERS),
    Row("#_release_sleepers_barger", RELEASED, Scenario { barge: true, ..RELEASE_SLEEPERS }),
    Row("#_available", ONE, AVAILABLE),
    Row(
        "#_available_from_dead",
        ONE,
        Scenario { earlier: true, arrange: permits::dead_arrange, ..AVAILABLE },
    ),
    Row("#_*", &[DEBUG], ASK_PERMITS),
    Row("#_*_held", &[DEBUG], Scenario { arrange: permits::held_arrange, ..ASK_PERMITS }),
    Row(
        "#_*",
        &[DEBUG_HELD, DEBUG_OWNED],
        Scenario { arrange: permits::held_arrange, ..ASK_PERMITS },
    ),
    Row("#_acquire_*_witness", SEEING, ACQUIRE_WITNESS),
    Row("#_acquire_*_witness_over", &[BRIEF], ACQUIRE_WITNESS),
    Row("#_acquire_*_witness_alone", WAITING, Scenario { alone: true, ..ACQUIRE_WITNESS }),
    Row("#_acquire_witness_halfway", ONE, ACQUIRE_HALFWAY),
    Row("#_acquire_witness_halfway_alone", ONE, Scenario { alone: true, ..ACQUIRE_HALFWAY }),
    Row("#_drop_*_witness", HELD, GIVE_WITNESS),
    Row("#_drop_witness_holder", ONE, Scenario { dies: HOLDER, ..GIVE_WITNESS }),
    Row("#_release_witness", RELEASED, RELEASE_WITNESS),
    Row("#_release_witness_holder", RELEASED, Scenario { dies: HOLDER, ..RELEASE_WITNESS }),
];

/// Of the simple one alone.
const SIMPLE_SEMAPHORES: &[Row] = &[
    Row("#_release", RELEASED, Scenario { says: &[1], ..RELEASE }),
    Row("#_release_two", &[2], RELEASE_SLEEPERS),
    Row("#_release_two_barger", &[2], Scenario { barge: true, ..RELEASE_SLEEPERS }),
];

/// Of those in which a victim has no seat: what it does changes how the others work.
const SEATLESS: &[Row] = &[
    Row("#_acquire", ONE, ACQUIRE),
    Row("#_try_acquire", &[TRY], ACQUIRE),
    Row("#_acquire_none", ONE, ACQUIRE_NONE),
    Row("#_acquire_none_barger", ONE, Scenario { barge: true, ..ACQUIRE_NONE }),
    Row("#_try_acquire_none", &[TRY], ACQUIRE_OVER),
    Row(
        "#_acquire_from_dead",
        ONE,
        Scenario { earlier: true, arrange: permits::dead_arrange, ..ACQUIRE },
    ),
    Row("#_drop", ONE, GIVE),
    Row("#_drop_sleepers", ONE, GIVE_SLEEPERS),
    Row("#_forget", ONE, FORGET),
    Row("#_forget_sleepers", ONE, FORGET_SLEEPERS),
    Row("#_release_sleepers", RELEASED, RELEASE_SLEEPERS),
    Row("#_release_two", &[2], RELEASE_SLEEPERS),
    Row("#_available", ONE, AVAILABLE),
    Row("#_acquire_witness", ONE, ACQUIRE_WITNESS),
    Row("#_drop_witness", ONE, GIVE_WITNESS),
    Row("#_drop_witness_holder", ONE, Scenario { dies: HOLDER, ..GIVE_WITNESS }),
];

/// Of the one that has no block at first.
const BLOCKLESS_SEMAPHORES: &[Row] = &[Row(
    "#_acquire_fifth",
    ONE,
    Scenario {
        fresh: true,
        arrange: permits::fifth_arrange,
        after: permits::fifth_after,
        ..ACQUIRE
    },
)];

/// Of the one that is always counted.
const COUNTED_SEMAPHORES: &[Row] = &[
    Row("#_acquire_adopts", ONE, ADOPTS),
    Row(
        "#_release_adopts",
        RELEASED,
        Scenario { earlier: true, arrange: permits::adopt_arrange, ..RELEASE },
    ),
];

/// Of the bounded one alone.
const BOUNDED_SEMAPHORES: &[Row] = &[
    Row(
        "#_release",
        RELEASED,
        Scenario { says: &[1], arrange: permits::forgotten_arrange, ..RELEASE },
    ),
    Row("#_release_over", RELEASED, Scenario { says: &[0], ..RELEASE }),
];

// Events.

const EVENT: Scenario = Scenario { asleep: locks::event_asleep, after: locks::event_after, ..LOCK };
const WAIT: Scenario =
    Scenario { verb: Verb::Wait, says: &[1], arrange: locks::event_sleepers, ..EVENT };
const ASK_EVENT: Scenario =
    Scenario { verb: Verb::AskEvent, after: locks::ask_event_after, ..EVENT };
const WAIT_WITNESS: Scenario =
    Scenario { is_witness: true, says: &[], after: witness::wait_after, ..WAIT };

const EVENTS: &[Row] = &[
    Row("#_set", ONE, Scenario { verb: Verb::Set, arrange: locks::event_sleepers, ..EVENT }),
    Row("#_set_again", ONE, Scenario { verb: Verb::Set, arrange: locks::event_was_set, ..EVENT }),
    Row("#_clear", ONE, Scenario { verb: Verb::Clear, arrange: locks::event_was_set, ..EVENT }),
    Row("#_wait_*", PLAIN_WAITING, WAIT),
    Row("#_wait_*_set", PLAIN_WAITING, Scenario { arrange: locks::event_was_set, ..WAIT }),
    Row(
        "#_wait_*_over",
        PLAIN_RUNNING_OUT,
        Scenario { says: &[0], asleep: locks::nothing, ..WAIT },
    ),
    Row("#_*_clear", &[IS_SET, DEBUG], Scenario { arrange: locks::event_sleepers, ..ASK_EVENT }),
    Row("#_*_set", &[IS_SET, DEBUG], Scenario { arrange: locks::event_was_set, ..ASK_EVENT }),
    Row("#_wait_*_witness", PLAIN_WAITING, WAIT_WITNESS),
    Row("#_wait_*_witness_over", &[BRIEF], WAIT_WITNESS),
    Row(
        "#_wait_witness_halfway",
        ONE,
        Scenario { dies: Death { seat: BARGER, verb: Some(Verb::Set) }, ..WAIT_WITNESS },
    ),
    Row(
        "#_set_witness",
        ONE,
        Scenario {
            verb: Verb::Set,
            is_witness: true,
            dies: Death { seat: FIRST, verb: None },
            arrange: locks::event_sleepers,
            after: witness::set_after,
            ..EVENT
        },
    ),
];

// Whole objects.

const MAKE: Scenario =
    Scenario { verb: Verb::Make, arrange: make::hoard_arrange, after: make::make_after, ..LOCK };

/// Of all kinds of objects.
const MADE: &[Row] = &[
    Row("*_#", &[NEW, CLONE, DROP], MAKE),
    Row("*_#_first_use", &[NEW], Scenario { cold: true, arrange: LOCK.arrange, ..MAKE }),
    Row("*_#_clone", &[DROP], Scenario { arrange: make::clone_arrange, ..MAKE }),
];
