"""How a circuit finds its way back: growing periods, hints, trials by rate, ramps, ends of half-open."""

from typing import Any

import pytest

from seawall import CircuitBreaker, CircuitOpenError, Pipeline, SlowRate
from seawall.testing import VirtualClock, run_both, virtual_time
from seawall.testing.run import Driven


def fail() -> None:
    raise ConnectionError


class Asks(Exception):
    """An answer that asks for a pause."""

    def __init__(self, seconds: float) -> None:
        self.retry_after = seconds


def clock_of(driven: Driven) -> VirtualClock:
    clock = driven.pipeline.clock
    assert isinstance(clock, VirtualClock)
    return clock


def attempt(driven: Driven, function: Any = fail) -> str:
    """One call; how it ended."""
    try:
        driven.call(function)
    except CircuitOpenError as refusal:
        return f"refused for {refusal.retry_after:g}"
    except Exception as error:
        return type(error).__name__
    return "fine"


def periods(driven: Driven, times: int, function: Any = fail) -> list[float]:
    """Fail the trial of each open period; how long each was."""
    [breaker] = driven.pipeline.policies
    assert isinstance(breaker, CircuitBreaker)
    found = []
    for _ in range(times):
        attempt(driven, function)
        found.append(breaker.retry_after)
        clock_of(driven).advance(breaker.retry_after)
    return found


def both(scenario: Any, **options: Any) -> Any:
    options = {"success_threshold": 1, "recovery_timeout": 10.0, **options}
    return run_both(lambda: [CircuitBreaker(1, **options)], scenario)


def test_the_open_period_doubles_up_to_its_cap_and_starts_again_once_closed():
    """R-CB3"""

    def scenario(driven):
        first = periods(driven, 5)
        return first, attempt(driven, int), periods(driven, 2)

    first, closing, again = both(scenario, growth=2.0, max_recovery_timeout=60.0)
    assert first == [10.0, 20.0, 40.0, 60.0, 60.0]
    assert closing == "fine"
    assert again == [10.0, 20.0]


def test_a_trial_that_never_returns_grows_the_period_too():
    """R-CB3"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, recovery_timeout=10.0, growth=2.0, lease=5.0, name="b")
        breaker.trip()
        clock.advance(10.0)
        breaker.acquire()
        clock.advance(5.0)
        assert breaker.state == "open"
        assert breaker.retry_after == 20.0


def test_without_growth_every_period_is_the_same():
    """R-CB3"""
    assert both(lambda driven: periods(driven, 3)) == [10.0, 10.0, 10.0]


@pytest.mark.parametrize("chance, period", [(0.0, 9.0), (0.5, 10.0), (0.75, 10.5)])
def test_jitter_spreads_the_period_around_its_base(chance, period):
    """R-CB3"""
    found = both(lambda driven: periods(driven, 2), recovery_jitter=0.1, chance=lambda: chance)
    assert found == pytest.approx([period, period])


@pytest.mark.parametrize("chance, period", [(0.0, 15.0), (0.5, 20.0), (0.75, 17.5)])
def test_jitter_at_the_cap_is_folded_back_below_it(chance, period):
    """R-CB3"""
    options = {"growth": 8.0, "max_recovery_timeout": 20.0, "recovery_jitter": 0.25, "chance": lambda: chance}
    assert both(lambda driven: periods(driven, 2), **options)[1] == pytest.approx(period)


@pytest.mark.parametrize("asked, period", [(5.0, 10.0), (42.0, 42.0), (10_000.0, 300.0)])
def test_the_circuit_stays_open_as_long_as_the_tripping_response_asks(asked, period):
    """R-CB3"""

    def asking() -> None:
        raise Asks(asked)

    assert both(lambda driven: periods(driven, 2, asking)) == [period, period]


class Answer:
    """A response, as HTTP clients give it."""

    status_code = 503
    headers = {"Retry-After": "42"}  # noqa: RUF012 - nobody changes it


def test_a_response_that_is_no_exception_hands_its_retry_after_on():
    """R-CB3"""
    assert both(lambda driven: periods(driven, 1, Answer)) == [42.0]


def test_max_open_bounds_what_a_response_may_ask_for():
    """R-CB3"""

    def asking() -> None:
        raise Asks(500.0)

    assert both(lambda driven: periods(driven, 1, asking), max_open=20.0) == [20.0]


def test_a_failure_that_does_not_trip_leaves_its_hint_behind():
    """R-CB3"""

    def scenario(driven):
        def asking() -> None:
            raise Asks(100.0)

        return attempt(driven, asking), periods(driven, 1)

    assert run_both(lambda: [CircuitBreaker(2, recovery_timeout=10.0)], scenario) == ("Asks", [10.0])


# ------------------------------------------------------------------ trials by rate


def tried(driven: Driven, ends: str) -> list[str]:
    """Trip, wait, make trials ("s", "f"); the state after each."""
    [breaker] = driven.pipeline.policies
    assert isinstance(breaker, CircuitBreaker)
    breaker.trip()
    clock_of(driven).advance(10.0)
    states = []
    for end in ends:
        attempt(driven, int if end == "s" else fail)
        states.append(breaker.state)
    return states


@pytest.mark.parametrize(
    "ends, last",
    [
        ("sss", "closed"),  # at most 2 of 5 can fail now
        ("fsss", "closed"),
        ("fsfss", "closed"),
        ("fff", "open"),  # at least 3 of 5 have failed now
        ("sfff", "open"),
        ("ssfff", "open"),
    ],
)
def test_trials_are_judged_by_their_rate_as_soon_as_it_is_settled(ends, last):
    """R-CB4"""
    options = {"half_open": "rate", "half_open_trials": 5, "half_open_failure_rate": 0.5}
    if ends == "ssfff":  # two successes and two failures leave it open until the fifth
        assert both(lambda driven: tried(driven, "ssff"), **options)[-1] == "half-open"
    states = both(lambda driven: tried(driven, ends), **options)
    assert states == ["half-open"] * (len(ends) - 1) + [last]


def test_a_failure_rate_of_trials_that_is_exactly_the_limit_opens():
    """R-CB4"""
    options = {"half_open": "rate", "half_open_trials": 4, "half_open_failure_rate": 0.5}
    assert both(lambda driven: tried(driven, "ff"), **options)[-1] == "open"
    assert both(lambda driven: tried(driven, "fsss"), **options)[-1] == "closed"


def test_no_more_trials_start_than_are_needed_for_the_judgement():
    """R-CB4"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, recovery_timeout=1.0, half_open="rate", half_open_trials=2, half_open_max_calls=5)
        breaker.trip()
        clock.advance(1.0)
        granted = [breaker.acquire() for _ in range(5)]
        assert [getattr(one, "reason", "trial") for one in granted] == ["trial"] * 2 + ["trials_busy"] * 3


def test_a_hung_trial_is_one_failure_of_many_when_judged_by_rate():
    """R-CB4"""
    from seawall import Verdict

    with virtual_time() as clock:
        breaker = CircuitBreaker(
            1, recovery_timeout=1.0, lease=5.0, half_open="rate", half_open_trials=3, half_open_max_calls=3
        )
        breaker.trip()
        clock.advance(1.0)
        hung = breaker.acquire()
        clock.advance(5.0)
        assert breaker.state == "half-open"
        for _ in range(2):
            breaker.record(breaker.acquire(), Verdict.SUCCESS, 0.0)  # type: ignore[arg-type]  # a permit: places are free
        assert breaker.state == "closed"
        breaker.record(hung, Verdict.FAILURE, 9.0)  # type: ignore[arg-type]  # the same
        assert breaker.snapshot().counters["stale_results"] == 1


def test_a_slow_trial_is_a_failed_trial_and_exactly_the_limit_is_not_slow():
    """R-CB4"""

    def scenario(driven):
        [breaker] = driven.pipeline.policies
        clock = clock_of(driven)
        states = []
        for took in (1.0, 1.125):
            breaker.trip()
            clock.advance(10.0)
            attempt(driven, lambda took=took: clock.advance(took))
            states.append(breaker.state)
        return states

    rules = [SlowRate(slower_than=1.0)]
    found = run_both(lambda: [CircuitBreaker(trip=rules, recovery_timeout=10.0, success_threshold=1)], scenario)
    assert found == ["closed", "open"]


def test_a_half_open_circuit_that_is_not_settled_in_time_opens_again():
    """R-CB4"""

    def scenario(driven):
        [breaker] = driven.pipeline.policies
        breaker.trip()
        clock_of(driven).advance(10.0)
        attempt(driven, int)
        clock_of(driven).advance(4.0)
        before = breaker.state
        clock_of(driven).advance(1.0)
        return before, breaker.state, breaker.retry_after, breaker.snapshot().details["reason"]

    found = both(scenario, success_threshold=2, max_half_open=5.0)
    assert found == ("half-open", "open", 10.0, "trial calls did not settle it in time")


# -------------------------------------------------------------------------- ramp


def test_a_ramp_lets_calls_through_by_degrees():
    """R-CB4"""

    def scenario(driven):
        tried(driven, "s")
        ends = []
        for _ in range(6):
            ends.append(attempt(driven, int))
            clock_of(driven).advance(20.0)
        return ends

    found = both(scenario, ramp=100.0, chance=lambda: 0.5)
    assert found == ["refused for 50", "refused for 30", "refused for 10", "fine", "fine", "fine"]


def test_at_the_start_of_a_ramp_a_tenth_is_let_through():
    """R-CB4"""
    found = both(lambda driven: (tried(driven, "s"), attempt(driven, int)), ramp=100.0, chance=lambda: 0.09)
    assert found == (["closed"], "fine")


def test_a_refusal_of_the_ramp_says_why_and_counts_as_rejected():
    """R-CB4 R-CB6"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, recovery_timeout=1.0, success_threshold=1, ramp=10.0, chance=lambda: 0.99)
        pipeline = Pipeline("d", breaker, registry=None)
        breaker.trip()
        clock.advance(1.0)
        pipeline.call(int)
        with pytest.raises(CircuitOpenError, match=r"letting calls through by degrees for another 9.9 s") as refusal:
            pipeline.call(int)
        assert refusal.value.evidence["reason"] == "ramp"
        assert refusal.value.retry_after == pytest.approx(9.9)
        assert breaker.state == "closed"
        assert breaker.snapshot().counters["requests.rejected"] == 1


def test_a_trip_during_the_ramp_opens_again():
    """R-CB4"""

    def scenario(driven):
        tried(driven, "s")
        attempt(driven, fail)
        return attempt(driven, int)

    assert both(scenario, ramp=100.0, chance=lambda: 0.0) == "refused for 10"


def test_after_a_reset_by_hand_there_is_no_ramp():
    """R-CB4"""
    with virtual_time():
        breaker = CircuitBreaker(1, ramp=100.0, chance=lambda: 0.99)
        pipeline = Pipeline("d", breaker, registry=None)
        breaker.trip()
        breaker.reset()
        assert [pipeline.call(int) for _ in range(5)] == [0] * 5


def test_a_clock_that_goes_back_does_not_lengthen_a_ramp():
    """R-CB4"""
    with virtual_time(start=10_000.0) as clock:
        breaker = CircuitBreaker(1, recovery_timeout=1.0, success_threshold=1, ramp=10.0, chance=lambda: 0.99)
        pipeline = Pipeline("d", breaker, registry=None)
        breaker.trip()
        clock.advance(1.0)
        pipeline.call(int)
        clock._now -= 3600.0
        with pytest.raises(CircuitOpenError):
            pipeline.call(int)
        clock.advance(10.0)
        assert pipeline.call(int) == 0
