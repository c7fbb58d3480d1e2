"""Leave for one call of code that cannot be wrapped: asked for, and ended by whoever knows how the call went."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from seawall.core.verdict import Verdict
from seawall.errors.classify import label
from seawall.errors.hints import retry_after_of

if TYPE_CHECKING:
    from types import TracebackType

    from seawall.core.permit import Permit
    from seawall.drive.protocols import Guard


class ManualPermit:
    """Leave to make one call, from `CircuitBreaker.allow`. End it with one of its methods; only the first counts.

    ```python
    permit = breaker.allow()
    try:
        send()
    except OSError as error:
        permit.failure(error)
        raise
    permit.success()
    ```

    As a context manager it ends itself: without an error as a success, with one as the breaker judges such an error.
    The duration is measured from the moment it was given. Any thread or task may end it. One that is never ended is
    written off: a trial call counts as failed once its lease is over, any other leaves no trace.
    """

    __slots__ = ("_began", "_guard", "_judge", "_permit")

    def __init__(self, guard: Guard, permit: Permit, judge: Callable[[BaseException], Verdict]) -> None:
        self._guard = guard
        self._permit = permit
        self._judge = judge
        self._began = guard.clock.now()

    @property
    def trial(self) -> bool:
        """True for a trial call of a half-open circuit."""
        return self._permit.kind == "trial"

    @property
    def settled(self) -> bool:
        """True once it has been ended."""
        return self._permit.settled

    def success(self) -> None:
        """The call succeeded."""
        self._end(Verdict.SUCCESS)

    def failure(self, error: BaseException | None = None) -> None:
        """The call failed.

        Args:
            error: what it raised, judged by the breaker's `classify`, `record` and `ignore` like that of a wrapped call
                (so a cancellation stays neutral, and a `Retry-After` is heeded); None is a failure without a word.
        """
        if error is None:
            self._end(Verdict.FAILURE)
            return
        hint = retry_after_of(error, self._guard.clock.wall())
        self._end(self._judge(error), label(error), hint)

    def ignore(self) -> None:
        """The call says nothing about the dependency, or was never made; a trial's place is free again."""
        self._end(Verdict.IGNORED)

    def _end(self, verdict: Verdict, cause: str = "", hint: float | None = None) -> None:
        """End it, unless that is done."""
        if not self._permit.settled:
            took = max(0.0, self._guard.clock.now() - self._began)
            self._guard.record(self._permit, verdict, took, cause=cause, retry_after=hint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is None:
            self.success()
        else:
            self.failure(error)

    def __repr__(self) -> str:
        return (
            f"<ManualPermit of {self._guard.name!r}{' trial' if self.trial else ''}{' ended' if self.settled else ''}>"
        )
