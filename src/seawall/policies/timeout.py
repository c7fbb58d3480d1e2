"""Timeout per attempt and deadline for all of a call: the same race against time, at different places."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from seawall.core.context import deadline_on, restore_deadline, shrink_deadline
from seawall.core.errors import ConfigurationError, DeadlineExceededError, RejectedError, TimedOutError
from seawall.core.snapshot import PolicySnapshot
from seawall.core.validate import duration, whole
from seawall.drive.workers import WorkerPool
from seawall.events.types import CallRejected, CallTimedOut
from seawall.events.words import describe
from seawall.machines.timeout import Finish, TimeoutRace
from seawall.policies.base import PolicyBase

if TYPE_CHECKING:
    from seawall.drive.call import Call, Shape

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

    Args:
        limit: seconds, > 0.
        mode: see above; async code needs none.
        max_threads: for "thread"; from 1, 32 by default.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if a value is out of its range, or a plain function is protected without `mode`.
    """

    kind = "timeout"
    rank = 8
    shape: Shape = "race"
    _state = (*PolicyBase._state, "_counts", "_pool")

    def __init__(
        self, limit: float, *, mode: Mode | None = None, max_threads: int = 32, name: str | None = None
    ) -> None:
        super().__init__(name)
        duration(f"{type(self).__name__}.limit", limit)
        if mode not in {None, "cooperative", "thread"}:
            raise ConfigurationError(f'{type(self).__name__}.mode = {mode!r}: must be "cooperative" or "thread"')
        whole("Timeout.max_threads", max_threads, 1)
        self.limit = float(limit)
        self.mode = mode
        self.max_threads = max_threads
        self._begin()

    def _begin(self) -> None:
        super()._begin()
        self._counts = {"ok": 0, "timed_out": 0, "late": 0}
        self._pool: WorkerPool | None = None

    def check_sync(self) -> None:
        """Refuse to protect plain functions without a mode."""
        if self.mode is None:
            raise ConfigurationError(
                f'Timeout({self.limit:g}) of "{self.name}" protects a plain function and does not say how. '
                'Use mode="cooperative" if the function looks at seawall.remaining() or calls through an adapter that '
                'does: it runs in this thread and can be late. Use mode="thread" to go on without it when the time is '
                "up: it runs in a bounded worker thread that is left behind, as no thread can be killed."
            )

    def start(self, call: Call, colour: Literal["sync", "async"]) -> _Run:
        """Begin one race."""
        return _Run(self, call, threaded=colour == "sync" and self.mode == "thread")

    def workers(self) -> WorkerPool:
        """The worker threads, made when first needed."""
        with self._lock:
            if self._pool is None:
                self._pool = WorkerPool(self.max_threads, self.refuse)
            return self._pool

    def count(self, what: Literal["ok", "timed_out", "late"]) -> None:
        """Count one end."""
        with self._lock:
            self._counts[what] += 1

    def _renew(self) -> None:
        self._pool = None

    def snapshot(self) -> PolicySnapshot:
        """The timeout at this moment; see `PolicyBase.snapshot`."""
        with self._lock:
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
            details={"limit": self.limit, "mode": self.mode or ""},
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
        super().__init__(limit, mode="cooperative", name=name)


class _Run:
    """One call against time."""

    __slots__ = ("_call", "_policy", "_race", "_started", "threaded", "until")

    def __init__(self, policy: Timeout, call: Call, *, threaded: bool) -> None:
        self._policy = policy
        self._call = call
        now = policy.clock.now()
        self._race = TimeoutRace(policy.limit, now, deadline_on(policy.clock))
        self._started = call.started
        self.threaded = threaded
        self.until = self._race.until

    def expired(self) -> RejectedError | None:
        """The refusal if the enclosing deadline has already passed."""
        if not isinstance(self._race.next(self._policy.clock.now(), False), Finish):
            return None
        return self._refusal()

    def _refusal(self) -> DeadlineExceededError:
        """The error for a call that never began."""
        policy = self._policy
        policy._emit(CallRejected, policy.kind, "deadline", None, {})
        event = CallRejected(0, 0.0, policy.name, policy.kind, "deadline", None, {})
        return DeadlineExceededError(describe(event), policy=policy.kind, name=policy.name)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """The ambient deadline for what runs inside."""
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
        return self._timed_out()

    def _timed_out(self) -> TimedOutError:
        """Report and build the error."""
        policy = self._policy
        limit = self._race.limit
        policy._emit(CallTimedOut, policy.kind, limit)
        event = CallTimedOut(0, 0.0, policy.name, policy.kind, limit)
        return TimedOutError(
            f"{describe(event)} It may have been executed.",
            policy=policy.kind,
            name=policy.name,
            evidence={"limit": limit},
        )

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
        return self._timed_out()
