"""One outage from beginning to end, as people see it: events, log, journal, counters."""

import logging

import pytest

from seawall import CircuitBreaker, Pipeline, Registry, Retry
from seawall.backoff import Constant
from seawall.testing import Recorder, Scripted, virtual_time


def outage(registry, clock):
    """Two failed calls, a pause, a failed trial, a pause, and good ones again."""
    retry = Retry(2, backoff=Constant(base=1.0, jitter="none"))
    breaker = CircuitBreaker(4, recovery_timeout=30.0, success_threshold=1)
    pipeline = Pipeline("db", retry, breaker, registry=registry)
    down, up = Scripted([ConnectionError("secret-argument")]), Scripted(["fine"])
    pipeline.call_outcome(down, "secret-argument")
    pipeline.call_outcome(down, "secret-argument")
    pipeline.call_outcome(down, "secret-argument")
    clock.advance(30.0)
    pipeline.call_outcome(down)
    clock.advance(30.0)
    pipeline.call(up)
    pipeline.call(up)
    return pipeline


def test_an_outage_reads_as_a_story():
    """R-PL4, R-PL6"""
    with virtual_time() as clock:
        registry = Registry()
        with Recorder(registry.bus):
            outage(registry, clock)
        story = [str(entry) for entry in registry.bus.journal]
    attempt = [
        'Call to "db" failed after 0 ms: ConnectionError.',
        'Attempt 1 of "db" failed (ConnectionError); the next one starts in 1 s.',
        'Call to "db" failed after 0 ms: ConnectionError.',
    ]
    assert story == [
        *attempt,
        '"db" gave up after 2 attempts (attempts): ConnectionError.',
        *attempt,
        'Circuit "db" opened: 4 calls in a row failed (4 × ConnectionError). Next trial in 30 s.',
        '"db" gave up after 2 attempts (attempts): ConnectionError.',
        'Call to "db" rejected: circuit open for another 30 s; nothing was sent.',
        'Circuit "db" half-open: the open period is over; up to 3 trial calls at once.',
        'Call to "db" failed after 0 ms: ConnectionError.',
        'Circuit "db" opened: a trial call failed (1 × ConnectionError). Next trial in 30 s.',
        'Attempt 1 of "db" failed (ConnectionError); the next one starts in 1 s.',
        'Call to "db" rejected: circuit open for another 29 s; nothing was sent.',
        '"db" gave up after 2 attempts (attempts): CircuitOpenError.',
        'Circuit "db" half-open: the open period is over; up to 3 trial calls at once.',
        'Circuit "db" closed: trial calls succeeded, after 61 s.',
    ]


def test_the_log_has_one_warning_for_each_transition_and_no_arguments(caplog):
    """R-PL6"""
    with virtual_time() as clock, caplog.at_level(logging.DEBUG, "seawall"):
        outage(Registry(), clock)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.split(":")[0] for line in warnings] == [
        'Circuit "db" opened',
        'Circuit "db" half-open',
        'Circuit "db" opened',
        'Circuit "db" half-open',
        'Circuit "db" closed',
    ]
    assert all("explain: seawall explain t-" in line for line in warnings)
    others = [record.levelname for record in caplog.records if record.levelno != logging.WARNING]
    assert sorted(others) == ["DEBUG"] * 3 + ["INFO"] * 3, "each retry at DEBUG, each call that failed for good once"
    assert {record.name for record in caplog.records} == {"seawall"}
    assert "secret-argument" not in caplog.text


def test_the_counters_add_up():
    """R-PL2, R-PL4"""
    with virtual_time() as clock:
        registry = Registry()
        pipeline = outage(registry, clock)
        calls = pipeline.snapshot().counters
        assert (calls["calls.success"], calls["calls.failure"], calls["calls.rejected"]) == (2, 3, 1)
        breaker = registry.circuit("db").snapshot().counters
        assert (breaker["requests.success"], breaker["requests.failure"], breaker["requests.rejected"]) == (2, 5, 2)
        assert breaker["state_changes.closed.open"] == 1
        assert breaker["state_changes.half-open.open"] == 1
        assert breaker["state_changes.half-open.closed"] == 1
        assert sum(count for _, count in registry.bus.journal.successes()) == 2


def test_the_numbers_of_one_policys_events_have_no_gaps():
    """R-PL4"""
    with virtual_time() as clock:
        registry = Registry()
        outage(registry, clock)
        numbers: dict[str, list[int]] = {}
        for entry in registry.bus.journal:
            kind = type(entry.event).__name__
            source = "retry" if kind.startswith("Retry") else "pipeline" if kind == "CallFailed" else "breaker"
            numbers.setdefault(source, []).append(entry.event.number)
    assert {source: found == list(range(1, len(found) + 1)) for source, found in numbers.items()} == dict.fromkeys(
        ("retry", "pipeline", "breaker"), True
    )


@pytest.mark.parametrize("trouble", ["raises", "reenters"])
def test_a_listener_in_trouble_changes_nothing(trouble):
    """R-PL4, R-CB5"""
    with virtual_time() as clock:
        registry = Registry()

        def listener(event):
            if trouble == "raises":
                raise RuntimeError("listener")
            pipeline = registry.pipeline("db")
            assert registry.circuit("db").state in {"closed", "open", "half-open"}
            pipeline.explain()
            registry.snapshot()

        registry.bus.listen(listener)
        outage(registry, clock)
        assert registry.bus.listener_errors == (len(registry.bus.journal) if trouble == "raises" else 0)
        assert registry.circuit("db").state == "closed"
