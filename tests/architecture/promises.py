"""Which tests show that the defects and pains of the field are not ours.

Each promise is named after what goes wrong elsewhere, with the libraries it was seen in; the tests named here would
fail on them. `file::test` below `tests/`.
"""

DEFECTS = "scenarios/test_breaker_defects.py"
VERDICTS = "scenarios/test_verdicts.py"
REJECTIONS = "scenarios/test_rejections.py"
TIMEOUTS = "scenarios/test_timeouts.py"
RETRIES = "scenarios/test_retries.py"
AMPLIFIED = "scenarios/test_retry_amplification.py"
STREAMS = "scenarios/test_streams.py"
LIMITS = "scenarios/test_stream_limits.py"
KEYS = "scenarios/test_breaker_keys.py"

PROMISES: dict[str, list[str]] = {
    # what a circuit breaker gets wrong (circuitbreaker, purgatory, aiobreaker, hyx, grit, resilix, pyresilience)
    "E1 every caller is a trial": [
        f"{DEFECTS}::test_e1_of_five_trials_at_once_one_is_admitted",
        f"{DEFECTS}::test_e1_with_three_places_three_are_admitted",
        "concurrency/test_breaker_crowd.py::test_of_a_crowd_at_the_end_of_the_open_period_exactly_the_places_are_filled",
    ],
    "E2 a stale success closes": [
        f"{DEFECTS}::test_e2_a_success_from_before_does_not_close_a_half_open_circuit",
        f"{DEFECTS}::test_e2_a_success_from_before_does_not_close_an_open_circuit",
    ],
    "E2f a stale failure reopens": [f"{DEFECTS}::test_e2_a_failure_from_before_does_not_reopen_a_half_open_circuit"],
    "E3 a stale failure extends": [f"{DEFECTS}::test_e3_a_failure_from_before_does_not_extend_an_open_circuit"],
    "E4 a cancelled trial decides": [f"{DEFECTS}::test_e4_a_cancelled_trial_gives_its_place_back"],
    "E5 an ignored trial decides": [f"{DEFECTS}::test_e5_an_error_that_does_not_count_gives_the_trials_place_back"],
    "E6 cancellations open": [f"{DEFECTS}::test_e6_cancellations_do_not_open_a_closed_circuit"],
    "E7 an ignored error resets": [f"{DEFECTS}::test_e7_an_error_that_does_not_count_ends_no_run_of_failures"],
    "a trial of another half-open period counts (nopanic)": [
        f"{DEFECTS}::test_a_trial_of_the_first_half_open_period_is_not_credited_to_the_second",
        f"{DEFECTS}::test_a_failure_of_the_first_half_open_period_does_not_reopen_in_the_second",
    ],
    "a coroutine is a success before it ran (pybreaker)": [
        "unit/pipeline/test_decorate.py::test_what_a_plain_function_gives_to_await_is_awaited_under_protection",
        "unit/pipeline/test_decorate.py::test_a_call_of_a_generator_says_what_to_use",
    ],
    "one call at a time, under a lock (pybreaker)": [
        "concurrency/test_threads.py::test_a_bulkhead_never_lets_in_more_than_its_limit",
        "concurrency/test_threads.py::test_sixteen_threads_are_counted_exactly",
    ],
    "no jitter at the cap (stamina, tenacity)": ["stateful/test_backoff_laws.py"],
    "a clock step back blocks (limits, botocore)": [
        f"{DEFECTS}::test_a_clock_that_goes_back_refuses_at_most_one_period_more",
        "stateful/test_limit_laws.py",
    ],
    "sync timeouts queue behind hung calls (pyresilience)": [
        f"{TIMEOUTS}::test_calls_beyond_the_threads_are_refused_at_once_and_do_not_queue",
    ],
    "an impossible cost gets a time to retry (throttled-py)": [
        "stateful/test_limit_changes.py::test_a_cost_above_the_capacity_can_never_be_paid",
    ],
    "stop_after_delay runs past it (tenacity)": [
        f"{RETRIES}::test_no_sleep_passes_the_deadline",
        f"{RETRIES}::test_a_total_time_ends_the_attempts",
    ],
    # what users suffer from, by theme
    "1 streams are unprotected (tenacity, stamina, litellm, anthropic)": [
        f"{STREAMS}::test_an_error_before_the_first_item_is_invisible",
        f"{STREAMS}::test_an_error_after_three_items_gives_exactly_three_and_says_so",
        f"{STREAMS}::test_six_hundred_lost_iterators_leave_no_permit",
        f"{STREAMS}::test_success_is_told_at_the_end_and_not_at_the_start",
        f"{LIMITS}::test_a_stream_that_is_too_slow_ends_at_its_limit",
    ],
    "3 half-open stampedes, is stuck, is fooled": [
        f"{DEFECTS}::test_a_trial_that_never_returns_is_written_off_when_its_lease_ends",
        f"{DEFECTS}::test_a_permit_settled_twice_counts_once",
        "scenarios/test_breaker_probe.py",
    ],
    "4 no total deadline (openai, httpx, instructor)": [
        f"{TIMEOUTS}::test_a_deadline_shrinks_from_attempt_to_attempt_and_never_grows",
        f"{TIMEOUTS}::test_nested_pipelines_share_the_shorter_deadline",
        "scenarios/test_shares.py::test_a_hung_attempt_is_cut_at_its_share_and_the_next_one_succeeds",
    ],
    "5 retries multiply (stamina, litellm, tenacity)": [
        f"{AMPLIFIED}::test_the_innermost_of_three_retries_acts_and_a_dead_dependency_sees_three_calls",
        f"{AMPLIFIED}::test_clients_of_a_dead_dependency_send_at_most_a_quarter_more",
    ],
    "6 cancellation is swallowed and leaks (tenacity, hyx, httpcore)": [
        "concurrency/test_cancel_schedules.py::test_a_cancel_at_any_await_leaves_nothing_behind",
        f"{RETRIES}::test_an_interrupt_is_never_tried_again",
        f"{TIMEOUTS}::test_a_cancel_from_outside_stays_a_cancel",
    ],
    "8 threads, loops and forks (pybreaker, aiolimiter, tenacity, PyrateLimiter)": [
        "concurrency/test_loops.py::test_three_loops_in_a_row_use_the_same_policies",
        "concurrency/test_loops.py::test_two_loops_in_two_threads_share_the_same_policies",
        "concurrency/test_fork.py::test_a_child_works_although_a_thread_held_every_lock_at_the_fork",
        "concurrency/test_threads.py::test_retries_of_many_threads_do_not_share_their_delays",
    ],
    "9 the wrong things count (cerberus, vllm router)": [
        f"{VERDICTS}::test_each_end_means_what_the_table_says",
        f"{VERDICTS}::test_a_call_cut_short_by_our_own_deadline_counts_as_the_dependencys_slowness",
        f"{VERDICTS}::test_a_full_bulkhead_counts_nothing_against_the_dependency",
    ],
    "10 decorators lose kinds and types (tenacity, pybreaker)": [
        "typing/test_calls.py::test_each_of_ten_kinds_of_callables_keeps_its_exact_type",
        "unit/pipeline/test_decorate.py::test_a_method_may_be_wrapped_either_way_round",
    ],
    "11 tests have to sleep or patch (tenacity, retry, Polly)": [
        "unit/testing/test_virtual_time.py::test_ten_attempts_an_hour_apart_take_nine_virtual_hours",
        "unit/testing/test_virtual_time.py::test_chained_waits_run_through_by_themselves",
    ],
    "12 errors hide what happened (pybreaker, failsafe, tenacity)": [
        f"{REJECTIONS}::test_after_an_attempt_the_last_real_error_leaves_with_the_refusal_in_its_notes",
        f"{REJECTIONS}::test_a_timed_out_attempt_followed_by_an_open_circuit_surfaces_as_the_timeout",
        f"{REJECTIONS}::test_every_refusal_is_a_fresh_error_that_pickles",
        "unit/core/test_errors.py::test_every_error_of_a_decision_pickles_with_all_it_says",
        "concurrency/test_loops.py::test_a_hundred_thousand_refusals_leave_no_growth",
    ],
    "15 Retry-After is ignored or clamped (openai, smolagents, flask-limiter)": [
        f"{RETRIES}::test_what_the_dependency_asks_is_a_floor_and_spread_by_up_to_half",
        f"{RETRIES}::test_a_pause_beyond_the_cap_ends_the_call_at_once_with_the_hint_in_the_error",
        f"{VERDICTS}::test_a_429_closes_the_gate_for_everybody_until_it_said",
        f"{VERDICTS}::test_a_shorter_pause_does_not_shorten_a_longer_one",
        f"{VERDICTS}::test_asking_again_after_the_time_a_refusal_named_succeeds",
        "unit/errors/test_hints.py::test_a_spent_quota_says_when_it_is_renewed",
    ],
    "18 state for each key grows and leaks (omi, shisad, aspnetcore)": [
        f"{KEYS}::test_reading_a_key_makes_no_circuit",
        f"{KEYS}::test_open_circuits_are_forgotten_last",
        f"{KEYS}::test_keys_are_secret_in_events_errors_and_snapshots_unless_they_are_public",
        "scenarios/test_limits.py::test_keys_are_bounded_spent_ones_go_last_and_reading_makes_none",
    ],
    "20 nothing can be changed while it runs (tenacity, Polly, Hystrix)": [
        "scenarios/test_overrides.py::test_a_block_changes_the_attempts_of_the_calls_inside_it",
        "scenarios/test_overrides.py::test_it_holds_for_everybody_until_it_expires",
        "scenarios/test_breaker_observed.py",
        "unit/errors/test_kinds.py::test_a_rule_may_be_set_anew_at_run_time",
    ],
    "21 a write is sent twice (gocardless, shunt, hiredis-cluster)": [
        f"{AMPLIFIED}::test_all_attempts_of_a_call_have_one_key_and_the_next_call_has_another",
        f"{AMPLIFIED}::test_only_what_was_certainly_not_sent_is_tried_again",
    ],
    "22 the order is wrong and nobody says so (Polly, failsafe)": [
        "unit/pipeline/test_order.py::test_a_pair_the_wrong_way_round_is_refused_with_both_names_and_the_right_order",
        "unit/pipeline/test_registry.py::test_explain_tells_order_longest_time_and_most_calls",
    ],
}
