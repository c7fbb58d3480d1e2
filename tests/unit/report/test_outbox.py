import json
from dataclasses import replace
from typing import Any

import pytest

from seawall.core.snapshot import HistogramData, PipelineSnapshot, PolicySnapshot, Snapshot
from seawall.events.types import (
    EVENTS,
    CallFailed,
    CallRejected,
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
    RetryGaveUp,
    RetryScheduled,
)
from seawall.report.outbox import Difference, Outbox
from seawall.report.protocol import MAX_LINE_BYTES, ProtocolError, decode, encode, number
from seawall.report.reading import REPORTED, read_entries, read_snapshot

SAMPLES: list[Any] = [
    CircuitOpened(1, 2.0, "c", "tripped", 30.0, {"rule": "consecutive_failures", "failures": 5, "causes": {"E": 5}}),
    CircuitHalfOpened(1, 2.0, "c", "timer", 3),
    CircuitClosed(1, 2.0, "c", "trials", 12.0),
    CircuitForced(1, 2.0, "c", "open", "ada", "drill", None),
    CircuitReleased(1, 2.0, "c", "closed", "ada", "expired"),
    CallRejected(1, 2.0, "c", "circuit_breaker", "open", None, {}),
    RetryScheduled(1, 2.0, "c", 1, 0.5, "E"),
    RetryGaveUp(1, 2.0, "c", 3, "attempts", "E"),
    CallTimedOut(1, 2.0, "c", "timeout", 5.0),
    CallFailed(1, 2.0, "c", "failure", "E", 0.1),
    CallSlow(1, 2.0, "c", 0.9, 0.5, "timeout"),
    OverrideSet(1, 2.0, "c", "attempts=1", "ada", "drill", None),
    OverrideEnded(1, 2.0, "c", "ada", "lifted"),
    FallbackUsed(1, 2.0, "c", "value", "E"),
]


@pytest.mark.parametrize("event", SAMPLES, ids=lambda e: type(e).__name__)
def test_every_event_that_is_reported_arrives_as_it_was(event):
    outbox = Outbox()
    outbox.add(5.0, event)
    [message] = outbox.take()
    [entry] = read_entries(decode(encode(message)), "shop/1", 10.0, "1-ab")
    assert entry == (5.0, "shop/1", event, "1-ab")


def test_the_samples_are_all_that_is_reported():
    assert {type(event) for event in SAMPLES} == REPORTED
    assert set(EVENTS.values()) > REPORTED


def test_an_entry_from_the_future_is_dated_now():
    message = {"type": "events", "entries": [{"wall": 99.0, "event": "CallTimedOut", **SAMPLES[8]._asdict()}]}
    assert read_entries(message, "s", 10.0)[0].wall == 10.0


def test_transitions_are_urgent_and_never_suppressed_and_other_events_are_rate_bounded():
    outbox = Outbox()
    assert all(outbox.add(1.0, SAMPLES[0]) for _ in range(100))
    assert not any(outbox.add(1.0, SAMPLES[9]) for _ in range(100))
    *batches, aggregate = outbox.take()
    entries = [entry for batch in batches for entry in batch["entries"]]
    assert len(entries) == 105
    assert aggregate == {"type": "aggregate", "suppressed": {"CallFailed": 95}, "dropped": 0}
    assert outbox.take() == []


def test_one_noisy_name_does_not_hide_the_others():
    outbox = Outbox()
    for _ in range(1000):
        outbox.add(1.0, SAMPLES[9])
    outbox.add(1.0, SAMPLES[9]._replace(name="quiet"))
    names = {entry["name"] for message in outbox.take() for entry in message.get("entries", ())}
    assert names == {"c", "quiet"}


def test_a_queue_that_is_full_loses_the_oldest_and_says_so():
    outbox = Outbox()
    for position in range(700):
        outbox.add(float(position), SAMPLES[0]._replace(number=position))
    *batches, aggregate = outbox.take()
    numbers = [entry["number"] for batch in batches for entry in batch["entries"]]
    assert numbers == list(range(200, 700))
    assert aggregate["dropped"] == 200


def test_what_programs_do_not_report_is_not_taken():
    outbox = Outbox()
    outbox.add(1.0, CheckChanged(1, 1.0, "c", "healthy", "unhealthy", ""))
    assert outbox.take() == []


def snapshot(count=3, **details):
    policies = tuple(
        PolicySnapshot(
            "circuit_breaker", f"c{n:04}", ("p",), "closed", {"requests.success": 1}, {"retry_after": 0.0},
            {"duration": HistogramData((1.0,), (1, 0), 0.5)}, details,
        )
        for n in range(count)
    )  # fmt: skip
    return Snapshot(7.0, (PipelineSnapshot("p", (("retry", "p"),), {"calls.success": 1}, {}),), policies)


def parts(lines):
    messages = [read_snapshot(decode(line)) for line in lines]
    return [p for m in messages for p in m.pipelines], [p for m in messages for p in m.policies]


def test_a_snapshot_goes_whole_at_first_and_then_only_what_changed():
    difference, first = Difference(), snapshot()
    pipelines, policies = parts(difference.lines(first))
    assert (tuple(pipelines), tuple(policies)) == (first.pipelines, first.policies)
    assert parts(difference.lines(replace(first, taken_at=8.0))) == ([], [])
    changed = replace(first.policies[1], state="open")
    second = replace(first, policies=(first.policies[0], changed, first.policies[2]))
    assert parts(difference.lines(second)) == ([], [changed])


def test_thousands_of_policies_are_cut_into_lines_of_bounded_length():
    lines = list(Difference().lines(snapshot(3000, reason="é" * 100)))
    assert max(map(len, lines)) < MAX_LINE_BYTES / 10
    assert len(parts(lines)[1]) == 3000


def test_thousands_of_pipelines_are_cut_too():
    pipelines = tuple(PipelineSnapshot(f"p{n:05}", (), {"calls.success": n}) for n in range(5000))
    lines = list(Difference().lines(Snapshot(1.0, pipelines)))
    assert max(map(len, lines)) < MAX_LINE_BYTES / 10
    assert tuple(parts(lines)[0]) == pipelines


def test_details_that_are_too_long_are_left_out():
    [policy] = parts(Difference().lines(snapshot(1, reason="x" * MAX_LINE_BYTES)))[1]
    assert policy.details == {}


def test_what_is_not_finite_or_no_json_harms_nobody():
    odd = replace(
        snapshot(1).policies[0], gauges={"a": float("inf"), "b": 1.0}, details={"x": object(), "y": float("nan")}
    )
    [policy] = parts(Difference().lines(Snapshot(1.0, (), (odd,))))[1]
    assert policy.gauges == {"b": 1.0}
    assert policy.details["y"] is None
    assert json.loads(encode({"type": "x", "bad": "\ud800"}))["type"] == "x"


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), -1, 10**400, []])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ProtocolError):
        number({"n": value}, "n")
