//! The scenarios of shared data: every public operation of values, arrays, their parts, lists, bytes and numbers; see
//! `scenarios`.

use super::data::{ARRAY, LARGE_VALUE, LIST, MEMORY, NUMBER, Op, STRUCTURE, VALUE};
use super::data_scripts::{self as data, BUSY, REFUSALS};
use super::family::{ONE, Object, PLAIN_EVERY, PLAIN_RUNNING_OUT, PLAIN_WAITING, Row, expand};
use super::forms::{BRIEF, PLAIN, TRY};
use super::order::Verb;
use super::part_scripts as parts;
use super::scenarios::{LOCK, Scenario};

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    let tables: [(&[Row], &[Object]); 8] = [
        (VALUES, &[("value", VALUE), ("large_value", LARGE_VALUE)]),
        (ARRAYS, &[("array", ARRAY)]),
        (LISTS, &[("list", LIST)]),
        (LOCKED, &[("value", VALUE), ("array", ARRAY)]),
        (
            EVERY_LOCKED,
            &[("value", VALUE), ("large_value", LARGE_VALUE), ("array", ARRAY), ("list", LIST)],
        ),
        (PARTS, &[("part", ARRAY)]),
        (NUMBERS, &[("atomic", NUMBER)]),
        (UNLOCKED, &[("memory", MEMORY), ("shared", STRUCTURE), ("atomic", NUMBER)]),
    ];
    let mut all = expand(&tables);
    // All forms of a call end in the one that is given a moment.
    all.iter_mut().for_each(|scenario| scenario.is_minor |= scenario.form != PLAIN);
    // A claim that waits for the lock checks at least every 50 ms. Without optimisation it needs more steps than that to fall asleep.
    let waits = |scenario: &Scenario| {
        scenario.name.starts_with("part_claim") && scenario.name.ends_with("_locked")
    };
    all.retain(|scenario| !cfg!(debug_assertions) || !waits(scenario));
    all
}

const DATA: Scenario =
    Scenario { verb: Verb::Data(Op::Get), arrange: data::arrange, after: data::after, ..LOCK };
const CONTENDED: Scenario = Scenario {
    arrange: data::contended_arrange,
    asleep: data::contended_asleep,
    after: data::contended_after,
    ..DATA
};
/// The time runs out, or there is none.
const OVER: Scenario = Scenario { says: REFUSALS, asleep: |_, _, _| Ok(()), ..CONTENDED };
const LEFT: Scenario = Scenario { earlier: true, arrange: data::left_arrange, ..DATA };
const WITNESS: Scenario = Scenario { is_witness: true, after: data::witness_after, ..CONTENDED };
const LOCK_RECOVERED: Scenario = Scenario { after: data::lock_recovered_after, ..DATA };

const fn does(op: Op, base: Scenario) -> Scenario {
    Scenario { verb: Verb::Data(op), ..base }
}

const VALUES: &[Row] = &[
    Row("#_get_*", PLAIN_EVERY, DATA),
    Row("#_set_*", PLAIN_EVERY, does(Op::Set, DATA)),
    Row("#_swap_*", PLAIN_EVERY, does(Op::Swap, DATA)),
    Row("#_update_*", PLAIN_EVERY, does(Op::Update, DATA)),
    Row("#_get_first_use", ONE, Scenario { cold: true, ..DATA }),
    Row("#_swap_contended", ONE, does(Op::Swap, CONTENDED)),
    Row("#_update_*_contended", PLAIN_WAITING, does(Op::Update, CONTENDED)),
    Row("#_swap_over", &[BRIEF], does(Op::Swap, OVER)),
    Row("#_update_over", &[TRY], does(Op::Update, OVER)),
    Row("#_swap_left", ONE, does(Op::Swap, LEFT)),
    Row("#_set_left", ONE, does(Op::Set, LEFT)),
];

const ARRAYS: &[Row] = &[
    Row("#_to_vec_*", PLAIN_EVERY, DATA),
    Row("#_get_*", PLAIN_EVERY, does(Op::GetOne, DATA)),
    Row("#_set_*", PLAIN_EVERY, does(Op::SetOne, DATA)),
    Row("#_update_*", PLAIN_EVERY, does(Op::UpdateOne, DATA)),
    Row("#_read_*", PLAIN_EVERY, does(Op::Read, DATA)),
    Row("#_write_*", PLAIN_EVERY, does(Op::Write, DATA)),
    Row("#_copy_to_slice_*", PLAIN_EVERY, does(Op::CopyOut, DATA)),
    Row("#_copy_from_slice_*", PLAIN_EVERY, does(Op::Set, DATA)),
    Row("#_fill_*", PLAIN_EVERY, does(Op::Fill, DATA)),
    Row("#_partition", ONE, does(Op::Partition, DATA)),
    Row("#_chunks", ONE, does(Op::Chunks, DATA)),
    Row("#_set_contended", ONE, does(Op::SetOne, CONTENDED)),
    Row("#_update_contended", ONE, does(Op::UpdateOne, CONTENDED)),
    Row("#_write_*_contended", PLAIN_WAITING, does(Op::Write, CONTENDED)),
    Row("#_copy_from_slice_contended", ONE, does(Op::Set, CONTENDED)),
    Row("#_write_*_over", PLAIN_RUNNING_OUT, does(Op::Write, OVER)),
    Row("#_copy_from_slice_left", ONE, does(Op::Set, LEFT)),
    Row("#_fill_left", ONE, does(Op::Fill, LEFT)),
    Row("#_write_left", ONE, does(Op::Write, LEFT)),
    Row("#_fill_lock_recovered", ONE, does(Op::Fill, LOCK_RECOVERED)),
    Row("#_copy_lock_recovered", ONE, does(Op::Set, LOCK_RECOVERED)),
    Row("#_freeze_*", PLAIN_EVERY, FREEZE),
    Row("frozen_#_slice", ONE, does(Op::Slice, DATA)),
    Row("frozen_#_clone", ONE, does(Op::CloneFrozen, DATA)),
];

const FREEZE: Scenario =
    Scenario { fresh: true, after: data::frozen_after, ..does(Op::Freeze, DATA) };

const LISTS: &[Row] = &[
    Row("#_to_vec_*", PLAIN_EVERY, DATA),
    Row("#_get_*", PLAIN_EVERY, does(Op::GetOne, DATA)),
    Row("#_set_*", PLAIN_EVERY, does(Op::SetOne, DATA)),
    Row("#_count", ONE, does(Op::Count, DATA)),
    Row("#_index", ONE, does(Op::Index, DATA)),
    Row("#_recover_*", PLAIN_EVERY, does(Op::Recover, DATA)),
    Row("#_set_contended", ONE, does(Op::SetOne, CONTENDED)),
    Row("#_recover_left", ONE, does(Op::Recover, LEFT)),
];

/// Of what is borrowed through guards.
const LOCKED: &[Row] = &[
    Row("#_lock_*", PLAIN_EVERY, does(Op::Borrow, DATA)),
    Row("#_lock_*_contended", PLAIN_WAITING, does(Op::Borrow, CONTENDED)),
    Row("#_lock_*_over", PLAIN_RUNNING_OUT, does(Op::Borrow, OVER)),
    Row("#_lock_over", &[TRY], does(Op::Borrow, OVER)),
    Row("#_lock_left", ONE, does(Op::Borrow, LEFT)),
    Row("#_recover_*", PLAIN_EVERY, does(Op::Recover, DATA)),
    Row("#_recover_*_left", PLAIN_EVERY, does(Op::Recover, LEFT)),
    Row("#_recover_*_contended", PLAIN_WAITING, does(Op::Recover, CONTENDED)),
    Row("#_recover_*_over", PLAIN_RUNNING_OUT, does(Op::Recover, OVER)),
    Row("#_lock_witness", ONE, does(Op::Borrow, WITNESS)),
    Row("#_recover_witness", ONE, does(Op::Recover, WITNESS)),
    Row("#_copy_witness", ONE, does(Op::Set, WITNESS)),
];

/// Of all that has a lock.
const EVERY_LOCKED: &[Row] = &[
    Row("#_with_lock", ONE, does(Op::Counted, DATA)),
    Row("#_with_lock_contended", ONE, does(Op::Counted, CONTENDED)),
    Row("#_debug", ONE, does(Op::Describe, DATA)),
    Row("#_all_*_contended", PLAIN_WAITING, CONTENDED),
    Row("#_all_*_over", PLAIN_RUNNING_OUT, OVER),
    Row("#_all_over", &[TRY], OVER),
    Row("#_all_left", ONE, LEFT),
    Row("#_all_witness", ONE, WITNESS),
    Row("#_with_lock_recovered", ONE, does(Op::Counted, LOCK_RECOVERED)),
    Row("#_drop_guard", ONE, Scenario { holds_on: true, arrange: data::held_arrange, ..LET_GO }),
    Row(
        "#_drop_guard_sleepers",
        ONE,
        Scenario {
            holds_on: true,
            arrange: data::held_sleepers_arrange,
            after: data::contended_after,
            ..LET_GO
        },
    ),
];

const LET_GO: Scenario = does(Op::LetGo, DATA);

const CLAIM: Scenario =
    Scenario { arrange: parts::part_arrange, after: parts::part_after, ..does(Op::Claim, DATA) };
const MOVED: Scenario = Scenario { after: parts::moved_after, ..CLAIM };

const PARTS: &[Row] = &[
    Row("#_claim_*", PLAIN_EVERY, Scenario { says: &[0], ..CLAIM }),
    Row(
        "#_claim_*_locked",
        PLAIN_WAITING,
        Scenario { arrange: parts::locked_arrange, asleep: parts::locked_asleep, ..CLAIM },
    ),
    Row(
        "#_claim_*_over",
        PLAIN_RUNNING_OUT,
        Scenario { says: REFUSALS, arrange: parts::locked_arrange, ..CLAIM },
    ),
    Row(
        "#_claim_borrowed",
        ONE,
        Scenario { says: BUSY, arrange: parts::borrowed_arrange, ..CLAIM },
    ),
    Row(
        "#_claim_adopted",
        ONE,
        Scenario {
            says: &[0],
            arrange: parts::offered_arrange,
            after: parts::offered_after,
            ..CLAIM
        },
    ),
    Row("#_drop_claim", ONE, Scenario { holds_on: true, says: &[0], ..does(Op::GiveClaim, CLAIM) }),
    Row("#_send", ONE, does(Op::SendPart, MOVED)),
    Row("#_take", ONE, Scenario { arrange: parts::cut_arrange, ..does(Op::TakePart, MOVED) }),
    Row("#_drop", ONE, does(Op::DropPart, CLAIM)),
];

const NUMBERS: &[Row] = &[
    Row("#_swap", ONE, does(Op::Swap, DATA)),
    Row("#_fetch_add", ONE, does(Op::Update, DATA)),
    Row("#_fetch_sub", ONE, does(Op::FetchSub, DATA)),
    Row("#_compare_exchange", ONE, does(Op::CompareExchange, DATA)),
];

/// Of what has no lock.
const UNLOCKED: &[Row] = &[
    Row("#_read", ONE, DATA),
    Row("#_write", ONE, does(Op::Set, DATA)),
    Row("#_debug", ONE, does(Op::Describe, DATA)),
];
