"""Every event in words: one sentence or two, the same everywhere."""

import pytest

from seawall.events.journal import Entry
from seawall.events.types import (
    EVENTS,
    CallFailed,
    CallRejected,
    CallShadowed,
    CallSlow,
    CallTimedOut,
    CheckChanged,
    CircuitClosed,
    CircuitForced,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitReleased,
    FallbackUsed,
    OverrideEnded,
    OverrideSet,
    ProcessExited,
    ProcessStarted,
    ProgramLinked,
    ProgramLost,
    RetryGaveUp,
    RetryScheduled,
)
from seawall.events.words import causes, describe, seconds, why

RUN = {"rule": "consecutive_failures", "failures": 5, "causes": {"503": 1, "ConnectError": 4}}


def rejected(reason, retry_after=None):
    return CallRejected(1, 0.0, "db", "some_policy", reason, retry_after, {})


SENTENCES = [
    (
        OverrideSet(1, 0.0, "db", "Changes(attempts=1)", "ann", "slow", 60.0),
        '"db" overridden for 60 s by ann: slow (Changes(attempts=1)).',
    ),
    (
        OverrideSet(1, 0.0, "db", "Changes(attempts=1)", "ann", "slow", None),
        '"db" overridden until lifted by ann: slow (Changes(attempts=1)).',
    ),
    (OverrideEnded(2, 0.0, "db", "ann", "expired"), 'Override of "db" by ann ended (expired).'),
    (
        CallShadowed(1, 0.0, "db", "bulkhead", "full", None, {}),
        'Call to "db" would have been rejected: all slots are in use and nobody may wait; in shadow mode it went on.',
    ),
    (
        CircuitOpened(1, 0.0, "db", "tripped", 30.0, RUN),
        'Circuit "db" opened: 5 calls in a row failed (4 × ConnectError, 1 × 503). Next trial in 30 s.',
    ),
    (  # as another version may report it
        CircuitOpened(1, 0.0, "db", "tripped", 30.0, {"rule": "failure_rate", "calls": 4, "failures": 3}),
        'Circuit "db" opened: 3 of 4 calls failed. Next trial in 30 s.',
    ),
    (
        CircuitOpened(1, 0.0, "db", "trial_failed", 30.0, {"calls": 4, "failures": 2, "slow": 1, "causes": {"E": 2}}),
        'Circuit "db" opened: 3 of 4 trial calls failed (2 × E). Next trial in 30 s.',
    ),
    (
        CircuitOpened(1, 0.0, "db", "tripped", 30.0, {}),
        'Circuit "db" opened: its trip rule was met. Next trial in 30 s.',
    ),
    (
        CircuitOpened(1, 0.0, "db", "trial_failed", 60.0, {"causes": {"503": 1}}),
        'Circuit "db" opened: a trial call failed (1 × 503). Next trial in 60 s.',
    ),
    (
        CircuitOpened(1, 0.0, "db", "trial_failed", 60.0, {}),
        'Circuit "db" opened: a trial call failed. Next trial in 60 s.',
    ),
    (
        CircuitOpened(1, 0.0, "db", "lease_ended", 0.5, {}),
        'Circuit "db" opened: a trial call did not return within its lease. Next trial in 0.5 s.',
    ),
    (CircuitOpened(1, 0.0, "db", "manual", 30.0, {}), 'Circuit "db" opened: opened by hand. Next trial in 30 s.'),
    (
        CircuitHalfOpened(1, 0.0, "db", "timeout", 3),
        'Circuit "db" half-open: the open period is over; up to 3 trial calls at once.',
    ),
    (
        CircuitHalfOpened(1, 0.0, "db", "manual", 1),
        'Circuit "db" half-open: forced by hand; up to 1 trial call at once.',
    ),
    (
        CircuitClosed(1, 0.0, "db", "trials_succeeded", 240.0),
        'Circuit "db" closed: trial calls succeeded, after 4 min.',
    ),
    (CircuitClosed(1, 0.0, "db", "manual", 5400.0), 'Circuit "db" closed: reset by hand, after 90 min.'),
    (
        CircuitForced(1, 0.0, "db", "open", "mia", "migration", 3600.0),
        'Circuit "db" forced open for 60 min by mia: migration.',
    ),
    (
        CircuitForced(1, 0.0, "db", "disabled", "mia", "test", None),
        'Circuit "db" disabled until released by mia: test.',
    ),
    (
        CircuitReleased(1, 0.0, "db", "closed", "mia", "expired"),
        'Circuit "db" released (expired); it is closed now. Pinned by mia.',
    ),
    (rejected("open", 28.0), 'Call to "db" rejected: circuit open for another 28 s; nothing was sent.'),
    (
        rejected("trials_busy"),
        'Call to "db" rejected: circuit half-open and all trial calls are out; nothing was sent.',
    ),
    (rejected("forced_open"), 'Call to "db" rejected: circuit forced open; nothing was sent.'),
    (rejected("empty", 0.25), 'Call to "db" rejected: rate limit reached for another 0.25 s; nothing was sent.'),
    (
        rejected("throttled", 7.0),
        'Call to "db" rejected: the dependency asked for a pause for another 7 s; nothing was sent.',
    ),
    (rejected("full"), 'Call to "db" rejected: all slots are in use and nobody may wait; nothing was sent.'),
    (rejected("queue_full"), 'Call to "db" rejected: all slots and all waiting places are taken; nothing was sent.'),
    (rejected("waited"), 'Call to "db" rejected: no slot became free within the maximum wait; nothing was sent.'),
    (rejected("deadline"), 'Call to "db" rejected: the deadline had passed; nothing was sent.'),
    (rejected("workers"), 'Call to "db" rejected: all worker threads for timeouts are taken; nothing was sent.'),
    (rejected("sun spots"), 'Call to "db" rejected: sun spots; nothing was sent.'),
    (
        RetryScheduled(1, 0.0, "db", 2, 0.05, "503"),
        'Attempt 2 of "db" failed (503); the next one starts in 50 ms.',
    ),
    (
        RetryGaveUp(1, 0.0, "db", 1, "not_retryable", "KeyError"),
        '"db" gave up after 1 attempt (not retryable): KeyError.',
    ),
    (RetryGaveUp(1, 0.0, "db", 3, "attempts", "503"), '"db" gave up after 3 attempts (attempts): 503.'),
    (CallTimedOut(1, 0.0, "db", "timeout", 5.0), 'Call to "db" cut short by its timeout of 5 s.'),
    (CallFailed(1, 0.0, "db", "failure", "503", 0.12), 'Call to "db" failed after 0.12 s: 503.'),
    (
        CallSlow(1, 0.0, "db", 0.9, 0.5, "timeout"),
        'Call to "db" succeeded and was slow: 0.9 s, over half of its timeout, a limit of 0.5 s.',
    ),
    (
        CallSlow(1, 0.0, "db", 0.9, 0.5, "slow_rate"),
        'Call to "db" succeeded and was slow: 0.9 s, over the slow-rate threshold of 0.5 s.',
    ),
    (FallbackUsed(1, 0.0, "db", "value", "503"), '"db" answered by its fallback (value) because of 503.'),
    (CheckChanged(1, 0.0, "db", "healthy", "critical", ""), 'Check "db" went from healthy to critical.'),
    (
        CheckChanged(1, 0.0, "db", "healthy", "critical", "no answer"),
        'Check "db" went from healthy to critical: no answer.',
    ),
    (ProcessStarted(1, 0.0, "web", 42, 1), 'Process "web" started with pid 42.'),
    (ProcessStarted(1, 0.0, "web", 42, 3), 'Process "web" started with pid 42, attempt 3.'),
    (
        ProcessExited(1, 0.0, "web", 42, "exit code 1", 9.0, 2.0),
        'Process "web" (pid 42) ended after 9 s: exit code 1. Restart in 2 s.',
    ),
    (
        ProcessExited(1, 0.0, "web", 42, "exit code 0", 7300.0, None),
        'Process "web" (pid 42) ended after 2.03 h: exit code 0. It is not restarted.',
    ),
    (ProgramLinked(1, 0.0, "shop", 42, "w1"), 'Program "shop" (pid 42) linked to the daemon.'),
    (
        ProgramLost(1, 0.0, "shop", 42, "w1", "it ended"),
        'Program "shop" (pid 42) lost its link to the daemon: it ended.',
    ),
]


@pytest.mark.parametrize(
    "event, sentence", SENTENCES, ids=[f"{type(e).__name__}-{n}" for n, (e, _) in enumerate(SENTENCES)]
)
def test_an_event_reads_as_a_sentence(event, sentence):
    """R-PL4"""
    assert describe(event) == sentence
    assert str(Entry(0.0, "", event)) == sentence


def test_every_kind_of_event_has_its_sentence_here():
    assert {type(event) for event, _ in SENTENCES} == set(EVENTS.values())


@pytest.mark.parametrize(
    "value, words",
    [
        (None, "an unknown time"),
        (0.0, "0 ms"),
        (0.0994, "99 ms"),
        (0.25, "0.25 s"),
        (1.0, "1 s"),
        (9.94, "9.9 s"),
        (28.4, "28 s"),
        (119.0, "119 s"),
        (240.0, "4 min"),
        (5400.0, "90 min"),
        (86400.0, "24 h"),
    ],
)
def test_a_duration_reads_as_people_write_it(value, words):
    assert seconds(value) == words


def test_causes_are_named_by_how_often_they_occurred_and_then_by_name():
    assert causes({"b": 1, "a": 1, "c": 7}) == "7 × c, 1 × a, 1 × b"


@pytest.mark.parametrize(
    "evidence, clause",
    [
        ({"rule": "consecutive_failures", "failures": 1}, "a call failed"),
        ({"rule": "consecutive_failures", "failures": 3}, "3 calls in a row failed"),
        ({"rule": "failure_count", "failures": 5, "window": 60.0}, "5 calls failed within 60 s"),
        ({"rule": "failure_rate", "failures": 6, "calls": 10, "window": 30.0}, "6 of 10 calls failed in 30 s"),
        ({"rule": "failure_rate", "failures": 6, "calls": 10, "window": None}, "6 of 10 calls failed"),
        ({"rule": "slow_rate", "failures": 0, "slow": 9, "calls": 10, "window": None}, "9 of 10 calls were slow"),
        ({}, ""),
    ],
)
def test_the_evidence_of_a_trip_reads_as_a_clause(evidence, clause):
    assert why(evidence) == clause
    if clause:
        assert why({**evidence, "causes": {"503": 2}}) == f"{clause} (2 × 503)"


def test_an_observed_circuit_and_a_refusal_of_its_ramp_are_told():
    """R-CB1 R-CB4"""
    held = CircuitForced(1, 0.0, "db", "observe", "mia", "too strict?", 60.0)
    assert describe(held) == 'Circuit "db" observed only for 60 s by mia: too strict?.'
    ramp = CallRejected(1, 0.0, "db", "circuit_breaker", "ramp", 5.0, {})
    assert describe(ramp) == (
        'Call to "db" rejected: circuit closed again and still letting calls through by degrees for another 5 s; '
        "nothing was sent."
    )
    opened = CircuitOpened(1, 0.0, "db", "half_open_ended", 30.0, {})
    assert describe(opened) == 'Circuit "db" opened: its trial calls did not settle it in time. Next trial in 30 s.'
