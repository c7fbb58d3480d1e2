"""Ties generated functions to a pipeline: what they call when something is unusual, before the call or after it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import CellType
from typing import TYPE_CHECKING, Any

from seawall.core.context import ambient, narrow_deadline, remaining, set_ambient
from seawall.core.verdict import Verdict
from seawall.drive import compile as generator
from seawall.drive.call import Call, Resumed
from seawall.drive.known import tell
from seawall.drive.quiet import Era, Quiet
from seawall.drive.template import WhenUnusual
from seawall.errors.classify import verdict_of_status
from seawall.policies.circuit_refusing import QuickCircuitOpenError, RetriedCircuitOpenError

if TYPE_CHECKING:
    from seawall.pipeline.compose import Pipeline

#: Values of exactly these types are no answer with a status, and nothing to be awaited.
_ORDINARY = frozenset({
    int, float, complex, bool, str, bytes, bytearray, list, tuple, dict, set, frozenset, type(None), memoryview, range,
})  # fmt: skip


def usual(value: Any, known: type | None) -> type | None:
    """Let an ordinary success pass.

    Returns:
        Its type, if all values of that type are ordinary, else `known`.

    Raises:
        Unusual: if the drivers have to look at it: it may be awaited, or is an answer with a bad status.
    """
    kind = type(value)
    if kind in _ORDINARY:
        return kind
    if hasattr(kind, "__await__"):
        raise generator.Unusual
    return answered(value, known)


def answered(value: Any, known: type | None) -> type | None:
    """The same for what a coroutine function returned, which is not awaited again.

    Raises:
        Unusual: if it is an answer with a bad status.
    """
    kind = type(value)
    if kind in _ORDINARY:
        return kind
    status = getattr(value, "status_code", None)
    if isinstance(status, int) and hasattr(value, "headers") and verdict_of_status(status) is not Verdict.SUCCESS:
        raise generator.Unusual
    return known


class Generated:
    """The generated functions of one pipeline.

    Args:
        pipeline: the pipeline.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._quiet: Quiet | None = None
        self._clocked = False  # whether a call that has begun knows when
        self._cells: dict[str, tuple[frozenset[str], Mapping[str, CellType]] | None] = {}

    def function(self, fn: Callable[..., Any], kind: str) -> Any:
        """`fn` protected by generated code; None if its policies, or what it is, need the plain drivers."""
        if not generator.enabled or kind not in {"plain", "coroutine"}:
            return None
        colour = "async" if kind == "coroutine" else "sync"
        code = getattr(fn, "__code__", None)
        if colour == "async" and not getattr(code, "co_flags", 0) & inspect.CO_COROUTINE:
            return None
        if colour not in self._cells:
            self._cells[colour] = self._prepare(colour)
        found = self._cells[colour]
        return None if found is None else generator.function(fn, *found)

    def _features(self, colour: str) -> frozenset[str] | None:
        """What the policies need; None if one of them needs the plain drivers."""
        pipeline = self._pipeline
        if pipeline._judge.has_rule or pipeline.shadow:
            return None
        needed = [policy.quiet_features(colour) for policy in pipeline.policies]
        each: list[str] = []
        for features in needed:
            if features is None:
                return None
            each += features
        if each.count("tokens") > 1 or each.count("slots") > 1:
            return None
        if pipeline._judge.measure:
            each.append("timed")
        kinds = [policy.kind for policy in pipeline.policies]
        if kinds.count("circuit_breaker") == 1:
            outside = pipeline.policies[: kinds.index("circuit_breaker")]
            if all(policy.shape == "loop" for policy in outside):
                each.append("refusals")
        if "timed" in each or pipeline.registered:
            each += ["counted", "eras"]  # else nobody waits for them to end, and nothing comes of when they do
        return frozenset([*each, "async"] if colour == "async" else each)

    def _prepare(self, colour: str) -> tuple[frozenset[str], Mapping[str, CellType]] | None:
        """Features and cells for functions of one colour."""
        features = self._features(colour)
        if features is None:
            return None
        pipeline = self._pipeline
        self._clocked = bool(features & {"timed", "tokens", "races"})  # alike in both colours
        parts: dict[str, Any] = {}
        races: list[Any] = []
        for policy in pipeline.policies:
            own = policy.quiet_features(colour) or frozenset()
            parts |= dict.fromkeys(own, policy)
            races += [policy] if "races" in own else []
            if policy.kind == "circuit_breaker" and "refusals" in features:
                parts["refusals"] = policy
        if self._quiet is None:
            judge = pipeline._judge
            self._quiet = Quiet(pipeline.policies, judge, pipeline.clock, judge.bus, parts.get("refusals"))
        sync = colour == "sync"
        plain, resume = (self._plain, self._resume) if sync else (self._aplain, self._aresume)
        error = RetriedCircuitOpenError if "retry" in features else QuickCircuitOpenError
        given: dict[str, Any] = {"unusual": WhenUnusual(plain, resume, self._quiet, error, parts)}
        if races:
            nearest = min(races, key=lambda race: race.limit)
            given |= {"scope": _scope(nearest)} if sync else {"enter": nearest.timers().enter}
        return features, {**self._quiet.cells, **{name: CellType(value) for name, value in given.items()}}

    # ------------------------------------------------ something is unusual

    def _plain(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call through the drivers."""
        pipeline = self._pipeline
        return pipeline._run(pipeline._made(fn, args, kwargs))

    async def _aplain(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call through the drivers."""
        pipeline = self._pipeline
        return await pipeline._arun(pipeline._made(fn, args, kwargs))

    def _begun(self, fn: Any, args: Any, kwargs: Any, error: Any, value: Any, began: Any, era: Era, mark: int) -> Call:
        """A call whose first attempt has been made."""
        call = self._pipeline._made(fn, args, kwargs)
        sent = error is None or began is not None or not self._clocked
        call.resumed = Resumed(error, value, began, sent, era.of, mark, None)
        call.log = None  # it began before anybody kept calls
        if began is not None:
            call.entered_at = began
        return call

    def _resume(
        self, fn: Any, args: Any, kwargs: Any, error: Any, value: Any, began: Any, era: Era, mark: int, held: Any
    ) -> Any:
        """A call whose first attempt has ended in an unusual way: the drivers go on from there."""
        call = self._begun(fn, args, kwargs, error, value, began, era, mark)
        trace = None if error is None else error.__traceback__
        try:
            return self._pipeline._run(call)
        except BaseException as raised:
            if raised is error:  # what the drivers did with it is of no interest to who reads its traceback
                raise raised.with_traceback(trace)  # noqa: B904 - it is the same one
            raise
        finally:
            del error, trace

    async def _aresume(
        self, fn: Any, args: Any, kwargs: Any, error: Any, value: Any, began: Any, era: Era, mark: int, held: Any
    ) -> Any:
        """See `_resume`."""
        call = self._begun(fn, args, kwargs, error, value, began, era, mark)
        call.timer = held if held is not None and held[0] is not None else None
        trace = None if error is None else error.__traceback__
        try:
            return await self._pipeline._arun(call)
        except BaseException as raised:
            if raised is error:
                raise raised.with_traceback(trace)  # noqa: B904 - it is the same one
            raise
        finally:
            del error, trace


def _past() -> bool:
    """Whether the ambient deadline has passed."""
    left = remaining()
    return left is not None and left <= 0


def _scope(race: Any) -> Callable[[float], float]:
    """Sets the ambient deadline for an attempt that begins at a moment; returns when it ends."""

    def scope(began: float) -> float:
        limit = race.limit
        if ambient() is None:
            set_ambient((began + limit, limit, race.clock))
            return began + limit  # type: ignore[no-any-return]
        return narrow_deadline(began, limit, race.clock)

    return scope


tell(usual=usual, answered=answered, ambient=ambient, restore=set_ambient, past=_past)
