"""Circuit breaker vectors against the public policy, on the virtual clock."""

import asyncio
from collections import deque
from itertools import pairwise
from typing import Any

from seawall import CircuitBreaker, CircuitOpenError, ConfigurationError, FailureCount, FailureRate, Pipeline, SlowRate
from seawall.core.permit import Permit, Rejection
from seawall.core.verdict import Verdict
from seawall.events.bus import Bus
from seawall.events.types import TRANSITIONS, CircuitClosed, CircuitForced, CircuitHalfOpened, CircuitOpened
from seawall.machines.trip import ConsecutiveFailures, TripRule
from seawall.pipeline.registry import Registry
from seawall.testing import Recorder, VirtualClock, run_async, run_threads
from tests.conformance.adapters import readings
from tests.conformance.language import (
    DiffersError,
    Excluded,
    Keys,
    NotBuiltError,
    Vector,
    close,
    ending,
    finished,
    needs,
)

BUILT = frozenset({
    "manual", "time_window", "bucketed_window", "count_window", "counts", "consecutive", "half_open_rules",
    "half_open_n_permits", "half_open_successes", "retry_after", "excluded", "events", "cancellation", "late_results",
    "concurrency", "config_validation", "forced_open", "disabled", "slow_calls", "classifier", "traceback",
    "threshold_fn", "permit_api", "evaluate_on_success", "stuck_probe", "half_open_rate_eval", "tumbling_window",
})  # fmt: skip

VERDICTS = {"ok": Verdict.SUCCESS, "fail": Verdict.FAILURE, "excluded": Verdict.IGNORED, "cancelled": Verdict.IGNORED}
OUTCOMES = {"s": "ok", "f": "fail", "e": "excluded"}


def rules(config: Keys, vector: Vector) -> list[TripRule]:
    """The trip rules of a configuration."""
    mode = config.take("mode", "consecutive")
    if (trip := config.take("trip")) is not None:
        if not trip.startswith("consecutive>="):
            raise NotBuiltError(f"trip = {trip}")
        return [ConsecutiveFailures(int(trip.removeprefix("consecutive>=")))]
    if mode == "consecutive":
        return [ConsecutiveFailures(config.take("failure_threshold", 1))]
    if mode == "half_open_rules":
        return [ConsecutiveFailures(config.take("failure_threshold", 1))]
    if mode in {"time_count", "failure_count"} and "minimum_calls" not in config:
        return [FailureCount(config.take("failures"), config.take("window"))]
    if mode not in {"time_window", "bucketed_window", "count_window", "tumbling_window"}:
        raise NotBuiltError(f"mode {mode}")
    window: dict[str, Any] = {}
    if mode == "count_window":
        window["calls"] = config.take("window_calls")
    elif mode == "tumbling_window":
        window["window"], window["tumbling"] = config.take("window"), True
    else:
        window["window"] = seconds = config.take("window", 30.0)
        buckets = config.take("buckets", seconds / config.take("bucket", seconds / 10))
        if buckets != 10 and "log" not in vector.data.get("window_models", ()):
            raise DiffersError(f"a window slides in ten buckets, not in {buckets:g}")
    least = config.take("minimum_calls", 1)
    window["min_calls"] = min(least, window["calls"]) if "calls" in window else least
    found: list[TripRule] = [FailureRate(config.take("failure_rate", 1.0), **window)]
    slower_than, slow_rate = config.take("slow_call_duration"), config.take("slow_call_rate", 1.0)
    if slower_than is not None:
        found.append(SlowRate(slow_rate, slower_than, **window))
    return found


def judging(config: Keys, vector: Vector, at_once: int) -> dict[str, Any]:
    """How trial calls are judged: by shares such as 2 of 3, by the rate that trips, or one by one."""
    if (when := config.take("half_open_eval")) is not None:
        rate = vector.config.take("failure_rate", 0.5)
        early = when != "rate_after_all_permits"
        return {
            "half_open": "rate",
            "half_open_trials": at_once,
            "half_open_failure_rate": rate,
            "half_open_early": early,
        }
    failures, of = config.take("failures"), config.take("of")
    successes, success_of = config.take("successes"), config.take("success_of")
    if success_of is not None:  # it goes before a share of failures: more than the rest failing is a failure
        failures, of = success_of - successes + 1, success_of
    if of is None:
        return {}
    return {
        "half_open": "rate",
        "half_open_trials": of,
        "half_open_failure_rate": failures / of,
        "half_open_max_calls": of,
    }


def build(config: Keys, vector: Vector, **more: Any) -> CircuitBreaker:
    """The policy of a configuration, with two rules more that never trip and only count."""
    trip = rules(config, vector)
    closing = config.take("half_open_successes_to_close", config.take("success_threshold", 1))
    at_once = config.take("half_open_max_calls", closing)
    config.expect("half_open_failures_to_open", 1)
    config.expect("excluded_are_neutral", True)
    config.expect("excluded_are", "neutral")
    config.expect("trip_error", "original")
    config.take("evaluate_on")  # what it changes shows in the results
    more = {"half_open_max_calls": at_once, **judging(config, vector, at_once), **more}
    lease = config.take("probe_timeout", config.take("half_open_max_duration"))
    duration = config.take("open_duration", 30.0)
    config.done()
    return CircuitBreaker(
        trip=[*trip, *readings.INSTRUMENTS],
        recovery_timeout=duration,
        success_threshold=closing,
        lease=lease,
        **more,
    )


class Instance:
    """One breaker in one pipeline, and what has happened to it."""

    def __init__(self, breaker: CircuitBreaker, name: str) -> None:
        self.breaker = breaker
        registry = Registry(Bus())
        self.pipeline = Pipeline(name, breaker, registry=registry)
        self.recorder = Recorder(registry.bus).__enter__()
        self.begun: dict[str, tuple[Permit, float]] = {}
        self.bare: deque[Permit] = deque()
        self.calls: dict[str, int] = {}
        self.tracebacks: set[tuple[int, int]] = set()

    def transitions(self) -> list[str]:
        """The transitions so far as "was>is"; a half-open state that is due and not entered yet counts."""
        states = {CircuitOpened: "open", CircuitHalfOpened: "half_open", CircuitClosed: "closed"}
        path = ["closed"]
        for event in self.recorder.of(*TRANSITIONS):
            name = states.get(type(event))
            path.append(name or (f"forced_{event.state}" if isinstance(event, CircuitForced) else event.state))
        word = self.breaker.state.replace("-", "_")
        if word == "half_open" and path[-1] == "open":
            path.append(word)
        return [f"{was}>{now}" for was, now in pairwise(path)]


class BreakerAdapter:
    """Runs one vector.

    Args:
        vector: what to run.
        clock: the virtual clock of the moment.
        colour: "sync" or "async": how whole calls are made.
    """

    def __init__(self, vector: Vector, clock: VirtualClock, colour: str) -> None:
        needs(vector, BUILT)
        self.vector, self.clock, self.colour = vector, clock, colour
        self.all_success = False
        config = vector.config
        config.expect("store", "local")
        names = config.take("instances", ["one"])
        self.instances = {name: self.instance(name) for name in names}
        self.one = next(iter(self.instances.values()))
        self.slower_than = vector.config.take("slow_call_duration", 1.0)

    def instance(self, name: str) -> Instance:
        """A breaker of this vector's configuration."""
        config = self.vector.config
        config.take("instances")
        config.take("store")
        return Instance(build(config, self.vector, ignore=Excluded, classify=self.classify), name)

    def classify(self, error: BaseException | None, value: Any) -> Verdict | None:
        """The classifier that a step may switch."""
        return Verdict.SUCCESS if self.all_success and isinstance(error, Exception) else None

    def run(self) -> None:
        for data in self.vector.steps:
            step = Keys(data, "step")
            readings.move(self.clock, step, self.vector.data.get("config", {}).get("open_duration", 30.0))
            chosen = step.take("instances", [step.take("instance")])
            for name in chosen:
                if name is not None and name not in self.instances:
                    self.instances[name] = self.instance(name)
                one = self.one if name is None else self.instances[name]
                self.act(one, Keys(data, "step"))
            for key in data:
                step.take(key)
            step.done()

    def act(self, one: Instance, step: Keys) -> None:
        """One step on one breaker; reads every key."""
        for key in ("at", "advance", "instance", "instances"):
            step.take(key)
        if (switch := step.take("classifier")) is not None:
            self.all_success = switch == "all_success"
        if (operation := step.take("op")) is not None:
            self.operate(one, operation)
        self.make_calls(one, step)
        self.make_permits(one, step)
        if (overrides := step.take("construct")) is not None:
            self.construct(overrides, step.take("expect"))
        for row in step.take("table", ()):
            assert trips(row) == row["trip"], row
        self.check(one, step)
        step.done()

    def operate(self, one: Instance, operation: str) -> None:
        """A change by hand."""
        breaker = one.breaker
        if operation == "force_open":
            breaker.force("open", owner="test", reason="vector", expires_in=None)
        elif operation == "disable":
            breaker.force("disabled", owner="test", reason="vector", expires_in=None)
        elif operation in {"reset", "close", "clear_counts"}:
            breaker.reset()
        elif operation in {"open", "trip"}:
            breaker.trip()
        elif operation == "half_open":
            breaker.half_open()
        elif operation == "release":
            breaker.release(owner="test")
        elif operation != "create":
            raise NotBuiltError(f"operation {operation}")

    # ------------------------------------------------------------ calls

    def make_calls(self, one: Instance, step: Keys) -> None:
        """Steps that make whole calls."""
        outcomes = [OUTCOMES[letter] for letter in step.take("calls", "")]
        if "call" in step:
            outcomes += [step.take("call")] * step.take("n", 1)
        if not outcomes:
            return
        expected, took = step.take("expect", "ran"), step.take("took", 0.0)
        rejection = None
        for outcome in outcomes:
            rejection = self.call(one, outcome, took, expected)
        if "expect_retry_after" in step:
            wanted = step.take("expect_retry_after")
            assert rejection is not None
            assert close(rejection.retry_after, wanted, self.vector.tolerance), rejection.retry_after

    def call(self, one: Instance, outcome: str, took: float, expected: str) -> CircuitOpenError | None:
        """One call; the refusal if there was one."""
        if outcome == "cancelled_before_start":
            assert expected == "cancelled"
            cancelled_before_start(one.pipeline)
            return None
        slow, _, rest = outcome.partition("_")
        if slow == "slow" and rest in {"ok", "fail"}:
            outcome, took = rest, took or self.slower_than + 1.0
        act = ending(outcome)
        ran: list[BaseException | None] = []

        def function() -> Any:
            one.calls[outcome] = one.calls.get(outcome, 0) + 1
            self.clock.advance(took)
            try:
                value = act()
            except BaseException as error:
                ran.append(error)
                raise
            ran.append(None)
            return value

        async def coroutine() -> Any:
            return function()

        raised: BaseException | None = None
        try:
            if self.colour == "sync":
                one.pipeline.call(function)
            else:
                finished(one.pipeline.acall(coroutine))
        except BaseException as error:
            raised = error
        if isinstance(raised, CircuitOpenError):
            assert expected == "rejected", f"{outcome} was rejected: {raised}"
            assert not ran, "a rejected call reached the function"
            one.tracebacks.add(readings.shape(raised))
            return raised
        assert ran == [raised], f"the call's own end did not come through: {raised!r}"
        assert expected in {"ran", "raised_through"}, f"{outcome} ran; expected {expected}"
        return None

    def make_permits(self, one: Instance, step: Keys) -> None:
        """Steps that hold permits: overlapping calls, bare permits, threads."""
        breaker, now = one.breaker, self.clock.now()
        if (name := step.take("begin")) is not None:
            granted = breaker.acquire()
            assert isinstance(granted, Permit) == (step.take("expect", "ran") == "ran"), granted
            if isinstance(granted, Permit):
                breaker.begin(granted)
                one.begun[name] = (granted, now)
        if (name := step.take("finish")) is not None:
            permit, began = one.begun.pop(name)
            breaker.record(permit, VERDICTS[step.take("outcome", "ok")], step.take("took", now - began))
        if "acquire" in step:
            wanted = step.take("expect", True) in {True, "ran"}
            for _ in range(int(step.take("acquire") or 1)):
                granted = breaker.acquire()
                assert isinstance(granted, Rejection) != wanted, granted
                if isinstance(granted, Permit):
                    one.bare.append(granted)
        if step.take("release") is not None:
            breaker.record(one.bare.popleft(), Verdict.IGNORED, 0.0)
        if (parallel := step.take("parallel")) is not None:
            self.parallel(one, parallel, step)

    def parallel(self, one: Instance, plan: dict[str, Any], step: Keys) -> None:
        """Calls from many threads at once."""
        pattern = plan.get("pattern", "s")

        def work() -> int:
            granted = 0
            for number in range(plan["per_worker"]):
                try:
                    one.pipeline.call(ending(OUTCOMES[pattern[number % len(pattern)]]))
                except CircuitOpenError:
                    continue
                except Exception:
                    pass
                granted += 1
            return granted

        granted = run_threads(*[work] * plan["workers"])
        if (wanted := step.take("expect_granted")) is not None:
            assert sum(number for number in granted if isinstance(number, int)) == wanted

    # ----------------------------------------------------------- looking

    def construct(self, overrides: dict[str, Any], expected: str) -> None:
        """A configuration is accepted or refused."""
        config = Keys({**self.vector.data["config"], **overrides}, "configuration")
        try:
            build(config, self.vector)
        except ConfigurationError:
            assert expected == "config_error", overrides
        else:
            assert expected == "ok", overrides

    def check(self, one: Instance, step: Keys) -> None:
        """What a step expects."""
        if (state := step.take("expect_state")) is not None:
            if state == "metrics_only":
                raise NotBuiltError("metrics only")
            assert one.breaker.state.replace("-", "_") == state
        if (counts := step.take("expect_counts")) is not None:
            readings.check_counts(one.breaker, counts, self.vector.tolerance)
        if (transitions := step.take("expect_transitions")) is not None:
            assert one.transitions() == transitions
        for name, count in step.take("expect_event_count", {}).items():
            kinds = {"opened": CircuitOpened, "half_opened": CircuitHalfOpened, "closed": CircuitClosed}
            if name not in kinds:
                raise NotBuiltError(f"events {name}")
            assert len(one.recorder.of(kinds[name])) == count, name
        for name, count in step.take("expect_fn_calls", {}).items():
            assert (sum(one.calls.values()) if name == "total" else one.calls.get(name, 0)) == count, name
        if "expect_retry_after" in step:
            left = one.breaker.retry_after
            assert close(left, step.take("expect_retry_after"), self.vector.tolerance), left
        if (count := step.take("expect_distinct_tracebacks")) is not None:
            assert len(one.tracebacks) == count


def trips(row: dict[str, Any]) -> bool:
    """Whether the rate rule trips at the last of so many calls; the failures come first."""
    tracker = FailureRate(row["limit"], calls=max(row["calls"], row["minimum"]), min_calls=row["minimum"]).tracker()
    failures = round(row["calls"] * row["rate"])
    met = None
    for number in range(row["calls"]):
        met = tracker.add(number < failures, 0.0, 0.0)
    return met is not None


def cancelled_before_start(pipeline: Pipeline) -> None:
    """A task cancelled before its first step ends as cancelled, whatever the state."""

    async def never() -> None:
        raise AssertionError("a cancelled call was begun")

    async def cancelling() -> None:
        task = asyncio.ensure_future(pipeline.acall(never))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run_async(cancelling())
