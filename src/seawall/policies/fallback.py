"""Fallback: answer with something else when the call has failed, and say so."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seawall.core.errors import RejectedError
from seawall.core.snapshot import PolicySnapshot
from seawall.core.validate import error_types
from seawall.events.types import FallbackUsed
from seawall.policies.base import PolicyBase

if TYPE_CHECKING:
    from seawall.drive.call import Call, Shape


class Fallback(PolicyBase):
    """Takes a value, or what a function gives, in place of a failed call.

    It acts on failures, timeouts, throttling and refusals; never on cancellation, nor on errors that are judged to be
    the caller's own. The result counts as degraded in metrics, events and `call_outcome`.

    Args:
        instead: the value; or a function, plain or async, called with the arguments of the protected call. A function
            with a parameter `error` gets the failure by that name.
        on: exception types it acts on; by default those judged failed, throttled or refused.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if `on` holds anything but exception types.
    """

    kind = "fallback"
    rank = 0
    shape: Shape = "loop"
    _state = (*PolicyBase._state, "_used")

    def __init__(
        self,
        instead: Any,
        *,
        on: type[Exception] | tuple[type[Exception], ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if on is not None:
            error_types("Fallback.on", on)
        self.on = on
        self.source = "function" if callable(instead) else "value"
        self.produce: Callable[[Call, BaseException | None], Any] = _producer(instead)
        self._begin()

    def _begin(self) -> None:
        super()._begin()
        self._used: Counter[str] = Counter()

    def start(self, call: Call) -> _Run:
        """Begin one logical call."""
        return _Run(self)

    def applies(self, call: Call, error: Exception | None) -> bool:
        """Whether the end of the call is one to answer in its place."""
        if error is not None and self.on is not None:
            return isinstance(error, self.on)
        if isinstance(error, RejectedError):
            return True
        verdict = call.judge(error, call.value)
        return verdict.failed or verdict.name == "THROTTLED"

    def count(self, cause: str) -> None:
        """One more answer from here."""
        with self._lock:
            self._used[self.source] += 1
        self._emit(FallbackUsed, self.source, cause)

    def snapshot(self) -> PolicySnapshot:
        """The fallback at this moment; see `PolicyBase.snapshot`."""
        with self._lock:
            used = {self.source: 0, **self._used}
        return PolicySnapshot(
            kind=self.kind,
            name=self.name,
            pipelines=self.pipelines,
            counters={f"used.{source}": count for source, count in used.items()},
        )


class _Instead:
    """The value that takes the place of a failed call's."""

    __slots__ = ("_call", "_error", "_policy")

    def __init__(self, policy: Fallback, call: Call, error: BaseException | None) -> None:
        self._policy = policy
        self._call = call
        self._error = error

    def produce(self) -> Any:
        """The value, or an awaitable of it."""
        return self._policy.produce(self._call, self._error)


class _Run:
    """One logical call under a fallback."""

    __slots__ = ("_policy",)

    def __init__(self, policy: Fallback) -> None:
        self._policy = policy

    def after(self, call: Call, error: Exception | None) -> _Instead | None:
        """The substitute, or None to let the end of the call through."""
        policy = self._policy
        if not policy.applies(call, error):
            return None
        real = call.surfacing(error) if isinstance(error, RejectedError) else error
        call.degraded = True
        call.source = policy.source
        call.cause = real
        policy.count(call.label(real, call.value))
        return _Instead(policy, call, real)

    def abandon(self) -> None:
        """A fallback never waits."""


def _producer(instead: Any) -> Callable[[Call, BaseException | None], Any]:
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
