"""Policies that decorate alone."""

import gc

import pytest

from seawall import Bulkhead, CircuitBreaker, ConfigurationError, default_registry
from seawall.testing import Recorder


@pytest.fixture(autouse=True)
def alone():
    with default_registry.isolated():
        yield


def test_a_decorated_closure_takes_its_policy_along_when_it_goes():
    for _ in range(100):

        @CircuitBreaker(5)
        def work():
            return 1

        work()
    gc.collect()
    assert len(default_registry.policies()) == 1


def test_a_second_policy_of_one_name_gets_a_number_in_its_events_too():
    first, second = CircuitBreaker(1, name="x"), CircuitBreaker(1, name="x")
    kept: list[object] = [policy(int) for policy in (first, second)]
    with Recorder() as recorder:
        second.trip()
    assert [event.name for event in recorder.events] == ["x-2"]
    assert default_registry.circuit("x-2") is second
    assert len(kept) == 2


def test_a_queue_in_which_nobody_could_wait_is_refused():
    with pytest.raises(ConfigurationError, match=r"Bulkhead.queue = 50: with max_wait = 0"):
        Bulkhead(10, queue=50)
