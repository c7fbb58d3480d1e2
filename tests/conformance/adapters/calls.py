"""Whole calls for retry, timeout, fallback and composition vectors: policies from data, and a scripted function."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seawall import CircuitBreaker, ConfigurationError, Fallback, Pipeline, RejectedError, Retry, Timeout
from seawall.events.bus import Bus
from seawall.events.types import CallTimedOut, FallbackUsed, RetryScheduled
from seawall.pipeline.registry import Registry
from seawall.testing import Recorder, VirtualClock, run_async
from tests.conformance.adapters import backoffs, breaker, readings
from tests.conformance.language import DiffersError, Keys, Named, NotBuiltError, Vector, close, ending, needs

if TYPE_CHECKING:
    from seawall.policies.base import PolicyBase

BUILT = frozenset({
    "cancellation", "retry_on_rejection", "retry_on_result", "consecutive", "handle_result", "deadline", "predicate",
    "sequence", "delay_fn", "max_elapsed", "plusminus_jitter", "full_jitter", "huge_values", "inject_random",
    "fibonacci", "retry_after", "config_validation",
})  # fmt: skip


class Script:
    """The protected function: what it does call by call, and when it was begun and ended."""

    def __init__(self, outcomes: list[str], took: float, clock: VirtualClock) -> None:
        self.plan: list[tuple[float, Callable[[], Any]]] = []
        for outcome in outcomes:
            if outcome.startswith("took:"):
                took = float(outcome.removeprefix("took:"))
            else:
                self.plan.append((took, ending(outcome)))
        self.clock = clock
        self.begun: list[float] = []
        self.ended: list[float] = []
        self.errors: list[BaseException] = []
        self.running = 0

    def begin(self) -> tuple[float, Callable[[], Any]]:
        """The next entry of the plan, the last for ever after."""
        step = self.plan[min(len(self.begun), len(self.plan) - 1)]
        self.begun.append(self.clock.now())
        self.running += 1
        return step

    def end(self, act: Callable[[], Any]) -> Any:
        """The outcome."""
        try:
            return act()
        except BaseException as error:
            self.errors.append(error)
            raise

    def sync(self) -> Any:
        """One call of a plain function."""
        took, act = self.begin()
        try:
            if took:
                self.clock.sleep(took)
            return self.end(act)
        finally:
            self.ended.append(self.clock.now())
            self.running -= 1

    async def coroutine(self) -> Any:
        """One call of a coroutine function."""
        took, act = self.begin()
        try:
            if took:
                await asyncio.sleep(took)  # noqa: TID251 - on the virtual clock
            return self.end(act)
        finally:
            self.ended.append(self.clock.now())
            self.running -= 1

    def sleeps(self) -> list[float]:
        """The pauses between one end and the next beginning."""
        return [begun - ended for ended, begun in zip(self.ended, self.begun[1:], strict=False)]


class CallsAdapter:
    """Runs one vector through a pipeline, plain or as a coroutine."""

    def __init__(self, vector: Vector, clock: VirtualClock, colour: str) -> None:
        needs(vector, BUILT)
        self.vector, self.clock, self.colour = vector, clock, colour
        self.fallbacks = 0
        config = vector.config
        kinds = config.take("order", [vector.pattern])
        makers: dict[str, Callable[[Keys], PolicyBase]] = {
            "retry": self.retry, "timeout": self.timeout, "fallback": self.fallback, "breaker": self.breaker,
            "circuit_breaker": self.breaker,
        }  # fmt: skip
        if unknown := [kind for kind in kinds if kind not in makers]:
            raise NotBuiltError({"hedge": "hedging"}.get(unknown[0], unknown[0]))
        self.policies = {kind: makers[kind](config) for kind in kinds}
        config.done()
        registry = Registry(Bus())
        self.recorder = Recorder(registry.bus).__enter__()
        try:
            self.pipeline = Pipeline("vector", *self.policies.values(), registry=registry)
        except ConfigurationError as refusal:
            raise DiffersError(f"the order is refused: {refusal}") from refusal

    # -------------------------------------------------------- policies

    def retry(self, config: Keys) -> Retry:
        given = config.take("retry")
        options = config if given is None else Keys(given, "retry")
        most = options.take("max_attempts", options.take("max_retries", 2) + 1)
        backoff = backoffs.one(backoffs.build(options))
        more: dict[str, Any] = {"budget": None}  # vectors call again and again, and bound nothing by default
        if (handled := options.take("handle", "all")) != "all":
            names = {handled} if isinstance(handled, str) else set(handled)
            more["retryable"] = lambda error: isinstance(error, Named) and error.args[0] in names
        if "retry_on_result" in options:
            wanted = ending(f"result:{options.take('retry_on_result')}")()
            more["retry_result"] = lambda value: value == wanted
        if (elapsed := options.take("max_elapsed")) is not None:
            more["max_time"] = elapsed
        if given is not None:
            options.done()
        return Retry(most, backoff=backoff, **more)

    def timeout(self, config: Keys) -> Timeout:
        return Timeout(config.take("timeout"), mode="thread" if self.colour == "sync" else None)

    def breaker(self, config: Keys) -> CircuitBreaker:
        return breaker.build(Keys(config.take("breaker"), "breaker"), self.vector)

    def fallback(self, config: Keys) -> Fallback:
        instead = config.take("fallback")
        handled = config.take("handle", "all")

        def answer(error: BaseException) -> Any:
            self.fallbacks += 1
            if instead == "wraps_last_error":
                raise Named(f"composite({error.args[0]})")
            if isinstance(instead, str) and instead.startswith("raises:"):
                raise Named(instead.removeprefix("raises:"))
            return instead

        if handled == "all":
            return Fallback(answer)
        kind = type("Handled", (Named,), {})  # an exception type for the one name that is handled
        self.handled = (handled, kind)
        return Fallback(answer, on=kind)

    # ----------------------------------------------------------- steps

    def run(self) -> None:
        for data in self.vector.steps:
            step = Keys(data, "step")
            readings.move(self.clock, step, 0.0)
            if (outcomes := step.take("run")) is not None:
                self.make_call(outcomes, step)
            if (state := step.take("expect_state")) is not None:
                policy = self.policies["breaker"]
                assert isinstance(policy, CircuitBreaker)
                assert policy.state.replace("-", "_") == state
            for name, count in step.take("expect_totals", {}).items():
                if name != "successful_with_retry":
                    raise NotBuiltError(f"total {name}")
                assert self.policies["retry"].snapshot().counters["success"] == count
            step.done()

    def make_call(self, outcomes: str, step: Keys) -> None:
        """One whole call, and what it is expected to give."""
        script = Script(outcomes.split(","), step.take("took", 0.0), self.clock)
        if handled := getattr(self, "handled", None):
            script.plan = [(took, _as_kind(act, *handled)) for took, act in script.plan]
        before, self.fallbacks = len(self.recorder.events), 0
        started, cancel_at = self.clock.now(), step.take("cancel_at")
        if cancel_at is not None and self.colour == "sync":
            raise NotBuiltError("cancelling plain code")
        value: Any = None
        error: BaseException | None = None
        try:
            value = self.sync(script) if self.colour == "sync" else run_async(self.coroutine(script, cancel_at))
        except BaseException as raised:
            error = raised
        at = self.clock.now() - started
        events = self.recorder.events[before:]
        actual = {
            "result": value,
            "error": error.args[0] if isinstance(error, Named) else type(error).__name__,
            "final_error": self.final(error, script),
            "executions": len(script.begun),
            "attempts": len(script.begun),
            "started": len(script.begun),
            "retries": sum(isinstance(event, RetryScheduled) for event in events),
            "timeouts": sum(isinstance(event, CallTimedOut) for event in events),
            "fallback_events": sum(isinstance(event, FallbackUsed) for event in events),
            "fallback_calls": self.fallbacks,
            "sleeps": script.sleeps(),
            "delays": script.sleeps(),
            "at": at,
            "left_running": script.running,
        }
        self.compare(actual, step.take("expect", {}), error)
        while script.running:  # a thread left behind: let it come to its end
            self.clock.advance(1.0)

    def sync(self, script: Script) -> Any:
        return self.pipeline.call(script.sync)

    async def coroutine(self, script: Script, cancel_at: float | None) -> Any:
        task = asyncio.ensure_future(self.pipeline.acall(script.coroutine))
        if cancel_at is not None:
            loop = asyncio.get_running_loop()
            loop.call_at(self.clock.loop_time(loop, cancel_at), task.cancel)
        return await task

    @staticmethod
    def final(error: BaseException | None, script: Script) -> str | None:
        """The last error in the words of the vectors."""
        if isinstance(error, asyncio.CancelledError):
            return "cancelled"
        if isinstance(error, RejectedError):
            return "rejected"
        if isinstance(error, TimeoutError):
            return "timeout"
        if script.errors and error is script.errors[-1]:
            return error.args[0] if type(error) is Named else "original"
        return error.args[0] if isinstance(error, Named) else None

    def compare(self, actual: dict[str, Any], expected: dict[str, Any], error: BaseException | None) -> None:
        if not {"error", "final_error"} & expected.keys() and "result" in expected:
            assert error is None, repr(error)
        for name, value in expected.items():
            if name not in actual:
                raise NotBuiltError(f"expected {name}")
            found = actual[name]
            if isinstance(value, list):
                assert len(found) == len(value), f"{name} is {found}, expected {value}"
                same = all(close(a, b, self.vector.tolerance) for a, b in zip(found, value, strict=True))
            elif isinstance(value, int | float) and not isinstance(value, bool):
                same = close(found, value, self.vector.tolerance)
            else:
                same = found == value
            assert same, f"{name} is {found!r}, expected {value!r}"


def _as_kind(act: Callable[[], Any], name: str, kind: type[Named]) -> Callable[[], Any]:
    """The same outcome, with the error of one name as a type of its own."""

    def acting() -> Any:
        try:
            return act()
        except Named as error:
            if error.args[0] == name:
                raise kind(name) from None
            raise

    return acting
