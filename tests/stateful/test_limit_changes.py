"""Other limits while a limit is in use: what was taken stays taken, under every algorithm (R-RL1)."""

import math
from typing import Any

import pytest

from seawall.core.permit import Ask, Parked, Permit
from seawall.core.verdict import Verdict
from seawall.machines.fixed_window import FixedWindow
from seawall.machines.gcra import Gcra
from seawall.machines.several import Several, SeveralOptions
from seawall.machines.shared import RateOptions, WindowOptions
from seawall.machines.sliding_counter import SlidingCounter
from seawall.machines.sliding_log import SlidingLog
from seawall.machines.token_bucket import TokenBucket
from seawall.machines.waiting import Line

ONE = Ask(1.0)


def of(kind: type[Line], expected: dict[Any, float]) -> float:
    """What is expected of one algorithm."""
    return expected[kind]


def rate(limit, seconds):
    return RateOptions(limit / seconds, float(limit), 100.0)


def window(limit, seconds):
    return WindowOptions(float(limit), float(seconds), 100.0)


ALGORITHMS = [
    pytest.param(TokenBucket, rate, id="token_bucket"),
    pytest.param(Gcra, rate, id="gcra"),
    pytest.param(FixedWindow, window, id="fixed_window"),
    pytest.param(SlidingCounter, window, id="sliding_counter"),
    pytest.param(SlidingLog, window, id="sliding_log"),
]


def taken(kind, options, *moments):
    """A limit of 4 in 8 s of which one was taken at each moment."""
    machine = kind("limit", options(4, 8))
    for moment in moments:
        assert isinstance(machine.acquire(ONE, moment), Permit)
    return machine


@pytest.mark.parametrize("kind, options", ALGORITHMS)
def test_what_was_taken_counts_under_a_larger_limit(kind, options):
    machine = taken(kind, options, 16.0, 16.0, 16.0)
    machine.update(options(6, 8), 16.0)
    # a bucket keeps its level; a window keeps what was counted
    assert machine.available(16.0) == pytest.approx(1.0 if options is rate else 3.0)


@pytest.mark.parametrize("kind, options", ALGORITHMS)
def test_what_was_taken_counts_under_a_smaller_limit(kind, options):
    machine = taken(kind, options, 16.0, 16.0, 16.0)
    machine.update(options(2, 8), 16.0)
    assert machine.available(16.0) == (1.0 if options is rate else -1.0)
    assert machine.lack(2.0, 16.0) == of(
        kind,
        {
            TokenBucket: 4.0,  # one token more at 2 in 8 s
            Gcra: 4.0,
            FixedWindow: 8.0,  # the next window
            SlidingCounter: 16.0,  # three in the window before leave room for nothing else
            SlidingLog: 8.0,  # the first three leave together
        },
    )


@pytest.mark.parametrize("kind, options", ALGORITHMS)
def test_what_came_before_the_change_came_at_the_old_rate(kind, options):
    machine = taken(kind, options, *[16.0] * 4)
    machine.update(options(8, 8), 20.0)
    assert machine.available(20.0) == of(
        kind,
        {
            TokenBucket: 2.0,  # four seconds at 4 in 8 s
            Gcra: 2.0,
            FixedWindow: 4.0,
            SlidingCounter: 4.0,
            SlidingLog: 4.0,
        },
    )


@pytest.mark.parametrize("kind, options", ALGORITHMS)
def test_a_shorter_window_forgets_no_call_that_still_counts(kind, options):
    machine = taken(kind, options, *[16.0] * 4)
    machine.update(options(4, 4), 17.0)
    assert machine.available(17.0) == of(kind, {
        TokenBucket: 0.5, Gcra: 0.5, FixedWindow: 0.0, SlidingCounter: 0.0, SlidingLog: 0.0,
    })  # fmt: skip
    assert machine.available(20.0) == of(kind, {
        TokenBucket: 3.5, Gcra: 3.5, FixedWindow: 4.0, SlidingCounter: 0.0, SlidingLog: 4.0,
    })  # fmt: skip


@pytest.mark.parametrize("kind, options", ALGORITHMS)
def test_those_who_wait_are_given_a_new_time_and_told(kind, options):
    machine = taken(kind, options, *[16.0] * 4)
    place = machine.enter(ONE, 16.0)
    assert isinstance(place, Parked)
    before = place.wake_at
    assert place in machine.update(options(40, 8), 16.0)
    assert before is not None
    assert place.wake_at is not None
    assert place.wake_at < before
    assert place.wake_at == of(kind, {
        TokenBucket: 16.2, Gcra: 16.2, FixedWindow: 16.0, SlidingCounter: 16.0, SlidingLog: 16.0,
    })  # fmt: skip


@pytest.mark.parametrize("kind, options", ALGORITHMS)
def test_a_reset_fills_it_and_lets_those_go_who_wait(kind, options):
    machine = taken(kind, options, *[16.0] * 4)
    place = machine.enter(ONE, 16.0)
    assert isinstance(place, Parked)
    assert machine.reset(17.0) == [place]
    assert place.wake_at == 17.0
    assert isinstance(machine.claim(place, 17.0), Permit)
    assert machine.available(17.0) == 3.0
    assert machine.capacity == 4.0


@pytest.mark.parametrize("kind, options", ALGORITHMS)
def test_a_child_of_a_fork_keeps_what_was_sent_and_forgets_who_waited(kind, options):
    machine = taken(kind, options, *[16.0] * 3)
    permit = machine.acquire(ONE, 16.0)
    machine.enter(ONE, 16.0)
    machine.renew()
    assert machine.available(16.0) == 0.0
    assert not machine.waiting
    assert isinstance(permit, Permit)
    machine.record(permit, Verdict.UNSENT, 0.0, 16.0)
    assert machine.available(16.0) == 0.0  # of another era: it was the parent's
    assert machine.stale_results == 1


def test_several_limits_change_together():
    parts = (window(4, 8), window(6, 16))
    machine = Several("limit", [FixedWindow("a", parts[0]), SlidingLog("b", parts[1])], 100.0)
    for _ in range(3):
        assert isinstance(machine.acquire(ONE, 16.0), Permit)
    assert (machine.available(16.0), machine.capacity) == (1.0, 4.0)
    machine.update(SeveralOptions((window(10, 8), window(5, 16)), 100.0), 16.0)
    assert (machine.available(16.0), machine.capacity) == (2.0, 5.0)
    assert machine.lack(3.0, 16.0) == 16.0
    refused = machine.acquire(Ask(3.0), 16.0)
    assert not isinstance(refused, Permit)
    assert refused.evidence is not None
    assert refused.evidence["binding"] == "b"
    assert machine.reset(16.0) == []
    assert machine.available(16.0) == 5.0


@pytest.mark.parametrize("kind, options", ALGORITHMS)
def test_a_cost_above_the_capacity_can_never_be_paid(kind, options):
    assert kind("limit", options(4, 8)).lack(5.0, 0.0) == math.inf
