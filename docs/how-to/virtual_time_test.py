"""Tests of a program that retries for an hour, without waiting for an hour."""

import pytest

from seawall import CircuitBreaker, Pipeline, Retry
from seawall.backoff import Constant
from seawall.testing import Recorder, Scripted, virtual_time


def test_an_hour_of_backoff() -> None:
    with virtual_time() as clock:
        hourly = Pipeline("hourly", Retry(3, backoff=Constant(base=1800, cap=1800, jitter="none")))
        dependency = Scripted([ConnectionError, ConnectionError, "here at last"])
        assert hourly.call(dependency) == "here at last"
        assert clock.now() == 3600


def test_the_circuit_opens_and_closes_again() -> None:
    with virtual_time() as clock, Recorder() as recorder:
        guarded = Pipeline("guarded", CircuitBreaker(failure_threshold=2, recovery_timeout=30, success_threshold=1))
        dependency = Scripted([ConnectionError, ConnectionError, "back"])
        for _ in range(2):
            with pytest.raises(ConnectionError):
                guarded.call(dependency)
        clock.advance(30)
        assert guarded.call(dependency) == "back"
    told = [name for name in recorder.names() if name.startswith("Circuit")]
    assert told == ["CircuitOpened", "CircuitHalfOpened", "CircuitClosed"]
