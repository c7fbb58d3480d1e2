"""What a series of check results says about a dependency: rise and fall counts, staleness. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from seawall.core.errors import ConfigurationError


class Status(StrEnum):
    """How well something is, best first. `unknown` is no degree of illness: nobody has looked, or not lately."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    CRITICAL = "critical"
    UNKNOWN = "unknown"

    @property
    def serves(self) -> bool:
        """True if callers are still answered: healthy or degraded."""
        return self in {Status.HEALTHY, Status.DEGRADED}


_SEVERITY = {Status.HEALTHY: 0, Status.DEGRADED: 1, Status.UNHEALTHY: 2, Status.CRITICAL: 3}


def worst(statuses: Iterable[Status]) -> Status:
    """The most severe of `statuses`; unknown counts as degraded, and none at all is healthy."""
    severity = max((_SEVERITY.get(status, 1) for status in statuses), default=0)
    return list(Status)[severity]


@dataclass(frozen=True, slots=True)
class HealthOptions:
    """When results count.

    Args:
        rise: better results in a row, from 1, before the status gets better; 1 by default, so recovery shows at once.
        fall: worse results in a row, from 1, before it gets worse; 3 by default, so one lost packet wakes nobody.
        stale_after: seconds, > 0, after which the last result says nothing any more; 35 by default, three intervals
            of 10 s and a timeout of 5 s.
    """

    rise: int = 1
    fall: int = 3
    stale_after: float = 35.0

    def __post_init__(self) -> None:
        for field in ("rise", "fall"):
            if getattr(self, field) < 1:
                raise ConfigurationError(f"{field} = {getattr(self, field)}: must be at least 1 (results in a row).")
        if not self.stale_after > 0:
            raise ConfigurationError(f"stale_after = {self.stale_after}: must be more than 0 seconds.")


class Turn(NamedTuple):
    """The status moved from `was` to `now`."""

    was: Status
    now: Status


class HealthMachine:
    """Judges one check.

    The first result after unknown counts at once: nothing is known that it could contradict. Afterwards the status gets
    worse only after `fall` results in a row that are worse than it, and then becomes the mildest of them; it gets
    better only after `rise` results in a row that are better, and then becomes the worst of them. A result that agrees
    with the status ends either row. Without a result for `stale_after` seconds it is unknown.

    Source: rise and fall as in HAProxy's health checks; the severities between are seawall's own.
    """

    __slots__ = ("_better", "_last", "_worse", "options", "status")

    def __init__(self, options: HealthOptions) -> None:
        self.options = options
        self.status = Status.UNKNOWN
        self._last: float | None = None
        self._worse: tuple[int, ...] = ()
        self._better: tuple[int, ...] = ()

    def observe(self, result: Status, now: float) -> Turn | None:
        """Take in one result; the turn it brought, if any. A result of unknown is no result."""
        if result is Status.UNKNOWN:
            return self.tick(now)
        self._last = now
        if self.status is Status.UNKNOWN:
            return self._turn(result)
        here, there = _SEVERITY[self.status], _SEVERITY[result]
        self._worse = (*self._worse, there) if there > here else ()
        self._better = (*self._better, there) if there < here else ()
        if len(self._worse) >= self.options.fall:
            return self._turn(list(Status)[min(self._worse[-self.options.fall :])])
        if len(self._better) >= self.options.rise:
            return self._turn(list(Status)[max(self._better[-self.options.rise :])])
        return None

    def tick(self, now: float) -> Turn | None:
        """Let time pass: turns to unknown when the last result has become stale."""
        if self._last is not None and now - self._last > self.options.stale_after:
            self._last = None
            return self._turn(Status.UNKNOWN)
        return None

    def failing(self) -> int:
        """How many results in a row, up to now, were worse than the status: a fall that is building up."""
        return len(self._worse)

    def _turn(self, now: Status) -> Turn:
        """Move to `now` and begin both rows afresh."""
        was, self.status = self.status, now
        self._worse, self._better = (), ()
        return Turn(was, now)
