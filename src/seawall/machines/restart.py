"""When a supervised process is started again, and when not: the decision alone."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from seawall.core.chance import Chance

RestartMode = Literal["always", "on-failure", "never"]
RunState = Literal["starting", "running", "backing-off", "stopped", "gave-up"]


@dataclass(frozen=True, slots=True)
class RestartOptions:
    """How a process is started again; all durations in seconds. The owner validates the ranges.

    Args:
        mode: "always", "on-failure" (code 0 after running well is the end), or "never".
        backoff_base: longest delay before the first restart, > 0.
        backoff_cap: longest delay ever, >= backoff_base.
        start_seconds: how long it must run to count as started, >= 0; ending sooner is a failure even with code 0.
        max_restarts: restarts allowed within `restart_window`, >= 1; one more means giving up.
        restart_window: > 0.
    """

    mode: RestartMode = "always"
    backoff_base: float = 1.0
    backoff_cap: float = 60.0
    start_seconds: float = 5.0
    max_restarts: int = 5
    restart_window: float = 60.0


class Restart:
    """The life of one supervised process, as far as starting it again goes.

    The delay before restart n since it last ran well is `d = min(cap, base · 2^(n-1))`, jittered to `d/2 … d`: never
    zero, so that a broken process does not spin, and never above the cap. More than `max_restarts` within
    `restart_window` is giving up: it is then tried at the cap only, until it runs well again.

    Source: OTP supervisors (intensity), supervisord (`startsecs`), AWS "Exponential Backoff and Jitter" (equal jitter).
    """

    __slots__ = ("_gave_up", "_times", "_up", "_waiting", "attempt", "due_at", "options", "restarts", "started_at")

    def __init__(self, options: RestartOptions) -> None:
        self.options = options
        self.attempt = 0  #: starts since it last ran well
        self.restarts = 0  #: restarts in all
        self.started_at: float | None = None
        self.due_at: float | None = None  #: moment of the next start, None when there is none to come
        self._up = False
        self._waiting = False
        self._gave_up = False
        # NB: never longer than max_restarts: what leaves the window is dropped before anything is added
        self._times: deque[float] = deque()

    def state(self, now: float) -> RunState:
        """What the process is in at `now`."""
        if self._up:
            return "running" if self._well(now) else "starting"
        if self._waiting:
            return "gave-up" if self._gave_up else "backing-off"
        return "stopped"

    def started(self, now: float) -> int:
        """It was started; gives the number of this start since it last ran well, from 1."""
        if self._waiting:
            self.restarts += 1
        self._up = True
        self._waiting = False
        self.started_at = now
        self.due_at = None
        self.attempt += 1
        return self.attempt

    def exited(self, now: float, *, ok: bool, chance: Chance) -> float | None:
        """It ended (`ok`: with code 0), or could not be started at all; gives the seconds until the next start.

        None means that it is not started again.
        """
        well = self._well(now) and self._up
        if well:
            self.attempt = 0
            self._gave_up = False
        self._up = False
        if not self._wanted(failed=not (ok and well)):
            self._waiting = False
            self.due_at = None
            return None
        self._note_restart(now)
        longest = self._longest(max(0, self.attempt - 1))
        delay = longest * (1.0 - 0.5 * chance())
        self._waiting = True
        self.due_at = now + delay
        return delay

    def stopped(self) -> None:
        """Somebody stopped it: nothing is to come, and what it did before is forgotten."""
        self._up = self._waiting = self._gave_up = False
        self.due_at = None
        self.attempt = 0
        self._times.clear()

    def _wanted(self, *, failed: bool) -> bool:
        """Whether the mode asks for another start."""
        mode = self.options.mode
        return mode == "always" or (mode == "on-failure" and failed)

    def _well(self, now: float) -> bool:
        """Whether it has run long enough to count as started; a clock that went back counts as no time."""
        return self.started_at is not None and max(0.0, now - self.started_at) >= self.options.start_seconds

    def _note_restart(self, now: float) -> None:
        """Count one restart against the intensity."""
        times = self._times
        while times and now - times[0] >= self.options.restart_window:
            times.popleft()
        if len(times) >= self.options.max_restarts:
            self._gave_up = True
        else:
            times.append(now)

    def _longest(self, doublings: int) -> float:
        """The delay before jitter."""
        options = self.options
        if self._gave_up:
            return options.backoff_cap
        # an exponent above 1023 overflows a float; long before that the cap holds
        return min(options.backoff_cap, options.backoff_base * 2.0 ** min(doublings, 1000))
