"""Candidates beside the live policies count and tell, and cannot touch a call."""

import pytest

from seawall import (
    Bulkhead,
    CircuitBreaker,
    ConfigurationError,
    Manager,
    RateLimiter,
    RejectedError,
    Retry,
    Timeout,
)
from seawall.backoff import Constant
from seawall.events.types import CallRejected, CallShadowed
from seawall.testing import Scripted, run_async, virtual_time


def calls(pipeline, colour, times, script=(1,)):
    """Make calls; what became of each, in a word."""
    found = []
    dependency = Scripted(script)
    for _ in range(times):
        if colour == "sync":
            outcome = pipeline.call_outcome(dependency)
        else:
            outcome = run_async(pipeline.acall_outcome(dependency.acall))
        found.append("fine" if outcome.error is None else type(outcome.error).__name__)
    return found


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_stricter_candidate_tells_what_it_would_have_refused_and_refuses_nothing(colour):
    """R-PL3"""
    with virtual_time() as clock:
        manager = Manager()
        candidate = RateLimiter("1/second", burst=2)
        pipeline = manager.add("db", CircuitBreaker(9), shadow=[candidate])
        assert calls(pipeline, colour, 5) == ["fine"] * 5
        assert clock.now() == 0.0, "nothing waited"
        told = [entry.event for entry in manager.registry.bus.journal]
    assert [type(event) for event in told] == [CallShadowed] * 3
    assert {event.name for event in told} == {"db-shadow"}
    assert candidate.snapshot().counters["requests.shadow_rejected"] == 3
    assert candidate.snapshot().details["options"]["shadow"] is True


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_candidate_circuit_opens_on_real_failures_and_the_live_one_does_not(colour):
    """R-PL3"""
    with virtual_time():
        manager = Manager()
        strict = CircuitBreaker(2, recovery_timeout=30.0)
        live = CircuitBreaker(50)
        pipeline = manager.add("db", live, shadow=[strict])
        assert calls(pipeline, colour, 5, [ConnectionError]) == ["ConnectionError"] * 5
        snapshot = manager.snapshot()
    found = {one.name: one for one in snapshot.policies}
    assert found["db"].state == "closed"
    assert found["db-shadow"].state == "observe"
    assert found["db-shadow"].details["below"] == "open"
    assert found["db-shadow"].counters["requests.shadow_rejected"] == 3


def test_a_candidate_sees_every_attempt_of_a_retry():
    """R-PL3"""
    with virtual_time():
        manager = Manager()
        candidate = CircuitBreaker(9)
        retry = Retry(3, backoff=Constant(base=1.0, jitter="none"))
        pipeline = manager.add("db", retry, CircuitBreaker(9), Timeout(5.0, mode="cooperative"), shadow=[candidate])
        assert calls(pipeline, "sync", 1, [(0.5, ConnectionError), (0.25, 1)]) == ["fine"]
        counts = candidate.snapshot()
    assert (counts.counters["requests.failure"], counts.counters["requests.success"]) == (1, 1)
    assert counts.histograms["duration"].total == pytest.approx(0.75)


def test_what_the_live_policies_refuse_counts_for_a_candidate_as_unsent():
    """R-PL3"""
    with virtual_time():
        manager = Manager()
        live, candidate = CircuitBreaker(1), CircuitBreaker(3)
        pipeline = manager.add("db", live, shadow=[candidate])
        assert calls(pipeline, "sync", 4, [ConnectionError])[1:] == ["CircuitOpenError"] * 3
        assert candidate.snapshot().counters["requests.failure"] == 1
        rejected = [entry for entry in manager.registry.bus.journal if isinstance(entry.event, CallRejected)]
    assert len(rejected) == 3


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_an_error_in_a_candidate_never_reaches_the_call_and_is_counted(colour):
    """R-PL3"""

    def broken(*args):
        raise KeyError("no such argument")

    with virtual_time():
        manager = Manager()
        pipeline = manager.add("db", Bulkhead(3), shadow=[CircuitBreaker(3, key=broken), RateLimiter("9/second")])
        assert calls(pipeline, colour, 4) == ["fine"] * 4
        assert pipeline.snapshot().counters["shadow.errors"] == 4
        assert pipeline.shadow[1].snapshot().counters["requests.allowed"] == 4


def test_a_full_candidate_bulkhead_neither_queues_nor_keeps_slots():
    """R-PL3"""
    with virtual_time():
        manager = Manager()
        candidate = Bulkhead(1, queue=5, max_wait=None)
        pipeline = manager.add("db", Bulkhead(9), shadow=[candidate])
        assert pipeline.call(lambda: pipeline.call(lambda: pipeline.call(int))) == 0
        gauges = candidate.snapshot().gauges
    assert (gauges["in_flight"], gauges["queued"]) == (0, 0)


@pytest.mark.parametrize(
    "shadow, says",
    [
        (lambda: [Retry(2)], "Retry decides on no admission"),
        (lambda: [Bulkhead(1), CircuitBreaker(1)], "stands inside Bulkhead"),
        (lambda: ["breaker"], "is not a policy"),
    ],
)
def test_what_cannot_be_a_candidate_is_refused(shadow, says):
    """R-PL3"""
    with pytest.raises(ConfigurationError, match=says):
        Manager().add("db", CircuitBreaker(3), shadow=shadow())


def test_a_live_policy_cannot_become_a_candidate_elsewhere():
    """R-PL3"""
    manager = Manager()
    live = CircuitBreaker(1)
    manager.add("db", live)
    with pytest.raises(ConfigurationError, match="is in use elsewhere"):
        manager.add("other", CircuitBreaker(3), shadow=[live])
    live.trip()
    with pytest.raises(RejectedError):
        manager.pipeline("db").call(int)


def test_a_pipeline_of_candidates_only_lets_everything_through():
    """R-PL3"""
    with virtual_time():
        pipeline = Manager().add("db", shadow=[RateLimiter("1/second", burst=1)])
        assert calls(pipeline, "sync", 3) == ["fine"] * 3
