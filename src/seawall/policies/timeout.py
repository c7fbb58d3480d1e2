"""Timeout per attempt and deadline for all of a call: the same race against time, at different places."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from seawall.core.context import deadline_on, restore_deadline, shrink_deadline
from seawall.core.errors import ConfigurationError, DeadlineExceededError, RejectedError, TimedOutError
from seawall.core.lazy import lazy
from seawall.core.validate import duration, number, whole
from seawall.events.types import CallTimedOut
from seawall.events.words import describe
from seawall.policies.base import PolicyBase

if TYPE_CHECKING:
    from seawall.core.permit import Rejection
    from seawall.core.snapshot import PolicySnapshot
    from seawall.drive.call import Call
    from seawall.drive.protocols import Shape
    from seawall.drive.quiet import Batch
    from seawall.drive.timers import Timers
    from seawall.drive.workers import WorkerPool
    from seawall.machines.stream import StreamLimits, StreamTimer

Mode = Literal["cooperative", "thread"]


class Timeout(PolicyBase):
    """Bounds one attempt in time; outside a retry it bounds all attempts together.

    In async code the call is cancelled when the time is up and `TimedOutError` is raised; it may have been executed. A
    `TimeoutError` of the call's own passes through untouched, and a cancel from outside stays a cancel. The limit is
    never longer than what an enclosing deadline leaves.

    Sync code cannot be cancelled, so `mode` must say which truth is wanted:

    * "cooperative": runs in the caller's thread; the ambient deadline shrinks, and adapters and `seawall.remaining()`
      clamp every wait to it. A value that comes late is returned and counted; an error that comes late is raised as
      `TimedOutError` from it.
    * "thread": runs in a worker thread with the context copied; when the time is up the caller goes on and the thread
      is left behind. At most `max_threads` run at once, those left behind included; a call beyond is refused at once.
      Without any limit it isolates: calls of this pipeline take threads of their own and nobody else's.

    For streams `limit` bounds the attempt in all, and three more limits bound what is waited for. Only waiting counts:
    what the consumer does between two items does not.

    Args:
        limit: seconds, > 0; None if one of the others is given.
        first_item: streams: seconds until the first item, > 0; by default `idle`.
        idle: streams: seconds between two items, > 0; no limit by default.
        min_rate: streams: items per second that must arrive in every `rate_window`, > 0; no limit by default.
        rate_window: seconds, > 0; 10 by default.
        share: True to give an attempt at most its equal share of what the deadline leaves: left / attempts left.
        share_floor: seconds that a share never falls below, > 0; 0.05 by default, as less is no fair chance.
        mode: see above; async code needs none.
        max_threads: for "thread"; from 1, 32 by default.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if a value is out of its range, or a plain function is protected without `mode`.
    """

    kind = "timeout"
    rank = 8
    shape: Shape = "race"
    limit = math.inf
    stream_limits: StreamLimits
    share_floor: float | None = None
    mode: Mode | None = None
    max_threads = 32
    _counts: dict[str, int] = lazy()
    _pool: WorkerPool | None = None
    _timers: Timers | None = None

    def __init__(
        self,
        limit: float | None = None,
        *,
        first_item: float | None = None,
        idle: float | None = None,
        min_rate: float | None = None,
        rate_window: float = 10.0,
        share: bool = False,
        share_floor: float = 0.05,
        mode: Mode | None = None,
        max_threads: int = 32,
        name: str | None = None,
    ) -> None:
        from seawall.drive import workers  # noqa: F401 - late, as all three: nothing but a timeout needs them
        from seawall.machines import timeout  # noqa: F401
        from seawall.machines.stream import StreamLimits

        super().__init__(name)
        where = type(self).__name__
        given = {"limit": limit, "first_item": first_item, "idle": idle}
        for key, value in given.items():
            if value is not None:
                duration(f"{where}.{key}", value)
        if min_rate is not None:
            number("Timeout.min_rate", min_rate, above=True)
        duration("Timeout.rate_window", rate_window)
        duration("Timeout.share_floor", share_floor)
        if min_rate is None and not share and mode != "thread" and all(value is None for value in given.values()):
            raise ConfigurationError(
                f"{where}(): bounds nothing; give limit, first_item, idle, min_rate or share, or "
                'mode="thread" to bound the threads alone'
            )
        if mode not in {None, "cooperative", "thread"}:
            raise ConfigurationError(f'{where}.mode = {mode!r}: must be "cooperative" or "thread"')
        whole("Timeout.max_threads", max_threads, 1)
        total = None if limit is None else float(limit)
        self.stream_limits = StreamLimits(total, first_item, idle, min_rate, rate_window)
        self._keep(
            limit=math.inf if total is None else total,
            share_floor=share_floor if share else None,
            mode=mode,
            max_threads=max_threads,
        )

    def _begin(self) -> dict[str, Any]:
        return {**super()._begin(), "_counts": {"ok": 0, "timed_out": 0, "late": 0}, "_pool": None}

    def check_sync(self) -> None:
        """Refuse to protect plain functions without a mode, unless only streams are bounded."""
        if self.mode is None and (math.isfinite(self.limit) or self.share_floor is not None):
            raise ConfigurationError(
                f'Timeout({self.limit:g}) of "{self.name}" protects a plain function and does not say how. '
                'Use mode="cooperative" if the function looks at seawall.remaining() or calls through an adapter that '
                'does: it runs in this thread and can be late. Use mode="thread" to go on without it when the time is '
                "up: it runs in a bounded worker thread that is left behind, as no thread can be killed."
            )

    def start(self, call: Call, colour: Literal["sync", "async"]) -> _Run:
        """Begin one race."""
        return _Run(self, call, threaded=colour == "sync" and self.mode == "thread")

    def quiet_features(self, colour: str) -> frozenset[str] | None:
        """See `PolicyBase.quiet_features`: none with threads of its own, or a share of the deadline."""
        if self.share_floor is not None or (self.mode == "thread" and colour == "sync"):
            return None
        return frozenset({"races"}) if math.isfinite(self.limit) else frozenset()

    def _absorb(self, batch: Batch) -> None:
        self._counts["ok"] += batch.count

    def limit_of(self, call: Call, now: float) -> float:
        """Seconds this attempt may take by its own limit and its share, the deadline aside; may be infinite."""
        if self.share_floor is None:
            return self.limit
        deadline = deadline_on(self.clock)
        if deadline is None:
            return self.limit
        return min(self.limit, max(self.share_floor, (deadline - now) / max(1, call.attempts_left)))

    @property
    def longest_wait(self) -> float:
        """Seconds after which one attempt, or one item of a stream without a limit in all, is hung; may be infinite."""
        if math.isfinite(self.limit):
            return self.limit
        waits = (self.stream_limits.first_item, self.stream_limits.idle)
        return max((wait for wait in waits if wait is not None), default=math.inf)

    def stream_timer(self) -> StreamTimer:
        """The limits of one attempt at a stream."""
        from seawall.machines.stream import StreamTimer  # late: loaded when this was made

        return StreamTimer(self.stream_limits)

    def stream_late(self, which: str, limit: float) -> Callable[[], TimedOutError]:
        """Makes the error for an item that did not come in time, counted and reported."""

        def late() -> TimedOutError:
            self.count("timed_out")
            return self.timed_out(which, limit)

        return late

    def timed_out(self, which: str, limit: float) -> TimedOutError:
        """Report that a call was cut short, and build the error."""
        self._emit(CallTimedOut, which, limit)
        event = CallTimedOut(0, 0.0, self.name, which, limit)
        return TimedOutError(
            f"{describe(event)} It may have been executed.",
            policy=self.kind,
            name=self.name,
            evidence={"limit": limit, "which": which},
        )

    def timers(self) -> Timers:
        """What cancels tasks when their time is up, made when first needed."""
        if self._timers is None:
            from seawall.drive.timers import Timers  # late: it imports asyncio

            self._timers = Timers(self)
        return self._timers

    def workers(self) -> WorkerPool:
        """The worker threads, made when first needed."""
        from seawall.drive.workers import WorkerPool  # late: loaded when this was made

        with self._lock:
            if self._pool is None:
                self._pool = WorkerPool(self.max_threads, self._no_worker)
            return self._pool

    def _no_worker(self, rejection: Rejection) -> RejectedError:
        """Report a call that was refused because all worker threads are taken, and build the error."""
        return self.refused(rejection.reason, rejection.evidence)

    def count(self, what: Literal["ok", "timed_out", "late"]) -> None:
        """Count one end."""
        with self._lock:
            self._counts[what] += 1

    def _renew(self) -> None:
        self._pool = None
        if self._timers is not None:
            self._timers.renew()

    def snapshot(self) -> PolicySnapshot:
        """The timeout at this moment; see `PolicyBase.snapshot`."""
        from seawall.core.snapshot import PolicySnapshot  # late: loaded when this was made
        from seawall.machines.stream import StreamLimits

        limits = self.stream_limits
        with self._lock:
            self._catch_up()
            counters = {f"requests.{what}": count for what, count in self._counts.items()}
            pool = self._pool
            left = 0 if pool is None else pool.left_behind
            counters["abandoned"] = 0 if pool is None else pool.abandoned
        return PolicySnapshot(
            kind=self.kind,
            name=self.name,
            pipelines=self.pipelines,
            counters=counters,
            gauges={"left_behind": left},
            details={
                "limit": self.limit if math.isfinite(self.limit) else None,
                "mode": self.mode or "",
                **({} if limits == StreamLimits(limits.total) else {"streams": limits._asdict()}),
            },
        )


class Deadline(Timeout):
    """Bounds a whole logical call: all attempts, sleeps and queues inside it.

    What runs inside sees it as `seawall.remaining()`, no attempt starts after it and no sleep passes it. In async code
    what is running when it comes is cancelled; in sync code it is cooperative.

    Args:
        limit: seconds, > 0.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if `limit` is not above 0.
    """

    kind = "deadline"
    rank = 1
    rejection = DeadlineExceededError

    def __init__(self, limit: float, *, name: str | None = None) -> None:
        duration("Deadline.limit", limit)
        super().__init__(limit, mode="cooperative", name=name)


class _Run:
    """One call against time."""

    __slots__ = ("_call", "_policy", "_race", "_resumed", "_started", "threaded", "until")

    def __init__(self, policy: Timeout, call: Call, *, threaded: bool) -> None:
        from seawall.machines.timeout import TimeoutRace  # late: loaded when this was made

        self._policy = policy
        self._call = call
        resumed = call.resumed
        now = policy.clock.now() if resumed is None or resumed.began is None else resumed.began
        self._resumed = resumed is not None
        self._race = TimeoutRace(policy.limit_of(call, now), now, deadline_on(policy.clock))
        self._started = call.started
        self.threaded = threaded
        self.until = self._race.until

    def expired(self) -> RejectedError | None:
        """The refusal if the enclosing deadline has already passed."""
        from seawall.machines.timeout import Finish  # late: loaded when this was made

        if self._resumed or not isinstance(self._race.next(self._policy.clock.now(), False), Finish):
            return None
        return self._refusal()

    def _refusal(self) -> RejectedError:
        """The error for a call that never began."""
        return self._policy.refused("deadline", error=DeadlineExceededError)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """The ambient deadline for what runs inside."""
        if math.isinf(self.until):
            yield
            return
        token = shrink_deadline(self.until, self._race.limit, self._policy.clock)
        try:
            yield
        finally:
            restore_deadline(token)

    def late(self) -> BaseException:
        """The error for a call that was cut short: refused if it had not begun, unknown otherwise."""
        policy = self._policy
        policy.count("timed_out")
        if self._call.started == self._started:
            return self._refusal()
        return policy.timed_out(policy.kind, self._race.limit)

    def ended(self, error: BaseException | None) -> BaseException | None:
        """The call is back: counts it, and turns an error that came too late into a timeout."""
        policy = self._policy
        if policy.clock.now() < self.until:
            policy.count("ok")
            return None
        if isinstance(error, TimedOutError | RejectedError) or not isinstance(error, Exception | None):
            return None
        policy.count("late")
        if error is None:
            return None  # a late value is a value
        return policy.timed_out(policy.kind, self._race.limit)
