"""What a pipeline makes of the ends of attempts: verdicts, causes, counts and journal."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from seawall.core.errors import RejectedError, ShuttingDownError
from seawall.core.verdict import Verdict
from seawall.errors.classify import label, verdict_of, verdict_of_status
from seawall.errors.hints import retry_after_of
from seawall.events.ids import hint, refusal_id
from seawall.events.types import CallFailed, CallRejected, CallSlow
from seawall.events.words import describe
from seawall.measure.histogram import Histogram

if TYPE_CHECKING:
    from seawall.core.clock import Clock
    from seawall.core.snapshot import HistogramData
    from seawall.drive.call import Call
    from seawall.drive.quiet import Batch, Quiet
    from seawall.events.bus import Bus
    from seawall.events.types import Refusal

Classify = Callable[[BaseException | None, Any], Verdict | None]


class Judge:
    """Verdicts, counts and journal entries of one pipeline.

    Args:
        name: the pipeline's.
        bus: where failures are published.
        clock: gives the wall time.
        classify: the user's rule, asked first; None from it means the default rules.
        measure: whether calls that succeed on the quiet path are counted.
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_classify",
        "_counts",
        "_durations",
        "_last",
        "_last_told",
        "_lock",
        "_number",
        "bus",
        "clock",
        "deciding",
        "measure",
        "name",
        "overridden",
        "quiet",
        "slow",
    )

    def __init__(
        self, name: str, bus: Bus, clock: Clock, classify: Classify | None = None, *, measure: bool = True
    ) -> None:
        self.name = name
        self.measure = measure
        self.overridden: Callable[[], object] = bool  #: whether the pipeline is, by an operator
        self.quiet: Quiet | None = None  #: where generated code counts its calls
        self.bus = bus
        self.clock = clock
        self._classify = classify
        self.slow: tuple[float, str] | None = None  #: seconds above which a success is slow, and which rule says so
        self._last: Batch | None = None
        self._last_told: Sequence[Refusal] = ()
        self._lock = threading.RLock()  # a finaliser may count a call while this thread counts another
        self._calls: dict[int, weakref.ref[Call]] = {}  # in flight; one that is lost to a signal handler dies here too
        self.deciding = threading.RLock()  #: of the pipeline's overrides: which hold, and whose turn it is to end
        self._begin()

    def _begin(self) -> None:
        """Count from zero; guarded by `_lock`."""
        self._counts = {"success": 0, "degraded": 0, "failure": 0, "rejected": 0, "cancelled": 0}
        self._durations = Histogram()
        self._number = 0

    @property
    def has_rule(self) -> bool:
        """Whether the user has a rule of their own for errors and answers."""
        return self._classify is not None

    def usual(self) -> bool:
        """Whether calls may go by without being looked at one by one."""
        return not self.overridden()

    def enter(self, call: Call) -> None:
        """A logical call begins; `finished`, or `leave`, is its end.

        Raises:
            ShuttingDownError: if the program is shutting down.
        """
        self._calls[id(call)] = weakref.ref(call)  # first: a shutdown says that it closes and then looks
        if self.bus.closing is not None and call.resumed is None:
            self._calls.pop(id(call), None)
            raise self._shutting_down()
        call.counted = True

    def leave(self, call: Call) -> None:
        """A call is no longer among those in flight."""
        self._left(call)
        closing = self.bus.closing
        if closing is not None:
            closing.set()

    def _left(self, call: Call) -> None:
        """Take a call out of those in flight."""
        call.counted = False
        self._calls.pop(id(call), None)

    def running(self) -> int:
        """Calls in flight."""
        quiet = 0 if self.quiet is None else self.quiet.running()
        for number, call in list(self._calls.items()):
            if call() is None:
                self._calls.pop(number, None)
        return len(self._calls) + quiet

    def _shutting_down(self) -> ShuttingDownError:
        """Report a refused call, and build the error."""
        number = self.publish(CallRejected, "pipeline", "shutting_down", None, {})
        event = CallRejected(number, 0.0, self.name, "pipeline", "shutting_down", None, {})
        id = refusal_id("pipeline", self.name, number, self.bus.journal.worker)
        return ShuttingDownError(
            describe(event) + hint(id), id=id, policy="pipeline", name=self.name, evidence={"reason": "shutting_down"}
        )

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
        """Journal an attempt that failed or was slow; count one that succeeded."""
        if call.mark is not None and len(call.mark) == 1:
            call.mark += self._noted(call, error, verdict)
        if verdict is Verdict.SUCCESS:
            self.bus.journal.count_success(self.clock.wall())
            if self.slow is not None:
                took = call.elapsed()
                if took > self.slow[0]:
                    self.publish(CallSlow, took, *self.slow)
        elif self._bad(verdict):
            cause = self.label(error, None if error is not None else call.value)
            self.publish(CallFailed, verdict.name.lower(), cause, call.elapsed())

    def _noted(self, call: Call, error: BaseException | None, verdict: Verdict) -> list[Any]:
        """What a recording keeps of an attempt: duration, verdict, cause, hint, and whether it was cut."""
        value = None if error is not None else call.value
        bad = error is not None or verdict is not Verdict.SUCCESS
        hint = self.hint(error, value) if self._bad(verdict) else None
        cut = error is not None and not isinstance(error, Exception)
        took = self.clock.now() - call.mark[0] if call.mark else 0.0
        return [took, verdict.name.lower(), self.label(error, value) if bad else "", hint, cut]

    def publish(self, kind: type, *fields: object) -> int:
        """Publish an event of the pipeline; its number."""
        with self._lock:
            self._number += 1
            number = self._number
        self.bus.publish((kind, number, self.clock.now(), self.name, *fields))
        return number

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
        now = self.clock.now()
        if call.log is not None and self.bus.recording is not None:  # first, or a shutdown might stop it before
            self.bus.recording.ended(self.name, call, what, error, now)
        call.last_error = None  # the frames in its traceback hold the call: the two would keep each other alive
        with self._lock:
            self._counts[what] += 1
            self._durations.observe(max(0.0, now - call.entered_at))
        self._left(call)
        if self.bus.closing is not None:
            self.bus.closing.set()
        quiet = self.quiet
        if quiet is not None:
            if quiet.due(now):
                quiet.lend()
            quiet.relieve()

    def counts(self) -> tuple[dict[str, int], HistogramData]:
        """Counts and durations of logical calls so far."""
        if self.quiet is not None:
            self.quiet.harvest()
        with self._lock:
            return {f"calls.{what}": count for what, count in self._counts.items()}, self._durations.data()

    def take_in(self, batch: Batch) -> None:
        """Calls have succeeded on the quiet path."""
        if not self.measure or batch is self._last:
            return
        count = batch.count
        self.bus.journal.count_successes(batch.second, count)
        with self._lock:
            self._durations.add(batch)
            # NB: no call in these lines, nor at the end of `add`, so no signal handler comes between them
            self._counts["success"] += count
            self._last = batch

    def take_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Generated code has refused these calls, in no time."""
        count = len(refusals)
        with self._lock:
            if refusals is not self._last_told:
                # NB: no call in these lines, so no signal handler comes between them
                self._counts["rejected"] += count
                self._durations.counts[0] += count
                self._last_told = refusals

    @contextmanager
    def rebound(self, clock: Clock) -> Iterator[None]:
        """Run on another clock, counting afresh, inside the block."""
        quiet = self.quiet
        if quiet is not None:
            quiet.rebind(clock)
        with self._lock:
            before = self.clock, self._counts, self._durations, self._number
            self.clock = clock
            self._begin()
        try:
            yield
        finally:
            if quiet is not None:
                quiet.rebind(before[0])
            with self._lock:
                self.clock, self._counts, self._durations, self._number = before

    def after_fork(self) -> None:
        """A new lock in the child; the counts go on from the parent's, and nothing is in flight."""
        self._lock = threading.RLock()
        self.deciding = threading.RLock()
        self._calls = {}
