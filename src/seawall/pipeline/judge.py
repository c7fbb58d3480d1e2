"""What a pipeline makes of the ends of attempts: verdicts, causes, counts and journal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from seawall.core.errors import RejectedError
from seawall.core.verdict import Verdict
from seawall.errors.classify import label, verdict_of, verdict_of_status
from seawall.errors.hints import retry_after_of
from seawall.events.types import CallFailed
from seawall.measure.histogram import Histogram

if TYPE_CHECKING:
    from seawall.core.clock import Clock
    from seawall.core.snapshot import HistogramData
    from seawall.drive.call import Call
    from seawall.events.bus import Bus

Classify = Callable[[BaseException | None, Any], Verdict | None]


class Judge:
    """Verdicts, counts and journal entries of one pipeline.

    Args:
        name: the pipeline's.
        bus: where failures are published.
        clock: gives the wall time.
        classify: the user's rule, asked first; None from it means the default rules.
    """

    __slots__ = ("__weakref__", "_classify", "_counts", "_durations", "_lock", "_number", "bus", "clock", "name")

    def __init__(self, name: str, bus: Bus, clock: Clock, classify: Classify | None) -> None:
        self.name = name
        self.bus = bus
        self.clock = clock
        self._classify = classify
        self._lock = threading.RLock()  # a finaliser may count a call while this thread counts another
        self._begin()

    def _begin(self) -> None:
        """Count from zero; guarded by `_lock`."""
        self._counts = {"success": 0, "degraded": 0, "failure": 0, "rejected": 0, "cancelled": 0}
        self._durations = Histogram()
        self._number = 0

    def judge(self, error: BaseException | None, value: Any) -> Verdict:
        """The verdict on a finished attempt.

        A value counts by its status if it looks like an HTTP response (`status_code` and `headers`), else as a success.
        So does the answer that an error carries as `__seawall_answer__`.
        """
        answer = getattr(error, "__seawall_answer__", None)
        if answer is not None:  # an adapter raises a bad answer to have it tried again; it is judged as the value it is
            error, value = None, answer
        if self._classify is not None:
            own = self._classify(error, value)
            if own is not None:
                return own
        if error is not None:
            return verdict_of(error)
        status = getattr(value, "status_code", None)
        if isinstance(status, int) and hasattr(value, "headers"):
            return verdict_of_status(status)
        return Verdict.SUCCESS

    def label(self, error: BaseException | None, value: Any) -> str:
        """A short name for what failed."""
        return label(error if error is not None else value)

    def hint(self, error: BaseException | None, value: Any) -> float | None:
        """Seconds the dependency asks to wait."""
        return retry_after_of(error if error is not None else value, self.clock.wall())

    def on_attempt(self, call: Call, error: BaseException | None, verdict: Verdict) -> None:
        """Journal an attempt that failed; count one that succeeded."""
        if verdict is Verdict.SUCCESS:
            self.bus.journal.count_success(self.clock.wall())
        elif self._bad(verdict):
            cause = self.label(error, None if error is not None else call.value)
            self.publish(CallFailed, verdict.name.lower(), cause, call.elapsed())

    def publish(self, kind: type, *fields: object) -> None:
        """Publish an event of the pipeline."""
        with self._lock:
            self._number += 1
            number = self._number
        self.bus.publish((kind, number, self.clock.now(), self.name, *fields))

    @staticmethod
    def _bad(verdict: Verdict) -> bool:
        """Whether an attempt that ended so did not do what it was for."""
        return verdict.failed or verdict is Verdict.THROTTLED

    def finished(self, call: Call, error: BaseException | None) -> None:
        """Count one logical call."""
        if error is None:
            if call.degraded:
                what = "degraded"
            elif call.started and self._bad(self.judge(None, call.value)):
                what = "failure"
            else:
                what = "success"
        elif isinstance(error, RejectedError) and not call.started:
            what = "rejected"
        elif isinstance(error, Exception):
            what = "failure"
        else:
            what = "cancelled"
        with self._lock:
            self._counts[what] += 1
            self._durations.observe(max(0.0, self.clock.now() - call.entered_at))

    def counts(self) -> tuple[dict[str, int], HistogramData]:
        """Counts and durations of logical calls so far."""
        with self._lock:
            return {f"calls.{what}": count for what, count in self._counts.items()}, self._durations.data()

    @contextmanager
    def rebound(self, clock: Clock) -> Iterator[None]:
        """Run on another clock, counting afresh, inside the block."""
        with self._lock:
            before = self.clock, self._counts, self._durations, self._number
            self.clock = clock
            self._begin()
        try:
            yield
        finally:
            with self._lock:
                self.clock, self._counts, self._durations, self._number = before

    def after_fork(self) -> None:
        """A new lock in the child; the counts go on from the parent's."""
        self._lock = threading.RLock()
