"""When a trial can be had: what the timer of a probe waits for."""

import pytest

from seawall.machines.breaker import Breaker
from seawall.machines.breaker_options import BreakerOptions, Forced
from seawall.machines.trip import ConsecutiveFailures


@pytest.fixture
def machine():
    return Breaker("db", BreakerOptions((ConsecutiveFailures(1),), recovery_timeout=30.0))


def test_a_closed_circuit_has_nothing_to_try(machine):
    """R-CB3"""
    assert machine.trial_at(5.0) is None


def test_an_open_one_can_be_tried_when_its_period_is_over(machine):
    machine.trip(5.0)
    assert machine.trial_at(6.0) == 35.0


def test_a_half_open_one_can_be_tried_now(machine):
    machine.half_open(5.0)
    assert machine.trial_at(6.0) == 6.0


def test_a_pinned_one_when_the_pin_ends_and_never_if_it_has_no_end(machine):
    machine.trip(5.0)
    machine.force(Forced("open", "ann", "test", 90.0), 6.0)
    assert machine.trial_at(7.0) == 90.0
    machine.force(Forced("open", "ann", "test", None), 8.0)
    assert machine.trial_at(9.0) is None


def test_one_that_is_only_watched_is_tried_as_if_it_were_not(machine):
    machine.trip(5.0)
    machine.force(Forced("observe", "ann", "test", 90.0), 6.0)
    assert machine.trial_at(7.0) == 35.0
