"""Every metric and every label there is; no other file may name one.

Names stand without their namespace ("seawall" unless set otherwise). Rules for new ones: base units (seconds, bytes,
ratios from 0 to 1), counters end in `_total`, labels have few values, and every series is there from the start with 0.
"""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """One metric: `kind` is "counter", "gauge" or "histogram"."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


#: Stands for everything beyond the number of names that are told apart.
OTHER = "__other__"

#: Values of `seawall_circuit_breaker_state`, by the word for the state.
CIRCUIT_STATES = {
    "closed": 0,
    "half-open": 1,
    "open": 2,
    "forced-open": 2,
    "forced-closed": 0,
    "disabled": 0,
    "observe": 0,
}

#: The transitions that have a series from the start; all there are between the three plain states.
CIRCUIT_CHANGES = tuple(
    (a, b) for a in ("closed", "open", "half-open") for b in ("closed", "open", "half-open") if a != b
)

CALL_RESULTS = ("success", "failure", "rejected", "shadow_rejected")
PIPELINE_RESULTS = ("success", "degraded", "failure", "rejected", "cancelled")
LIMIT_RESULTS = ("allowed", "rejected", "shadow_rejected")
TIMEOUT_RESULTS = ("ok", "timed_out")
CHECK_RESULTS = ("success", "failure")
CACHE_RESULTS = ("fresh", "stale", "fetched", "followed")
RETRY_REASONS = (
    "attempts", "not_retryable", "not_idempotent", "nested", "deadline", "max_time", "rejected", "pushback",
    "retry_after_too_long", "budget", "draining",
)  # fmt: skip
PROCESS_STATES = ("starting", "running", "backing-off", "stopped", "gave-up")

#: Attempts beyond this one share a series.
MAX_ATTEMPT = 20

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("build_info", "gauge", ("version",), "The version of seawall that answers; always 1."),
        # circuit breaker
        Metric(
            "circuit_breaker_state",
            "gauge",
            ("name",),
            "The worst state over live workers: 0 closed, 1 half-open, 2 open.",
        ),
        Metric("circuit_breaker_requests_total", "counter", ("name", "result"), "Calls by how the circuit saw them."),
        Metric("circuit_breaker_failures_total", "counter", ("name",), "Calls that counted as failures."),
        Metric(
            "circuit_breaker_state_changes_total", "counter", ("name", "from", "to"), "Changes of state, by both ends."
        ),
        Metric(
            "circuit_breaker_request_duration_seconds",
            "histogram",
            ("name",),
            "How long admitted calls took, from their admission.",
        ),
        Metric("circuit_breaker_forced", "gauge", ("name",), "1 while somebody holds the circuit in a state by hand."),
        Metric("circuit_breaker_workers", "gauge", ("name", "state"), "Live workers whose circuit is in this state."),
        Metric(
            "circuit_breaker_retry_after_seconds", "gauge", ("name",), "Time until the next trial call; 0 when closed."
        ),
        Metric(
            "circuit_breaker_stale_results_total",
            "counter",
            ("name",),
            "Results of calls that an earlier state had admitted; they decide nothing.",
        ),
        Metric("circuit_breaker_keys", "gauge", ("name",), "Keys that have a circuit of their own; 0 without keys."),
        # retry
        Metric(
            "retry_attempts_total", "counter", ("policy", "attempt"), "Attempts begun, by which one of a call it was."
        ),
        Metric("retry_success_total", "counter", ("policy",), "Calls that succeeded after at least one retry."),
        Metric("retry_failures_total", "counter", ("policy", "reason"), "Calls given up, by why no attempt followed."),
        Metric("retry_backoff_delay_seconds", "histogram", ("policy",), "Waits between attempts."),
        Metric("retry_budget_remaining", "gauge", ("policy",), "Retries the budget allows at present; 0 without one."),
        # rate limiter
        Metric("rate_limiter_requests_total", "counter", ("name", "result"), "Calls that asked the rate limit."),
        Metric("rate_limiter_tokens", "gauge", ("name",), "Tokens left at present."),
        Metric("rate_limiter_wait_seconds", "histogram", ("name",), "How long calls waited for a token."),
        Metric("rate_limiter_waiting", "gauge", ("name",), "Calls that wait for a token at present."),
        Metric(
            "rate_limiter_keys", "gauge", ("name",), "Keys that have a limit of their own at present; 0 without keys."
        ),
        # bulkhead
        Metric("bulkhead_requests_total", "counter", ("name", "result"), "Calls that asked for a slot."),
        Metric("bulkhead_in_flight", "gauge", ("name",), "Calls that hold a slot at present."),
        Metric("bulkhead_queued", "gauge", ("name",), "Calls that wait for a slot at present."),
        Metric("bulkhead_wait_seconds", "histogram", ("name",), "How long calls waited for a slot."),
        Metric("bulkhead_limit", "gauge", ("name",), "Slots there are."),
        Metric("bulkhead_oldest_seconds", "gauge", ("name",), "Age of the oldest call that holds a slot."),
        Metric(
            "bulkhead_saturation_ratio", "gauge", ("name",), "Slots in use; of the busiest key where there are keys."
        ),
        Metric("bulkhead_queue_age_seconds", "gauge", ("name",), "How long the one that waits longest has waited."),
        Metric(
            "bulkhead_keys", "gauge", ("name",), "Keys that have a bulkhead of their own at present; 0 without keys."
        ),
        # timeout, deadline, fallback
        Metric("timeout_calls_total", "counter", ("name", "result"), "Attempts under a timeout, by whether it struck."),
        Metric(
            "timeout_abandoned_total", "counter", ("name",), "Threads left behind because they could not be stopped."
        ),
        Metric("deadline_calls_total", "counter", ("name", "result"), "Calls under a deadline, by whether it struck."),
        Metric("fallback_used_total", "counter", ("name", "source"), "Calls answered by a fallback, by which one."),
        Metric("fallback_failed_total", "counter", ("name",), "Answers of a fallback that failed themselves."),
        Metric(
            "stale_cache_lookups_total", "counter", ("name", "result"), "Calls by what the cache of last values had."
        ),
        Metric("stale_cache_keys", "gauge", ("name",), "Values kept at present."),
        # pipeline
        Metric("pipeline_calls_total", "counter", ("name", "result"), "Logical calls by how they ended."),
        Metric("pipeline_duration_seconds", "histogram", ("name",), "Logical calls, with their retries and waits."),
        Metric("pipeline_overridden", "gauge", ("name",), "Overrides of an operator that hold at present."),
        # health
        Metric("health_check_status", "gauge", ("check",), "1 when healthy or degraded, otherwise 0."),
        Metric("health_check_duration_seconds", "histogram", ("check",), "How long the runs took."),
        Metric("health_check_total", "counter", ("check", "result"), "Runs by result."),
        Metric("health_check_failures_total", "counter", ("check",), "Runs that found it unhealthy, or got no answer."),
        Metric("health_check_age_seconds", "gauge", ("check",), "Age of the last result."),
        Metric("disk_free_ratio", "gauge", ("check",), "Free share of the file system that a disk check looks at."),
        Metric("memory_used_ratio", "gauge", ("check",), "Used share of the memory that a memory check looks at."),
        # processes and programs
        Metric("supervised_process_up", "gauge", ("name",), "1 while the supervised process runs."),
        Metric("supervised_process_state", "gauge", ("name", "state"), "1 for the state the process is in."),
        Metric("supervised_process_restarts_total", "counter", ("name",), "Restarts of the process."),
        Metric("program_workers", "gauge", ("name",), "Workers of the program that are linked at present."),
    )
}
