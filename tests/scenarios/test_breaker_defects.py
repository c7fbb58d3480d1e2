"""Defects seen by running breakers of the field; each case, through pipelines, sync and async.

The set-up of them all: two failures trip, 0.2 seconds open, one success closes, only ConnectionError counts. Calls that
overlap are told on the virtual clock: each begins at a moment, takes its time and ends in its own way.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from seawall import CircuitBreaker, CircuitOpenError, Pipeline, Registry, Timeout
from seawall.testing import VirtualClock, run_async, run_threads, virtual_time

OK = "ok"
FAIL = ConnectionError
OTHER = LookupError
CANCEL = asyncio.CancelledError  # in plain code: an interrupt
HANG = "hang"


class Plan(NamedTuple):
    """One call: begun at `at`, and after `takes` seconds it ends in `end`."""

    at: float
    takes: float
    end: Any


class Told:
    """What came of a plan: which calls ran, how each ended, and the state seen at moments between."""

    def __init__(self, ran: list[int], ends: list[Any], states: dict[float, str], stale: int) -> None:
        self.ran, self.ends, self.states, self.stale = ran, ends, states, stale

    def rejected(self) -> list[int]:
        return [number for number, end in enumerate(self.ends) if isinstance(end, CircuitOpenError)]


def breaker(**more: Any) -> CircuitBreaker:
    options: dict[str, Any] = {"half_open_max_calls": 1, "success_threshold": 1, "lease": 60.0, **more}
    return CircuitBreaker(2, recovery_timeout=0.2, record=ConnectionError, **options)


def act(end: Any) -> Any:
    if isinstance(end, type):
        raise end
    return end


def in_threads(pipeline: Pipeline, clock: VirtualClock, plans: list[Plan], looks: list[float]) -> Told:
    ran: list[int] = []
    states: dict[float, str] = {}
    circuit = next(policy for policy in pipeline.policies if isinstance(policy, CircuitBreaker))

    def calling(number: int, plan: Plan) -> Callable[[], Any]:
        def function() -> Any:
            ran.append(number)
            clock.sleep(plan.takes)
            return act(KeyboardInterrupt if plan.end is CANCEL else plan.end)

        def one() -> Any:
            if plan.at:
                clock.sleep(plan.at)
            return pipeline.call(function)

        return one

    def looking(at: float) -> Callable[[], None]:
        def look() -> None:
            if at:
                clock.sleep(at)
            states[at] = circuit.state

        return look

    work = [calling(number, plan) for number, plan in enumerate(plans)]
    ends = run_threads(*work, *[looking(at) for at in looks])
    return Told(ran, ends[: len(plans)], states, circuit.snapshot().counters["stale_results"])


def in_tasks(pipeline: Pipeline, clock: VirtualClock, plans: list[Plan], looks: list[float]) -> Told:
    ran: list[int] = []
    states: dict[float, str] = {}
    circuit = next(policy for policy in pipeline.policies if isinstance(policy, CircuitBreaker))

    async def one(number: int, plan: Plan) -> Any:
        async def function() -> Any:
            ran.append(number)
            await asyncio.sleep(plan.takes)
            return act(plan.end)

        await asyncio.sleep(plan.at)
        return await pipeline.acall(function)

    async def look(at: float) -> None:
        await asyncio.sleep(at)
        states[at] = circuit.state

    async def everything() -> list[Any]:
        tasks = [one(number, plan) for number, plan in enumerate(plans)]
        ends = await asyncio.gather(*tasks, *[look(at) for at in looks], return_exceptions=True)
        return ends[: len(plans)]

    ends = run_async(everything())
    return Told(ran, ends, states, circuit.snapshot().counters["stale_results"])


@pytest.fixture(params=[in_threads, in_tasks], ids=["sync", "async"])
def tell(request):
    """Runs plans through a pipeline of one breaker; `looks` are the moments at which the state is read."""

    def telling(plans: list[Plan], *looks: float, **more: Any) -> Any:
        with virtual_time() as clock:
            pipeline = Pipeline("dependency", breaker(**more), registry=None)
            return request.param(pipeline, clock, plans, list(looks))

    return telling


TRIPPED = [Plan(0.0, 0.0, FAIL), Plan(0.01, 0.0, FAIL)]  # open from 0.01 to 0.21


def test_e1_of_five_trials_at_once_one_is_admitted(tell):
    told = tell([*TRIPPED, *[Plan(0.3, 0.1, OK)] * 5], 0.35, 0.45)
    assert len(told.ran) == 2 + 1
    assert len(told.rejected()) == 4
    assert told.states == {0.35: "half-open", 0.45: "closed"}


def test_e1_with_three_places_three_are_admitted(tell):
    told = tell([*TRIPPED, *[Plan(0.3, 0.1, OK)] * 5], half_open_max_calls=3, success_threshold=3)
    assert len(told.ran) == 2 + 3


def test_e2_a_success_from_before_does_not_close_a_half_open_circuit(tell):
    slow_success, trial = Plan(0.0, 0.35, OK), Plan(0.3, 0.2, FAIL)
    told = tell([slow_success, *TRIPPED, trial, Plan(0.4, 0.0, OK)], 0.36, 0.51)
    assert told.states == {0.36: "half-open", 0.51: "open"}
    assert told.rejected() == [4]
    assert told.stale == 1


def test_e2_a_success_from_before_does_not_close_an_open_circuit(tell):
    told = tell([Plan(0.0, 0.1, OK), *TRIPPED], 0.15)
    assert told.states == {0.15: "open"}
    assert told.stale == 1


def test_e2_a_failure_from_before_does_not_reopen_a_half_open_circuit(tell):
    told = tell([Plan(0.0, 0.35, FAIL), *TRIPPED, Plan(0.3, 0.2, OK)], 0.36, 0.51)
    assert told.states == {0.36: "half-open", 0.51: "closed"}
    assert told.stale == 1


def test_e3_a_failure_from_before_does_not_extend_an_open_circuit(tell):
    told = tell([Plan(0.0, 0.15, FAIL), *TRIPPED, Plan(0.22, 0.0, OK)], 0.16, 0.215, 0.23)
    assert told.states == {0.16: "open", 0.215: "half-open", 0.23: "closed"}


def test_e4_a_cancelled_trial_gives_its_place_back(tell):
    told = tell([*TRIPPED, Plan(0.3, 0.05, CANCEL), Plan(0.32, 0.0, OK), Plan(0.36, 0.0, OK)], 0.355, 0.37)
    assert told.states == {0.355: "half-open", 0.37: "closed"}
    assert told.rejected() == [3]
    assert told.ran == [0, 1, 2, 4]


def test_e5_an_error_that_does_not_count_gives_the_trials_place_back(tell):
    told = tell([*TRIPPED, Plan(0.3, 0.0, OTHER), Plan(0.36, 0.0, OK)], 0.35, 0.37)
    assert told.states == {0.35: "half-open", 0.37: "closed"}
    assert isinstance(told.ends[2], LookupError)


def test_e6_cancellations_do_not_open_a_closed_circuit(tell):
    told = tell([Plan(0.0, 0.0, CANCEL), Plan(0.01, 0.0, CANCEL), Plan(0.02, 0.0, CANCEL)], 0.05)
    assert told.states == {0.05: "closed"}


def test_e7_an_error_that_does_not_count_ends_no_run_of_failures(tell):
    told = tell([Plan(0.0, 0.0, FAIL), Plan(0.01, 0.0, OTHER), Plan(0.02, 0.0, FAIL)], 0.05)
    assert told.states == {0.05: "open"}


def test_a_trial_of_the_first_half_open_period_is_not_credited_to_the_second(tell):
    # two places: the first trial hangs on, the second fails and reopens; the first then succeeds in the next period
    first, second = Plan(0.3, 0.4, OK), Plan(0.31, 0.0, FAIL)
    third = Plan(0.6, 0.3, OK)
    told = tell(
        [*TRIPPED, first, second, third, Plan(0.71, 0.0, OK), Plan(0.72, 0.5, OK), Plan(0.73, 0.0, OK)],
        0.705,
        0.715,
        half_open_max_calls=2,
        success_threshold=3,
    )
    assert told.states == {0.705: "half-open", 0.715: "half-open"}
    assert told.stale == 1
    # its end gave no place back either: with the third and the one from 0.72 both places are taken
    assert told.rejected() == [7]


def test_a_failure_of_the_first_half_open_period_does_not_reopen_in_the_second(tell):
    told = tell(
        [*TRIPPED, Plan(0.3, 0.4, FAIL), Plan(0.31, 0.0, FAIL), Plan(0.6, 0.3, OK)], 0.71, 0.95, half_open_max_calls=2
    )
    assert told.states == {0.71: "half-open", 0.95: "closed"}


def test_a_trial_that_never_returns_is_written_off_when_its_lease_ends(tell):
    told = tell([*TRIPPED, Plan(0.3, 100.0, OK), Plan(1.25, 0.0, OK), Plan(1.6, 0.0, OK)], 1.0, 1.35, 1.7, lease=1.0)
    assert told.states == {1.0: "half-open", 1.35: "open", 1.7: "closed"}
    assert told.rejected() == [3]
    assert told.stale == 1  # it came back after all, and changed nothing


def test_the_lease_follows_from_the_timeout_of_the_pipeline():
    with virtual_time():
        guard = CircuitBreaker(2, recovery_timeout=0.2)
        Pipeline("dependency", guard, Timeout(3.0), registry=None)
        assert guard.snapshot().details["options"]["lease"] == 6.0


def test_a_reset_during_a_flight_makes_its_result_stale(tell):
    with virtual_time() as clock:
        guard = breaker()
        pipeline = Pipeline("dependency", guard, registry=None)

        def resetting() -> None:
            guard.reset()
            raise ConnectionError

        for _ in range(5):
            with pytest.raises(ConnectionError):
                pipeline.call(resetting)
        assert guard.state == "closed"
        assert guard.snapshot().counters["stale_results"] == 5
        assert clock.now() == 0.0


def test_a_listener_that_raises_changes_nothing():
    def raising(event: Any) -> None:
        raise RuntimeError(event)

    with virtual_time() as clock:
        registry = Registry()
        guard = breaker()
        pipeline = Pipeline("dependency", guard, registry=registry)
        registry.bus.listen(raising)
        for _ in range(2):
            with pytest.raises(ConnectionError):
                pipeline.call(act, FAIL)
        with pytest.raises(CircuitOpenError):
            pipeline.call(act, OK)
        clock.advance(0.2)
        assert pipeline.call(act, OK) == OK
        assert guard.state == "closed"
        assert registry.bus.listener_errors >= 4


def test_a_permit_settled_twice_counts_once():
    from seawall import Verdict

    with virtual_time() as clock:
        guard = breaker(half_open_max_calls=1, success_threshold=2)
        permit = guard.acquire()
        for _ in range(5):
            guard.record(permit, Verdict.FAILURE, 0.0)  # type: ignore[arg-type]  # a permit: the circuit is closed
        assert guard.state == "closed"
        guard.trip()
        clock.advance(0.2)
        trial = guard.acquire()
        for _ in range(5):
            guard.record(trial, Verdict.SUCCESS, 0.0)  # type: ignore[arg-type]  # a permit: the period is over
        assert guard.state == "half-open"
        assert guard.snapshot().gauges["trials"] == 0


@pytest.mark.parametrize("back", [1.0, 3600.0])
def test_a_clock_that_goes_back_refuses_at_most_one_period_more(back):
    with virtual_time(start=10_000.0) as clock:
        guard = breaker()
        pipeline = Pipeline("dependency", guard, registry=None)
        guard.trip()
        clock._now -= back
        assert guard.retry_after <= 0.2
        with pytest.raises(CircuitOpenError) as refusal:
            pipeline.call(act, OK)
        assert refusal.value.retry_after == pytest.approx(0.2)
        clock.advance(0.2)
        assert pipeline.call(act, OK) == OK
        assert guard.state == "closed"


def test_a_clock_that_goes_back_does_not_keep_a_hung_trials_place():
    with virtual_time(start=10_000.0) as clock:
        guard = breaker(lease=1.0)
        guard.half_open()
        guard.acquire()
        clock._now -= 3600.0
        assert guard.state == "half-open"
        clock.advance(1.0)
        assert guard.state == "open"
