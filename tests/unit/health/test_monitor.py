"""The monitor: schedules, hung checks, turns, staleness."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from seawall.core.chance import seeded_chance
from seawall.core.errors import ConfigurationError
from seawall.events.bus import Bus
from seawall.events.types import CheckChanged
from seawall.health import BaseCheck, Finding, Monitor, Status
from tests.support.ops import HandClock


@dataclass(frozen=True, kw_only=True)
class Scripted(BaseCheck):
    """Gives its findings one after the other, the last for ever."""

    script: list = field(default_factory=lambda: [Finding(Status.HEALTHY)])
    runs: list = field(default_factory=list)

    async def probe(self):
        self.runs.append(1)
        return self.script[min(len(self.runs), len(self.script)) - 1]


@dataclass(frozen=True, kw_only=True)
class Hanging(BaseCheck):
    """Never answers; a stubborn one also swallows its cancellation until it is let go."""

    stubborn: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: list = field(default_factory=list)

    async def run(self):
        self.begun.append(1)
        while not self.gate.is_set():
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise
        return await super().run()

    async def probe(self):
        return Finding(Status.HEALTHY)


async def until(condition, within=5.0):
    """Wait for a condition of another task."""
    async with asyncio.timeout(within):
        while not condition():
            done = asyncio.Event()
            asyncio.get_running_loop().call_later(0.01, done.set)
            await done.wait()


def changes(bus):
    return [(entry.event.was, entry.event.now) for entry in bus.journal if isinstance(entry.event, CheckChanged)]


def quick(**options):
    return {"interval": 0.05, "timeout": 0.04, "stale_after": 5.0, **options}


async def test_results_and_turns_come_as_the_checks_run():
    bad = Finding(Status.UNHEALTHY, "connection refused")
    check = Scripted(name="web", script=[Finding(Status.HEALTHY), bad, bad, bad, Finding(Status.HEALTHY)], **quick())
    bus = Bus()
    monitor = Monitor([check], bus=bus, chance=seeded_chance(1))
    assert monitor.state("web").status is Status.UNKNOWN
    assert not monitor.ready()
    await monitor.start()
    await until(lambda: len(check.runs) > 5)
    await monitor.stop()
    assert changes(bus) == [("unknown", "healthy"), ("healthy", "unhealthy"), ("unhealthy", "healthy")]
    turned = [entry.event for entry in bus.journal if entry.event.now == "unhealthy"]
    assert turned[0].reason == "connection refused"
    state = monitor.state("web")
    assert monitor.ready()
    assert (state.status, state.reason) == (Status.HEALTHY, "")
    assert (state.runs, state.failures) == (len(check.runs), 3)
    assert sum(minute.failures for minute in state.history) == 3
    assert sum(state.duration.counts) == state.runs


async def test_a_hung_check_delays_no_other():
    hung = Hanging(name="hung", **quick())
    fine = Scripted(name="fine", **quick())
    monitor = Monitor([hung, fine], bus=Bus(), chance=lambda: 0.0)
    await monitor.start()
    await until(lambda: len(fine.runs) >= 5 and monitor.state("hung").last is not None)
    await monitor.stop()
    assert monitor.state("hung").status is Status.UNHEALTHY
    assert monitor.state("hung").reason == "no answer within 40 ms"
    assert monitor.state("fine").status is Status.HEALTHY


async def test_a_run_that_ignores_its_cancellation_is_not_begun_twice():
    hung = Hanging(name="hung", stubborn=True, **quick())
    monitor = Monitor([hung], bus=Bus(), chance=lambda: 0.0)
    await monitor.start()
    await until(lambda: monitor.state("hung").runs >= 3)
    assert len(hung.begun) == 1
    assert "cannot be interrupted" in monitor.state("hung").reason
    hung.gate.set()
    await until(lambda: monitor.state("hung").status is Status.HEALTHY)
    await monitor.stop()


async def test_a_check_that_raises_is_unhealthy_with_the_class_of_its_error():
    class Broken(Scripted):
        async def run(self):
            raise LookupError("no such\nthing")

    monitor = Monitor([Broken(name="b", **quick())], bus=Bus(), chance=lambda: 0.0)
    await monitor.start()
    await until(monitor.ready)
    await monitor.stop()
    assert monitor.state("b").reason == "LookupError: no such\\nthing"


async def test_a_result_grows_stale_when_nothing_new_comes():
    clock, bus = HandClock(), Bus()
    check = Scripted(name="web", interval=10.0, timeout=5.0)
    monitor = Monitor([check], bus=bus, clock=clock, chance=lambda: 0.0)
    await monitor.start()
    await until(monitor.ready)
    await monitor.stop()
    clock.at += 35.0
    assert monitor.state("web").status is Status.HEALTHY
    assert monitor.state("web").age == 35.0
    clock.at += 0.1
    state = monitor.state("web")
    assert (state.status, state.reason) == (Status.UNKNOWN, "no result for 35 s")
    assert changes(bus)[-1] == ("healthy", "unknown")


async def test_first_looks_are_spread_and_come_within_a_second():
    checks = [Scripted(name=f"c{n}", interval=60.0) for n in range(30)]
    monitor = Monitor(checks, bus=Bus(), chance=seeded_chance(3))
    await monitor.start()
    await until(monitor.ready, within=3.0)
    await monitor.stop()
    assert all(len(check.runs) == 1 for check in checks)


async def test_stopping_twice_and_starting_twice_do_nothing_more():
    check = Scripted(name="web", interval=60.0)
    monitor = Monitor([check], bus=Bus(), chance=lambda: 0.0)
    await monitor.start()
    await monitor.start()
    await until(monitor.ready)
    await monitor.stop()
    await monitor.stop()
    assert len(check.runs) == 1


def test_two_checks_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match='check "web" is there twice'):
        Monitor([Scripted(name="web"), Scripted(name="web")], bus=Bus())
    with pytest.raises(ConfigurationError, match="max_concurrent = 0"):
        Monitor([], bus=Bus(), max_concurrent=0)


def test_the_history_keeps_one_hour_by_the_minute():
    from seawall.health.base import CheckResult
    from seawall.health.history import History

    history = History()
    for second in range(0, 7200, 10):
        failed = second % 60 == 0
        status = Status.UNHEALTHY if failed else Status.DEGRADED
        history.add(CheckResult("x", status, float(second % 60), {}, ""), 1_700_000_040.0 + second)
    minutes = history.minutes(1_700_000_040.0 + 7200)
    assert 59 <= len(minutes) <= 61
    assert {(m.runs, m.failures, m.slowest) for m in minutes} == {(6, 1, 50.0)}
    assert (history.runs, history.failures) == (720, 120)
