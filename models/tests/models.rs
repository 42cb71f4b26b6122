//! Runs every model as a test.

/// A test for each function of a module of models.
macro_rules! models {
    ($($module:ident: $($model:ident)+;)+) => {
        $(mod $module {
            $(#[test]
            fn $model() {
                multiproc_models::checks::$module::$model();
            })+
        })+
    };
}

models! {
    alarm:
        a_process_that_has_just_joined_is_watched
        a_death_is_seen_through_reuse
        a_thread_that_joins_a_leaving_process_counts
        a_dead_owner_is_seen
        a_process_that_is_gone_is_seen
        a_keeper_that_dies_with_the_news_is_replaced;
    arena:
        a_sweep_leaves_what_a_getter_takes
        a_sweep_leaves_what_a_putter_gives
        a_getter_that_dies_leaves_the_block_to_the_queue_or_to_nobody;
    barrier:
        two_stay_in_step
        three_have_a_number_each
        a_party_that_dies_stops_nobody
        a_reset_is_told_to_those_who_arrived_before_it
        a_reset_is_not_told_to_those_who_are_through
        a_resetter_that_dies_stops_nobody;
    chunks:
        a_getter_follows_a_putter
        what_was_taken_meanwhile_is_not_freed
        a_putter_that_dies_at_the_change_loses_nothing_else
        a_getter_that_dies_at_the_change_loses_one_message;
    claims:
        a_part_is_written_to_by_one
        parts_of_two_partitions_and_the_whole_exclude_each_other
        nobody_writes_to_what_is_frozen
        the_part_of_a_dead_claimant_is_done_again
        the_part_of_the_dead_is_adopted_by_one
        what_a_dead_claimant_left_is_told_to_all;
    condition:
        each_notification_wakes_one
        what_is_changed_under_the_lock_is_seen
        a_waiter_that_dies_swallows_nothing
        a_notifier_that_dies_leaves_no_sleeper;
    event:
        nobody_misses_a_set_that_is_cleared_at_once
        a_pulse_reaches_a_sleeper
        what_was_written_before_the_set_is_seen
        a_setter_that_dies_leaves_no_sleeper;
    event_count:
        nobody_sleeps_while_there_is_one;
    lock:
        three_exclude_each_other_and_all_come_through
        a_waker_that_finds_nobody_strands_nobody
        fairness_stops_nobody
        a_death_at_any_step_stops_nobody;
    queue:
        a_message_reaches_its_getter
        two_getters_get_one_each
        two_putters_and_one_who_gets_both
        room_for_one_lets_both_through
        a_putter_that_dies_stops_nobody
        a_getter_that_dies_stops_nobody;
    recover:
        who_let_go_did_not_die_with_the_lock
        what_a_dead_holder_left_is_recovered_once
        the_poison_outlives_a_recoverer_that_dies
        a_panic_keeps_the_poison
        a_lock_answers_that_its_owner_died_until_it_is_recovered;
    registry:
        no_id_is_given_twice
        what_is_gone_writes_no_more
        a_taker_that_dies_leaves_the_slot;
    rlock:
        three_enter_twice_each
        whoever_takes_over_starts_at_depth_one
        the_poison_outlives_a_recoverer_that_dies
        an_inner_panic_keeps_the_poison;
    semaphore:
        three_share_one_permit
        the_permit_of_the_dead_comes_back
        a_releaser_that_dies_leaves_no_sleeper;
    stopped:
        a_stopped_locker_stops_nobody
        a_stopped_waiter_for_a_lock_stops_nobody
        a_stopped_setter_stops_nobody
        a_stopped_user_of_a_queue_stops_nobody
        a_stopped_waiter_for_a_permit_stops_nobody
        a_stopped_closer_stops_nobody;
    weakened:
        every_weakened_variant_is_caught;
}
