"""Stand-ins for the parts of a daemon: hand-built snapshots, processes, programs, and a hub that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from seawall.core.clock import SystemClock
from seawall.core.errors import ConfigurationError
from seawall.core.snapshot import HistogramData, PipelineSnapshot, PolicySnapshot, Snapshot
from seawall.measure.histogram import DURATION_BOUNDS, Histogram


class HandClock(SystemClock):
    """A clock that stands still until it is set; waits of a loop go by the loop's own time."""

    def __init__(self, now: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self.at = now
        self._wall = wall - now

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self._wall + self.at

    def loop_time(self, loop: Any, until: float) -> float:
        return float(loop.time() + (until - self.at))


class ProcessState(NamedTuple):
    name: str
    pid: int | None = 4242
    state: str = "running"
    since: float = 0.0
    restarts: int = 0
    restart_in: float | None = None
    last_exit: str = ""


class ProgramState(NamedTuple):
    name: str
    pid: int = 7
    worker: str = "w1"
    linked_at: float = 0.0
    last_seen: float = 0.0
    live: bool = True
    snapshot: Snapshot | None = None


class Ack(NamedTuple):
    program: str
    pid: int
    ok: bool
    message: str


class HandHub:
    """A hub with what the test put in; it notes what it was asked to force."""

    def __init__(self, clock: SystemClock) -> None:
        self.clock = clock
        self.policies: list[PolicySnapshot] = []
        self.pipelines: list[PipelineSnapshot] = []
        self.linked: list[ProgramState] = []
        self.asked: list[tuple[Any, ...]] = []
        self.acks: list[Ack] = [Ack("orders", 7, ok=True, message="")]

    def snapshot(self) -> Snapshot:
        return Snapshot(self.clock.wall(), tuple(self.pipelines), tuple(self.policies))

    def programs(self) -> list[ProgramState]:
        return self.linked

    async def force(self, name: str, state: str, *, owner: str, reason: str, expires_in: float | None) -> list[Ack]:
        if name == "unforceable":
            raise ConfigurationError("It cannot be forced.")
        self.asked.append(("force", name, state, owner, reason, expires_in))
        return self.acks

    async def release(self, name: str, *, owner: str, reason: str) -> list[Ack]:
        self.asked.append(("release", name, owner, reason))
        return self.acks


class HandSupervisor:
    """Processes as the test wants them."""

    def __init__(self, *processes: ProcessState) -> None:
        self.states = list(processes)

    def processes(self) -> list[ProcessState]:
        return self.states


def durations(fast: int = 0, slow: int = 0) -> HistogramData:
    """A histogram of `fast` calls of 4 ms and `slow` ones of 2 s."""
    histogram = Histogram(DURATION_BOUNDS)
    for _ in range(fast):
        histogram.observe(0.004)
    for _ in range(slow):
        histogram.observe(2.0)
    return histogram.data()


def circuit(
    name: str,
    state: str = "closed",
    *,
    good: int = 0,
    bad: int = 0,
    refused: int = 0,
    retry_after: float = 0.0,
    reason: str = "",
    since: float | None = None,
    forced: Mapping[str, Any] | None = None,
    pipelines: tuple[str, ...] = (),
    workers: Mapping[str, int] | None = None,
) -> PolicySnapshot:
    """A circuit breaker's snapshot."""
    details: dict[str, Any] = {"reason": reason, "since": since, "evidence": {}, "forced": forced}
    details["options"] = {"trip": ["FailureRate(0.5, window=30.0)"], "recovery_timeout": 30.0, "lease": None}
    if workers:
        details["workers"] = dict(workers)
    return PolicySnapshot(
        "circuit_breaker",
        name,
        pipelines or (name,),
        state,
        {"requests.success": good, "requests.failure": bad, "requests.rejected": refused, "failures": bad},
        {"retry_after": retry_after, "trials": 0},
        {"duration": durations(good, bad)},
        details,
    )


def pipeline(name: str, *policies: tuple[str, str], **calls: int) -> PipelineSnapshot:
    """A pipeline's snapshot; `calls` are its counts by result."""
    return PipelineSnapshot(
        name,
        policies or (("circuit_breaker", name),),
        {f"calls.{result}": calls.get(result, 0) for result in ("success", "degraded", "failure", "rejected")},
        {"duration": durations(calls.get("success", 0), calls.get("failure", 0))},
    )
