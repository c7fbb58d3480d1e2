"""Laws of all rate limits, whatever the algorithm, in floating point and at any rate."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seawall.core.permit import Ask, Parked, Permit, Rejection
from seawall.core.verdict import Verdict
from seawall.machines.fixed_window import FixedWindow
from seawall.machines.gcra import Gcra
from seawall.machines.several import Several
from seawall.machines.shared import RateOptions, WindowOptions
from seawall.machines.sliding_counter import SlidingCounter
from seawall.machines.sliding_log import SlidingLog
from seawall.machines.token_bucket import TokenBucket

HOLDS = 5.0


def made(kind, rate, max_wait=0.0):
    """A limit of so many per second that holds five."""
    drip, window = RateOptions(rate, HOLDS, max_wait), WindowOptions(HOLDS, HOLDS / rate, max_wait)
    match kind:
        case "token_bucket":
            return TokenBucket("x", drip)
        case "gcra":
            return Gcra("x", drip)
        case "sliding_log":
            return SlidingLog("x", window)
        case "sliding_counter":
            return SlidingCounter("x", window)
        case "fixed_window":
            return FixedWindow("x", window)
    other = WindowOptions(HOLDS * 3, HOLDS * 4 / rate, max_wait)
    return Several("x", [TokenBucket("a", drip), SlidingLog("b", other), FixedWindow("c", other)], max_wait)


KINDS = ["token_bucket", "gcra", "sliding_log", "sliding_counter", "fixed_window", "several"]
rates = st.floats(1e-3, 1e4)
starts = st.floats(0.0, 1e7)
costs = st.floats(0.01, HOLDS)
steps = st.lists(
    st.tuples(st.floats(0.0, 3.0), costs, st.one_of(st.none(), st.floats(0.0, 100.0)), st.booleans()), min_size=1
)


@pytest.mark.parametrize("kind", KINDS)
@given(rate=rates, asks=steps, now=starts)
def test_the_wait_it_names_always_suffices(kind, rate, asks, now):
    """R-RL1"""
    limit = made(kind, rate)
    for wait, cost, hint, unsent in asks:
        now += wait / rate
        granted = limit.acquire(Ask(cost=cost), now)
        if isinstance(granted, Rejection):
            assert granted.retry_after is not None
            assert 0 < granted.retry_after < math.inf
            now += granted.retry_after
            granted = limit.acquire(Ask(cost=cost), now)
        assert isinstance(granted, Permit), granted
        verdict = Verdict.UNSENT if unsent else Verdict.THROTTLED if hint is not None else Verdict.SUCCESS
        limit.record(granted, verdict, 0.0, now, retry_after=hint)


@pytest.mark.parametrize("kind", KINDS)
@given(rate=rates, asks=st.lists(st.tuples(st.floats(0.0, 3.0), costs), min_size=1, max_size=40), now=starts)
def test_no_window_sees_more_than_the_limit_allows(kind, rate, asks, now):
    """R-RL1"""
    limit = made(kind, rate, max_wait=math.inf)
    went: list[tuple[float, float]] = []
    for wait, cost in asks:
        now += wait / rate
        granted = limit.enter(Ask(cost=cost), now)
        at = granted.wake_at if isinstance(granted, Parked) else now
        assert not isinstance(granted, Rejection)
        assert at is not None
        went.append((at, cost))
    window = HOLDS / rate
    # a fixed window allows twice its number around a boundary, the counter's guess as much at worst
    # and a bucket its burst and what comes in the meantime
    most = HOLDS if kind == "sliding_log" else 2 * HOLDS
    slack = 1e-6 * window + 16 * math.ulp(went[-1][0])
    for begin, _ in went:
        assert sum(cost for at, cost in went if begin <= at < begin + window - slack) <= most + 1e-6


@pytest.mark.parametrize("kind", KINDS)
@given(rate=rates, asks=st.lists(costs, min_size=2, max_size=20), back=st.integers(1, 5000))
@example(rate=2056.875, asks=[1.0, 5.0] * 4, back=3770)  # the sum of two floats falls just short of a window's end
@example(rate=1.8125, asks=[1.0, 1.0, 4.0, 2.0, 4.0, 2.0, 4.0, 2.0], back=4400)
def test_after_a_step_back_of_the_clock_it_refuses_no_longer_than_before(kind, rate, asks, back):
    """R-RL1"""
    limit = made(kind, rate)
    now = 10_000.0
    for cost in asks:
        granted = limit.acquire(Ask(cost=cost), now)
        if isinstance(granted, Rejection):
            now -= back
            again = limit.acquire(Ask(cost=cost), now)
            assert granted.retry_after is not None
            if isinstance(again, Permit):  # the wait was less than a float could tell on the one clock or the other
                assert granted.retry_after < 1e-6
                continue
            assert again.retry_after is not None
            assert abs(again.retry_after - granted.retry_after) < 1e-6
            now += again.retry_after
            assert isinstance(limit.acquire(Ask(cost=cost), now), Permit)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pause_the_dependency_asked_for_is_never_shortened(kind):
    """R-RL1"""
    limit = made(kind, 1.0)
    first, second = limit.acquire(Ask(), 0.0), limit.acquire(Ask(), 0.0)
    limit.record(first, Verdict.THROTTLED, 0.0, 0.0, retry_after=10.0)
    limit.record(second, Verdict.THROTTLED, 0.0, 1.0, retry_after=2.0)
    refused = limit.acquire(Ask(), 5.0)
    assert (refused.reason, refused.retry_after) == ("throttled", 5.0)
    assert isinstance(limit.acquire(Ask(), 10.0), Permit)


@pytest.mark.parametrize("kind", KINDS)
def test_one_who_leaves_the_line_moves_up_those_behind_and_nobody_else(kind):
    """R-RL1"""
    limit = made(kind, 1.0, max_wait=1000.0)
    for _ in range(5):
        assert isinstance(limit.enter(Ask(), 0.0), Permit)
    places = [limit.enter(Ask(cost=2.5), 0.0) for _ in range(6)]
    before = [place.wake_at for place in places]
    assert limit.abandon(places[2], 0.0) == places[3:]
    assert [place.wake_at for place in places[:2]] == before[:2]
    assert [place.wake_at for place in places[3:]] == before[2:-1]
    assert limit.abandon(places[2], 0.0) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_was_never_sent_gives_its_tokens_to_who_waits(kind):
    """R-RL1"""
    limit = made(kind, 1.0, max_wait=1000.0)
    whole = limit.enter(Ask(cost=HOLDS), 0.0)
    place = limit.enter(Ask(cost=HOLDS), 0.0)
    assert isinstance(place, Parked)
    assert limit.record(whole, Verdict.UNSENT, 0.0, 0.0) == [place]
    assert place.wake_at == 0.0
    assert isinstance(limit.claim(place, 0.0), Permit)
    assert limit.counts == {"allowed": 1, "rejected": 0}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fork_forgets_who_waits_and_what_they_booked(kind):
    """R-RL1"""
    limit = made(kind, 1.0, max_wait=1000.0)
    permit = limit.enter(Ask(cost=HOLDS), 0.0)
    limit.enter(Ask(cost=HOLDS), 0.0)
    limit.renew()
    assert not limit.waiting
    assert limit.available(0.0) == 0.0
    limit.record(permit, Verdict.UNSENT, 0.0, 0.0)
    assert limit.stale_results == 1


def test_of_several_limits_the_one_that_binds_is_named_and_none_is_charged_for_a_refusal():
    """R-RL1"""
    parts = [TokenBucket("10/second", RateOptions(10.0, 10.0)), SlidingLog("12/minute", WindowOptions(12.0, 60.0))]
    limit = Several("x", parts)
    for _ in range(10):
        assert isinstance(limit.acquire(Ask(), 0.0), Permit)
    first = limit.acquire(Ask(), 0.0)
    assert isinstance(first, Rejection)
    assert first.evidence is not None
    assert first.evidence["binding"] == "10/second"
    assert first.retry_after == pytest.approx(0.1)
    for _ in range(2):
        assert isinstance(limit.acquire(Ask(), 1.0), Permit)
    second = limit.acquire(Ask(), 1.0)
    assert isinstance(second, Rejection)
    assert second.evidence is not None
    assert (second.evidence["binding"], second.retry_after) == ("12/minute", 59.0)
    assert [part._level(1.0) for part in parts] == [8.0, 0.0]
