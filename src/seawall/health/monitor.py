"""Runs the checks and keeps what they found; answers come from memory, so asking costs nothing and never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from seawall.core.chance import Chance, system_chance
from seawall.core.clock import Clock, current_clock
from seawall.core.errors import ConfigurationError
from seawall.errors.text import describe_error, safe_text
from seawall.events.types import CheckChanged
from seawall.events.words import seconds
from seawall.health.base import Check, CheckResult
from seawall.health.history import History, Minute
from seawall.machines.health import HealthMachine, Status, Turn

if TYPE_CHECKING:
    from seawall.core.snapshot import HistogramData
    from seawall.events.bus import Bus

_JITTER = 0.1  # of the interval, so that checks of one interval drift apart


class CheckState(NamedTuple):
    """One check at one moment; times are wall seconds, `age` and `interval` are seconds."""

    name: str
    kind: str
    dependency: str
    critical: bool
    interval: float
    status: Status  #: after rise, fall and staleness
    since: float  #: when it got this status
    reason: str  #: what is wrong, in words; "" when healthy
    last: CheckResult | None  #: the last result, whatever the status
    age: float | None  #: of the last result
    failing: int  #: worse results in a row that have not yet turned the status
    runs: int
    failures: int
    success_rate: float | None  #: of the last hour, 0 to 1
    history: tuple[Minute, ...]  #: the last hour
    duration: HistogramData  #: seconds, since the start


@dataclass(slots=True)
class _Watch:
    """What the monitor keeps for one check."""

    check: Check
    machine: HealthMachine
    since: float
    history: History = field(default_factory=History)
    last: CheckResult | None = None
    last_at: float = 0.0
    reason: str = ""
    events: int = 0
    running: asyncio.Task[CheckResult] | None = None
    running_since: float = 0.0


class Monitor:
    """Checks on their own schedules, in one event loop.

    Each check has a task of its own, at most one run under way, a timeout that holds even if the run ignores its
    cancellation, and a start spread over its interval. States may be read from any task at any time.

    Args:
        checks: their names must differ.
        bus: gets `CheckChanged` for every turn.
        clock: the current one if not given.
        chance: spreads the schedules.
        max_concurrent: runs under way at once, from 1; 256 by default. Only beyond it can a hung check delay another,
            and then by its timeout at most.
    """

    def __init__(
        self,
        checks: Iterable[Check],
        *,
        bus: Bus,
        clock: Clock | None = None,
        chance: Chance = system_chance,
        max_concurrent: int = 256,
    ) -> None:
        if max_concurrent < 1:
            raise ConfigurationError(f"max_concurrent = {max_concurrent}: must be at least 1.")
        self._bus = bus
        self._clock = clock or current_clock()
        self._chance = chance
        self._max_concurrent = max_concurrent
        self._watches: dict[str, _Watch] = {}
        self._tasks: list[asyncio.Task[None]] = []
        for check in checks:
            if check.name in self._watches:
                raise ConfigurationError(f'check "{check.name}" is there twice: names of checks must differ.')
            self._watches[check.name] = _Watch(check, HealthMachine(check.options), self._clock.wall())

    async def start(self) -> None:
        """Begin to run the checks; each looks for the first time within its interval, and within 1 s at the latest."""
        if self._tasks:
            return
        places = asyncio.Semaphore(self._max_concurrent)
        self._tasks = [
            asyncio.create_task(self._watch(watch, places), name=f"seawall-check-{name}")
            for name, watch in self._watches.items()
        ]
        self._tasks.append(asyncio.create_task(self._sweep(), name="seawall-check-staleness"))

    async def stop(self) -> None:
        """End all runs; what is known stays readable."""
        running = [watch.running for watch in self._watches.values() if watch.running is not None]
        for task in (*self._tasks, *running):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []

    def states(self) -> list[CheckState]:
        """All checks, in the order they were given."""
        return [self._state(watch) for watch in self._watches.values()]

    def state(self, name: str) -> CheckState:
        """One check.

        Raises:
            KeyError: if there is none of that name.
        """
        return self._state(self._watches[name])

    def ready(self) -> bool:
        """True once every check has had its first result."""
        return all(watch.last is not None for watch in self._watches.values())

    def _state(self, watch: _Watch) -> CheckState:
        """One check as a value."""
        now, wall = self._clock.now(), self._clock.wall()
        self._turned(watch, watch.machine.tick(now))
        minutes = watch.history.minutes(wall)
        runs = sum(minute.runs for minute in minutes)
        return CheckState(
            name=watch.check.name,
            kind=watch.check.kind,
            dependency=watch.check.dependency,
            critical=watch.check.critical,
            interval=watch.check.interval,
            status=watch.machine.status,
            since=watch.since,
            reason=watch.reason if watch.last is not None else "it has not been looked at yet",
            last=watch.last,
            age=None if watch.last is None else max(0.0, now - watch.last_at),
            failing=watch.machine.failing(),
            runs=watch.history.runs,
            failures=watch.history.failures,
            success_rate=1 - sum(minute.failures for minute in minutes) / runs if runs else None,
            history=minutes,
            duration=watch.history.duration(),
        )

    async def _watch(self, watch: _Watch, places: asyncio.Semaphore) -> None:
        """Run one check for ever."""
        interval = watch.check.interval
        await self._pause(min(interval, 1.0) * self._chance())
        due = self._clock.now()
        while True:
            async with places:
                await self._look(watch)
            due += interval * (1 + _JITTER * (2 * self._chance() - 1))
            now = self._clock.now()
            due = max(due, now)  # the loop was held up: no burst to catch up
            await self._pause(due - now)

    async def _look(self, watch: _Watch) -> None:
        """Run one check once and take in the result."""
        check = watch.check
        if watch.running is None:
            watch.running = asyncio.ensure_future(check.run())
            watch.running_since = self._clock.now()
            # the check's own timeout comes first and says more; this one also ends a check that has none
            await asyncio.wait({watch.running}, timeout=check.timeout + 0.1)
        run = watch.running
        if not run.done():
            run.cancel()
            await asyncio.wait({run}, timeout=0.1)
        took = max(0.0, self._clock.now() - watch.running_since)
        if not run.done():  # it swallowed its cancellation; no second run until it has ended
            self._take(watch, self._bad(check, took, f"hangs for {seconds(took)} and cannot be interrupted"))
            return
        watch.running = None
        if run.cancelled():
            self._take(watch, self._bad(check, took, f"no answer within {seconds(check.timeout)}"))
        elif (error := run.exception()) is not None:
            self._take(watch, self._bad(check, took, describe_error(error)))
        else:
            self._take(watch, run.result())

    def _bad(self, check: Check, took: float, message: str) -> CheckResult:
        """The result of a run that gave none."""
        return CheckResult(check.name, Status.UNHEALTHY, took * 1000, {}, message)

    def _take(self, watch: _Watch, result: CheckResult) -> None:
        """Keep a result and judge it."""
        watch.last, watch.last_at = result, self._clock.now()
        watch.history.add(result, self._clock.wall())
        turn = watch.machine.observe(result.status, watch.last_at)
        if result.status is watch.machine.status:
            watch.reason = safe_text(result.error_message)
        self._turned(watch, turn, safe_text(result.error_message))

    def _turned(self, watch: _Watch, turn: Turn | None, reason: str = "") -> None:
        """Keep a turn and tell of it."""
        if turn is None or turn.was is turn.now:
            return
        if turn.now is Status.UNKNOWN:
            reason = f"no result for {seconds(self._clock.now() - watch.last_at)}"
        watch.reason = reason
        watch.since = self._clock.wall()
        watch.events += 1
        at = self._clock.now()
        self._bus.publish((CheckChanged, watch.events, at, watch.check.name, str(turn.was), str(turn.now), reason))

    async def _sweep(self) -> None:
        """Notice results that become stale, once a second."""
        while True:
            await self._pause(1.0)
            for watch in self._watches.values():
                self._turned(watch, watch.machine.tick(self._clock.now()))

    async def _pause(self, delay: float) -> None:
        """Let `delay` seconds pass; ends early only by cancellation."""
        loop = asyncio.get_running_loop()
        until = self._clock.loop_time(loop, self._clock.now() + delay)
        try:
            async with asyncio.timeout_at(until):
                await loop.create_future()
        except TimeoutError:
            return
