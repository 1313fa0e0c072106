//! The contract suite: what every store must do, one sentence a test, each named after its rule.
//!
//! A backend implements [`Fixture`] and calls [`crate::contract!`] in a test file. Nothing here
//! knows a backend; time moves only when a test says so.

pub mod admission;
pub mod audits;
mod call;
pub mod claims;
pub mod configuration;
pub mod conflicts;
pub mod control;
pub mod deliveries;
pub mod duplicates;
pub mod history;
pub mod leases;
pub mod ledger;
pub mod order;
pub mod ordered;
pub mod records;
pub mod replays;
pub mod retention;
pub mod rules;
pub mod scan;
pub mod send;
pub mod shadows;
pub mod standing;
pub mod stats;
pub mod turns;
mod world;

pub use call::Call;
pub use world::{TestClock, World, block_on};

use std::sync::Arc;

use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::time::Millis;

use crate::{Answer, Store, StoreError};

/// A backend under test.
pub trait Fixture: Sized + Sync {
    /// Whether a lease ends with the process that holds it, as in a store that no other process
    /// can use; else it outlives the process, and ends when its time is up.
    const LEASES_END_WITH_THE_PROCESS: bool;

    /// An empty store.
    fn new() -> Self;

    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// Lets time pass on the store's clock.
    fn advance(&self, span: Millis);

    /// Lets the process die and starts it again on what was durable.
    fn crash(&mut self);

    /// Waits for an answer.
    ///
    /// # Errors
    /// What the store answers.
    fn wait<T>(&self, answer: Answer<'_, T>) -> Result<T, StoreError> {
        block_on(answer)
    }

    /// What a JSON payload looks like. Only a planted fault answers otherwise.
    fn fingerprint(&self, payload: &str) -> Fingerprint {
        world::fingerprint(payload)
    }
}

/// Makes a test of every sentence of the suite.
#[macro_export]
macro_rules! contract {
    ($fixture:ty) => {
        $crate::contract!(@module $fixture, admission:
            c1_two_scopes_never_meet
            c2_what_was_acknowledged_survives_a_crash
            c2_a_call_of_many_is_durable_as_a_whole
            c3_of_many_at_once_exactly_one_is_accepted
            c3_the_second_in_one_call_is_a_concurrent_duplicate_of_the_first
            c4_the_window_runs_from_first_sight_and_does_not_slide
            c4_a_sliding_window_begins_anew_with_every_sight
            c4_for_ever_never_ends
            c4_a_crash_neither_opens_nor_extends_a_window
            c5_neighbours_beyond_64_bit_floats_differ
            c7_a_former_rule_still_finds_the_original_and_both_keys_are_claimed
            c7_the_earliest_sight_wins
            c8_a_closed_store_admits_nothing
            inv_2_a_claim_names_a_message_that_exists
            inv_9_a_claim_inside_its_window_outlives_every_sweep
        );
        $crate::contract!(@module $fixture, conflicts:
            c6_suppress_records_a_flagged_duplicate_with_its_body
            c6_accept_makes_a_message_whose_repeat_is_its_duplicate
            c6_reject_creates_nothing
            c6_quarantine_holds_until_a_person_releases
            c6_quarantine_holds_until_a_person_discards
            c6_what_was_released_is_known_and_is_not_released_again
            c4_a_release_does_not_extend_the_window
            d4_what_would_go_nowhere_stays_held
            d4_a_released_conflict_goes_without_the_originals_headers
            c6_the_difference_is_kept
            d4_a_suppressed_request_is_released_once
            d4_what_is_no_duplicate_cannot_be_released
            inv_1_one_live_claim_per_key_and_fingerprint
        );
        $crate::contract!(@module $fixture, duplicates:
            d1_a_duplicate_is_recorded_and_linked_and_never_delivered
            d1_another_payload_is_kept
            d2_a_duplicate_starts_exactly_the_failed_deliveries_again
            d2_what_a_person_cancelled_or_a_receiver_rejected_stays
            d2_a_disabled_endpoint_is_not_started_again
            d2_another_payload_starts_nothing
            d2_an_original_without_a_route_is_routed_now
            d2_suppress_turns_it_off
            d3_the_cause_and_its_evidence_are_recorded
            d3_a_duplicate_before_the_answer_is_concurrent
            d5_look_alikes_are_flagged_and_delivered
            inv_8_counters_equal_requests
        );
        $crate::contract!(@module $fixture, send:
            s1_a_new_call_is_a_message
            s2_a_repeat_is_the_original_and_sends_nothing
            s3_another_payload_is_a_conflict
            s4_without_a_key_every_call_is_new
            s6_one_key_covers_a_fan_out_and_a_repeat_adds_none
            s7_the_same_key_twice_in_a_batch_is_one_message
            d2_a_repeat_of_the_send_api_redrives_only_when_asked
        );
        $crate::contract!(@module $fixture, leases:
            o4_two_leases_never_live_at_once
            o4_a_lease_that_ran_out_is_recovered_and_its_attempt_recorded
            o4_a_late_result_is_recorded_and_never_applied
            o4_after_a_restart_every_lease_ends_and_is_recovered
            o4_many_who_lease_at_once_share_the_work
            inv_4_a_late_answer_does_not_revive_a_finished_delivery
            inv_5_an_overtaken_token_changes_nothing
            inv_6_what_is_not_final_can_always_be_leased_again
            a_lane_gets_no_more_than_its_terms
            a_lane_never_has_more_live_leases_than_its_limit
            a_lane_at_its_limit_goes_on_when_a_lease_runs_out
            no_lane_waits_for_another
            the_store_says_how_long_until_something_is_due
        );
        $crate::contract!(@module $fixture, deliveries:
            d3_attempts_carry_their_trigger_and_their_numbers_go_on
            inv_3_a_delivery_is_unique_per_message_and_connection
            inv_7_a_finished_attempt_survives_a_crash
            a_retry_is_due_when_its_time_has_come
            a_lease_given_back_burns_no_attempt
            a_retry_that_does_not_count_leaves_the_budget
            a_held_delivery_waits_for_a_person
            a_person_retries_what_has_ended
            a_retry_of_the_undelivered_spares_what_was_delivered_meanwhile
            a_person_cancels_what_has_not
            hasten_makes_a_lane_due
            someone_is_woken_when_something_becomes_due
            the_parcel_is_delivered_byte_for_byte
        );
        $crate::contract!(@module $fixture, history:
            pages_go_from_the_newest_to_the_oldest_without_gap_or_overlap
            messages_are_filtered
            a_messages_status_is_decided_by_its_deliveries
            requests_are_filtered
            attempts_are_filtered
            another_projects_things_are_not_found
            refused_requests_are_kept_up_to_a_bound
        );
        $crate::contract!(@module $fixture, standing:
            messages_of_a_status_are_listed_in_order_and_with_every_other_filter
        );
        $crate::contract!(@module $fixture, ledger:
            l1_a_key_is_listed_with_its_counts
            l1_a_composite_key_is_found_by_any_part
            l1_a_freed_key_is_new_again_and_the_audit_says_who_and_why
            l1_a_key_is_freed_in_one_scope_only
        );
        $crate::contract!(@module $fixture, rules:
            c1_a_connection_takes_a_key_once_and_names_the_original
            c3_the_second_in_one_call_finds_the_key_of_the_first
            c3_of_many_at_once_one_passes_the_connection
            c4_a_connections_window_is_its_own
            c2_what_a_rule_did_survives_a_crash
            d2_what_the_rules_dropped_counts_as_routed
            d2_an_original_that_is_routed_now_goes_through_the_rules
            a_duplicate_claims_nothing_for_a_connection
            a_connections_key_is_not_burnt_by_a_failed_delivery
            a_delay_makes_the_delivery_due_later
            a_connections_key_is_listed_and_freed
            what_a_script_made_is_kept_once_and_survives_a_crash
        );
        $crate::contract!(@module $fixture, control:
            a_rate_holds_over_all_who_lease_and_a_wait_burns_no_attempt
            a_used_up_rate_says_how_long_it_waits_and_holds_no_other_lane_back
            a_rate_survives_a_crash
            a_resumed_lane_is_drained_at_a_rate_that_grows
            a_circuit_opens_over_failures_waits_is_probed_and_closes
            an_open_circuit_with_another_way_lets_deliveries_go_around
            long_failure_is_told_once_and_survives_a_crash
            an_overtaken_attempt_says_nothing_of_its_lane
            what_fails_over_goes_to_the_other_endpoint_and_its_numbers_go_on
            what_waits_for_a_paused_connection_is_set_aside_and_comes_back
            a_lane_without_limits_has_no_state
        );
        $crate::contract!(@module $fixture, retention:
            inv9_a_claim_outlives_its_messages_payload
            inv9_a_claim_outlives_its_messages_history
            inv9_an_unfinished_delivery_is_never_pruned
            inv9_a_request_that_waits_for_a_person_keeps_its_payload
            inv9_only_what_a_cut_names_goes
            inv9_steps_are_small_and_meet_everything_once
            inv9_an_unfinished_element_keeps_what_surrounded_its_batch
            inv9_a_retry_without_its_payload_is_refused
            inv9_a_release_without_its_payload_is_refused
            d2_a_duplicate_brings_a_pruned_payload_back
            a_payload_goes_when_its_sender_said_so
            sizes_are_told_from_the_youngest_to_the_oldest
        );
        $crate::contract!(@module $fixture, scan:
            a_scan_meets_every_arrival_of_a_source_once_in_order
            a_scan_for_a_connection_meets_messages_only
            a_scan_keeps_to_its_span_and_to_its_bytes
            a_scan_meets_what_was_pruned_without_its_payload
        );
        $crate::contract!(@module $fixture, shadows:
            a_rule_in_shadow_mode_drops_nothing_and_says_what_it_would_have_dropped
            a_rule_in_shadow_mode_judges_what_reaches_it
            a_key_in_shadow_mode_is_judged_beside_the_real_one
            a_conflict_is_judged_as_well
            c1_a_key_in_shadow_mode_protects_nothing
            c3_of_many_at_once_a_key_in_shadow_mode_lets_one_pass
            c4_a_key_in_shadow_mode_has_a_window_of_its_own
            c2_what_was_judged_survives_a_crash
            what_a_rule_came_to_that_was_taken_away_is_forgotten
            l1_a_key_in_shadow_mode_is_not_listed
        );
        $crate::contract!(@module $fixture, audits:
            a_change_and_its_line_are_one_commit
            the_log_goes_from_the_newest_to_the_oldest
            the_last_use_of_a_key_is_kept
        );
        $crate::contract!(@module $fixture, order:
            of_one_key_one_goes_at_a_time_in_the_order_of_acceptance
            a_failing_head_blocks_its_own_key_only
            what_comes_without_a_key_is_not_ordered
            a_failed_one_releases_the_next_and_a_held_one_does_not
            a_cancelled_one_releases_the_next
            a_person_cannot_let_one_overtake
            what_starts_again_waits_for_its_turn
            a_redriven_one_waits_for_its_turn
            a_late_answer_gives_no_turn_on
            a_lane_made_due_keeps_the_order
            a_delayed_head_delays_its_key
            those_of_one_call_and_of_one_message_go_one_after_the_other
            the_order_survives_a_crash
        );
        $crate::contract!(@module $fixture, ordered:
            inv_10_a_replay_keeps_the_order_of_each_key
            inv_10_what_comes_during_a_replay_waits_for_its_turn
            inv_10_what_fails_over_keeps_the_turn_of_its_key
            inv_10_a_failover_within_a_replay_keeps_the_order
        );
        $crate::contract!(@module $fixture, turns:
            of_many_who_come_and_go_at_once_none_is_left_behind
            inv_10_whatever_happens_one_has_the_turn
        );
        $crate::contract!(@module $fixture, claims:
            l2_a_claim_is_run_once_and_its_result_survives_a_crash
            l2_an_entry_keeps_everything_that_was_said
            l2_another_payload_is_a_conflict_however_far_the_first_is
            l2_of_many_at_once_exactly_one_runs
            l2_the_same_token_again_is_the_same_claim
            l2_two_projects_never_meet
            l2_what_was_never_claimed_is_gone
            v2_a_lapsed_lease_is_taken_over_and_the_old_token_is_fenced
            v2_a_slow_holder_completes_where_nobody_took_over
            v2_a_renewed_lease_holds
            v2_a_release_keeps_the_count_and_waits
            v1_an_event_whose_attempts_are_used_up_is_dead
            l2_a_replay_begins_the_next_generation_and_is_audited
            v1_a_takeover_finds_the_steps_that_were_done
            v6_an_expired_claim_is_free_whether_or_not_it_was_swept
            v6_a_sweep_is_bounded_and_takes_only_what_has_expired
            c8_a_closed_store_grants_no_claim
        );
        $crate::contract!(@module $fixture, stats:
            arrivals_are_counted_by_outcome_and_cause
            k5_requests_without_a_key_are_counted
            counts_lie_in_their_steps
            attempts_are_counted_by_trigger_and_outcome
            an_attempt_that_ends_late_is_counted_once
            a_lost_attempt_is_counted_once_and_as_what_it_came_to
            a_project_counts_its_own
            what_waits_is_counted_with_the_oldest
            the_last_arrival_of_a_source_is_known
            a_follower_sees_everything_once
            a_follower_is_told_what_it_missed
        );
        $crate::contract!(@module $fixture, replays:
            p1_the_same_plan_started_twice_is_one_job
            p1_a_key_names_one_plan
            p1_a_replay_over_nothing_is_done_when_it_is_started
            p1_a_plan_counts_and_takes_the_oldest_first
            p1_a_replay_goes_on_after_a_crash_and_sends_each_once
            p1_a_lease_keeps_others_out_until_it_ends
            p1_cancelled_midway_nothing_more_is_handed_over
            p1_a_bulk_cancel_calls_off_what_has_not_ended
            p1_what_a_person_did_is_audited_with_its_reason
            p1_another_projects_replay_is_not_found
            p2_a_replayed_delivery_keeps_its_name_and_carries_its_replay
            p2_as_new_makes_messages_of_their_own
            p3_elsewhere_never_touches_the_original
            p4_replays_have_a_lane_of_their_own
            a_manual_retry_takes_a_delivery_out_of_its_replay
        );
        $crate::contract!(@module $fixture, configuration:
            documents_survive_a_crash
            a_name_is_unique_among_the_living
            a_change_of_something_else_is_stale
            the_version_grows_with_every_save_and_with_nothing_else
            numbers_are_never_minted_twice
        );
    };
    (@module $fixture:ty, $module:ident: $($name:ident)*) => {
        mod $module {
            #[expect(unused_imports, reason = "the fixture may be named with a path")]
            use super::*;
            $(
                #[test]
                fn $name() {
                    $crate::suite::$module::$name::<$fixture>();
                }
            )*
        }
    };
}
