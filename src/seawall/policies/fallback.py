"""Fallback: answer with something else when the call has failed, and say so."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from seawall.core.errors import ConfigurationError, RejectedError
from seawall.core.lazy import lazy
from seawall.core.snapshot import PolicySnapshot
from seawall.core.validate import duration, error_types
from seawall.drive.marks import note
from seawall.errors.classify import label
from seawall.events.types import FallbackUsed
from seawall.policies.base import PolicyBase

if TYPE_CHECKING:
    from seawall.drive.call import Call
    from seawall.drive.protocols import Shape

Produce = Callable[["Call", BaseException | None], Any]


class Fallback(PolicyBase):
    """Takes a value, or what a function gives, in place of a failed call.

    It acts on failures, timeouts, throttling and refusals; never on cancellation, nor on errors that are judged to be
    the caller's own. The result counts as degraded in metrics, events and `call_outcome`. Of several they are tried in
    order; one that fails is left out for a while, so that an outage of the second choice does not cost every call a
    try. If none has an answer the last one's error is raised, from that of the call; a refusal never takes the place
    of a real error.

    Args:
        *instead: values, or functions, plain or async, called with the arguments of the protected call, in the order
            they are tried. A function with a parameter `error` gets the failure by that name. They must not call what
            has just failed. At least one.
        on: exception types it acts on; by default those judged failed, throttled or refused.
        timeout: seconds each function may take, > 0; None (default) for no limit. Plain functions are not cut short:
            they see it as `seawall.remaining()`.
        cooldown: seconds a function that failed is left out while there are others; from 0, 30 by default.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if nothing is given, or a value is out of its range.
    """

    kind = "fallback"
    rank = 0
    shape: Shape = "loop"
    on: type[Exception] | tuple[type[Exception], ...] | None = None
    timeout: float | None = None
    cooldown = 30.0
    _used: Counter[str] = lazy()
    _failed = 0
    _down_until: list[float] = lazy()

    def __init__(
        self,
        *instead: Any,
        on: type[Exception] | tuple[type[Exception], ...] | None = None,
        timeout: float | None = None,
        cooldown: float = 30.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if not instead:
            raise ConfigurationError("Fallback(): nothing to answer with; give a value or a function")
        if on is not None:
            error_types("Fallback.on", on)
        if timeout is not None:
            duration("Fallback.timeout", timeout)
        duration("Fallback.cooldown", cooldown, zero=True)
        self._keep(on=on, timeout=timeout, cooldown=cooldown)
        kinds = ["function" if callable(one) else "value" for one in instead]
        #: what each choice is called in metrics and outcomes: "value", "function", "function-2"
        self.sources = [kind if at == 0 else f"{kind}-{at + 1}" for at, kind in enumerate(kinds)]
        self._producers: list[Produce] = [_producer(one) for one in instead]

    @property
    def source(self) -> str:
        """What the first choice is called."""
        return self.sources[0]

    def _begin(self) -> dict[str, Any]:
        down_until = [float("-inf")] * len(self._producers)
        return {**super()._begin(), "_used": Counter(), "_failed": 0, "_down_until": down_until}

    def start(self, call: Call) -> _Run:
        """Begin one logical call."""
        return _Run(self)

    def quiet_features(self, colour: str) -> frozenset[str] | None:
        """See `PolicyBase.quiet_features`: nothing, as it has no part in a call that succeeds."""
        del colour
        return frozenset()

    def quiet_refusals(self, left: float) -> bool:
        """See `PolicyBase.quiet_refusals`: none, as it answers in their place."""
        del left
        return False

    def applies(self, call: Call, error: Exception | None) -> bool:
        """Whether the end of the call is one to answer in its place."""
        if error is not None and self.on is not None:
            return isinstance(error, self.on)
        if isinstance(error, RejectedError):
            return True
        verdict = call.judge(error, call.value)
        return verdict.failed or verdict.name == "THROTTLED"

    def choices(self) -> list[int]:
        """The choices to try now, in order: those not known to be down, or all if there is none."""
        now = self.clock.now()
        with self._lock:
            up = [at for at, until in enumerate(self._down_until) if now >= until]
        return up or list(range(len(self._producers)))

    def answered(self, at: int, cause: str) -> None:
        """Choice number `at` has answered."""
        with self._lock:
            self._down_until[at] = float("-inf")
            self._used[self.sources[at]] += 1
        self._emit(FallbackUsed, self.sources[at], cause)

    def failed(self, at: int) -> None:
        """Choice number `at` has failed: it is left out for a while."""
        with self._lock:
            self._failed += 1
            self._down_until[at] = self.clock.now() + self.cooldown

    def snapshot(self) -> PolicySnapshot:
        """The fallback at this moment; see `PolicyBase.snapshot`."""
        with self._lock:
            used = {**dict.fromkeys(self.sources, 0), **self._used}
            failed = self._failed
        return PolicySnapshot(
            kind=self.kind,
            name=self.name,
            pipelines=self.pipelines,
            counters={**{f"used.{source}": count for source, count in used.items()}, "failed": failed},
        )


class _Instead:
    """What takes the place of one failed call: the driver tries the sources in order until one gives a value."""

    __slots__ = ("_at", "_call", "_error", "_last", "_policy", "timeout")

    def __init__(self, policy: Fallback, call: Call, error: BaseException | None) -> None:
        self._policy = policy
        self._call = call
        self._error = error
        self._at = 0
        self._last: Exception | None = None
        self.timeout = policy.timeout

    def sources(self) -> Iterator[Callable[[], Any]]:
        """Functions that give the value, or an awaitable of it."""
        for at in self._policy.choices():
            self._at = at
            yield self._produce

    def _produce(self) -> Any:
        return self._policy._producers[self._at](self._call, self._error)

    def answered(self) -> None:
        """The source taken last has given the value."""
        call, policy = self._call, self._policy
        call.degraded = True
        call.source = policy.sources[self._at]
        call.cause = self._error
        cause = label(self._error) if self._error is not None else call.label(None, call.value)
        policy.answered(self._at, cause)

    def failed(self, error: Exception) -> None:
        """The source taken last has failed; the failure of the call keeps a note of it."""
        self._policy.failed(self._at)
        self._last = error
        if self._error is not None:
            source = self._policy.sources[self._at]
            note(self._error, f"seawall: {self._policy.name}: fallback ({source}) failed: {label(error)}")

    def end(self) -> Any:
        """No source had an answer: the last error is raised, or the failed call's if that was but a refusal."""
        last, error = self._last, self._error
        self._last = self._error = None  # a frame in its own traceback must not keep it alive
        try:
            if last is None or (isinstance(last, RejectedError) and error is not None):
                if error is not None:
                    raise error
                return self._call.value
            if last is error:
                raise last  # it gave back what it was given: an error must not be its own cause
            raise last from last.__cause__ or error
        finally:
            del last, error


class _Run:
    """One logical call under a fallback."""

    __slots__ = ("_policy",)

    def __init__(self, policy: Fallback) -> None:
        self._policy = policy

    def after(self, call: Call, error: Exception | None) -> _Instead | None:
        """The substitute, or None to let the end of the call through."""
        if not self._policy.applies(call, error):
            return None
        real = call.surfacing(error) if isinstance(error, RejectedError) else error
        return _Instead(self._policy, call, real)

    def abandon(self) -> None:
        """A fallback never waits."""

    def drained(self, call: Call, error: Exception | None) -> None:
        """A fallback never waits."""


def _producer(instead: Any) -> Produce:
    """How to get the substitute for a call."""
    if not callable(instead):
        return lambda _call, _error: instead
    try:
        wants_error = "error" in inspect.signature(instead).parameters
    except (TypeError, ValueError):  # some builtins have no signature
        wants_error = False
    if wants_error:
        return lambda call, error: instead(*call.args, **{**call.kwargs, "error": error})
    return lambda call, _error: instead(*call.args, **call.kwargs)
