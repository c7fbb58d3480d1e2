"""Trip rules and windows against a log of everything, judged by brute force with exact arithmetic."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.machines.trip import ConsecutiveFailures
from seawall.machines.trip_windows import FailureCount, FailureRate, SlowRate
from seawall.measure.windows import CountWindow, TimeWindow
from tests.stateful.breaker_model import Seen, met

# few values, so that moments exactly one window apart come often
eighths = st.one_of(st.integers(0, 10), st.integers(0, 60)).map(lambda n: n / 8)
outcomes = st.tuples(eighths, st.booleans(), st.sampled_from([0.0, 0.5, 0.625, 2.0]))
histories = st.lists(outcomes, min_size=1, max_size=60)
few = st.integers(1, 5)
rates = st.sampled_from([0.01, 0.1, 0.25, 0.3, 1 / 3, 0.5, 0.55, 0.7, 1.0])


def at_moments(history: list[Seen]) -> list[Seen]:
    """The history with waiting times turned into moments."""
    now = 0.0
    found: list[Seen] = []
    for wait, failed, took in history:
        now += wait
        found.append((now, failed, took))
    return found


@st.composite
def rules(draw: st.DrawFn, /) -> Any:
    kind = draw(st.sampled_from(["run", "count", "rate", "slow"]))
    if kind == "run":
        return ConsecutiveFailures(draw(few))
    if kind == "count":
        return FailureCount(draw(few), draw(st.integers(1, 16)) / 8)
    least = draw(few)
    span = draw(st.one_of(st.sampled_from([{"window": 1.25}, {"window": 5.0}]), st.integers(5, 20).map(_calls)))
    if kind == "rate":
        return FailureRate(draw(rates), min_calls=least, **span)
    return SlowRate(draw(rates), 0.5, min_calls=least, **span)


def _calls(size: int) -> dict[str, int]:
    return {"calls": size}


@given(rules(), histories)
def test_a_rule_is_met_exactly_when_the_log_says_so(rule, history):
    tracker = rule.tracker()
    log: list[Seen] = []
    for seen in at_moments(history):
        log.append(seen)
        now, failed, took = seen
        evidence = tracker.add(failed, took, now)
        if isinstance(rule, FailureRate | SlowRate) and rule.rate == 1 / 3:
            continue  # no decimal says one third: judged in the test below
        assert (evidence is not None) == met(rule, log, now)


@given(st.integers(1, 100), st.integers(1, 200))
def test_a_share_that_is_reached_exactly_trips(percent, calls):
    hits = -(-percent * calls // 100)  # the least number that reaches it
    tracker = FailureRate(percent / 100, calls=calls, min_calls=calls).tracker()
    found = [tracker.add(number < hits, 0.0, 0.0) for number in range(calls)]
    assert found[-1] is not None, f"{hits} of {calls} is {percent} % or more"
    tracker = FailureRate(percent / 100, calls=calls, min_calls=calls).tracker()
    found = [tracker.add(number < hits - 1, 0.0, 0.0) for number in range(calls)]
    assert found[-1] is None, f"{hits - 1} of {calls} is less than {percent} %"


@pytest.mark.parametrize("calls, percent", [(100, 7), (20, 55), (25, 28), (3, 100)])
def test_a_share_that_floats_multiply_badly_trips_all_the_same(calls, percent):
    hits = percent * calls // 100
    tracker = FailureRate(percent / 100, calls=calls, min_calls=calls).tracker()
    found = [tracker.add(number < hits, 0.0, 0.0) for number in range(calls)]
    assert found[-1] is not None


@given(st.integers(1, 20), histories)
def test_a_count_window_holds_the_last_so_many(size, history):
    window = CountWindow(size)
    log: list[tuple[bool, bool, float]] = []
    for now, failed, took in at_moments(history):
        slow = took > 0.5
        window.add(failed, slow, took, now)
        log = [*log, (failed, slow, took)][-size:]
        counts = window.counts(now)
        assert counts.calls == len(log)
        assert counts.failures == sum(failed for failed, _, _ in log)
        assert counts.slow == sum(slow for _, slow, _ in log)
        assert counts.slow_failures == sum(failed and slow for failed, slow, _ in log)
        assert counts.duration == sum(took for _, _, took in log)


@given(st.sampled_from([(1.25, 10), (5.0, 10), (5.0, 5), (1.0, 1), (0.5, 4)]), histories, eighths)
def test_a_time_window_holds_the_buckets_that_reach_into_it(shape, history, later):
    length, buckets = shape
    width = Fraction(length) / buckets
    window = TimeWindow(length, buckets)
    log: list[Seen] = []
    for now, failed, took in at_moments(history):
        window.add(failed, False, took, now)
        log.append((now, failed, took))
    now += later
    inside = [seen for seen in log if Fraction(seen[0]) // width > Fraction(now) // width - buckets]
    counts = window.counts(now)
    assert (counts.calls, counts.failures) == (len(inside), sum(failed for _, failed, _ in inside))
    for at, _, _ in log:  # and so every outcome stays for its time and no longer
        kept, age = Fraction(at) // width > Fraction(now) // width - buckets, Fraction(now) - Fraction(at)
        assert kept or age > length - width
        assert not kept or age < length


@given(st.lists(st.tuples(st.integers(-30, 30).map(lambda n: n / 8), st.booleans()), min_size=1, max_size=40))
def test_a_clock_that_goes_back_loses_no_outcome_and_keeps_none_for_ever(steps):
    window, now, latest = TimeWindow(1.25), 100.0, 100.0
    for by, failed in steps:
        now += by
        latest = max(latest, now)
        before = window.counts(now).calls
        window.add(failed, False, 0.0, now)
        assert window.counts(now).calls == before + 1
    assert window.counts(latest + 1.25).calls == 0
    assert len(window._buckets) <= window.buckets


@given(st.integers(0, 10**6), st.floats(0.001, 1000.0))
def test_at_any_moment_an_outcome_stays_about_its_time(n, length):
    """Moments and lengths that floats round: a bucket's edge may be off by a rounding, never by a bucket."""
    window = TimeWindow(length)
    at = n * 0.1
    window.add(True, False, 0.0, at)
    assert window.counts(at + length * 0.899).failures == 1
    assert window.counts(at + length * 1.001).failures == 0


@given(few, st.integers(1, 16), st.sampled_from([-0.125, 0.0, 0.125]))
def test_a_failure_leaves_the_count_when_it_is_exactly_as_old_as_the_window(threshold, eighth, beside):
    window = eighth / 8
    tracker = FailureCount(threshold + 1, window).tracker()
    for _ in range(threshold):
        assert tracker.add(True, 0.0, 0.0) is None
    met_now = tracker.add(True, 0.0, max(0.0, window + beside)) is not None
    assert met_now == (max(0.0, window + beside) < window)
