"""How a whole logical call ended, for callers who want to look instead of catch."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Outcome(Generic[T]):
    """Result of `Pipeline.call_outcome`: the value or the error, and what it took.

    Args:
        value: what the call or its fallback returned; None if it failed.
        error: the exception that would have been raised; None if there is a value.
        degraded: True when the value comes from a fallback.
        source: what gave the value: "call", or the kind of fallback ("value", "function").
        attempts: how many attempts began, from 0 (rejected) up.
        duration: seconds from entering the pipeline to leaving it.
        cause: the failure a fallback stood in for; None otherwise.
    """

    __slots__ = ("attempts", "cause", "degraded", "duration", "error", "source", "value")

    def __init__(
        self,
        value: T | None,
        error: BaseException | None = None,
        *,
        degraded: bool = False,
        source: str = "call",
        attempts: int = 1,
        duration: float = 0.0,
        cause: BaseException | None = None,
    ) -> None:
        self.value = value
        self.error = error
        self.degraded = degraded
        self.source = source
        self.attempts = attempts
        self.duration = duration
        self.cause = cause

    @property
    def ok(self) -> bool:
        """True when there is a value, degraded or not."""
        return self.error is None

    def unwrap(self) -> T:
        """The value, or the error raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # without an error the value is a T, which may be None

    def __repr__(self) -> str:
        what = repr(type(self.error).__name__) if self.error is not None else "ok"
        return f"<Outcome {what}{' degraded' if self.degraded else ''} attempts={self.attempts}>"
