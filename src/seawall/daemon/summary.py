"""How a run was, in numbers: per pipeline and per circuit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from seawall.measure.histogram import quantile

if TYPE_CHECKING:
    from seawall.core.snapshot import PipelineSnapshot, Snapshot


class _Restarted(Protocol):
    """What of a process counts here."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def restarts(self) -> int:
        """How often it was started again."""


@dataclass(frozen=True, slots=True)
class PipelineLine:
    """One pipeline: logical calls by their end, and how long they took (seconds; None without calls)."""

    name: str
    answered: int
    degraded: int
    rejected: int
    failed: int
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class CircuitLine:
    """One circuit: its state at the end, and how often it went from one state to another ("closed to open": 2)."""

    name: str
    state: str
    transitions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole run; `restarts` is by process, and holds those that were restarted."""

    seconds: float
    pipelines: tuple[PipelineLine, ...] = ()
    circuits: tuple[CircuitLine, ...] = ()
    restarts: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The same as a dictionary."""
        return asdict(self)


def summarize(seconds: float, snapshot: Snapshot, processes: Sequence[_Restarted]) -> Summary:
    """The numbers of a run of `seconds`, from what all programs have counted."""
    return Summary(
        seconds=seconds,
        pipelines=tuple(_pipeline(one) for one in snapshot.pipelines),
        circuits=tuple(
            CircuitLine(one.name, one.state, _transitions(one.counters))
            for one in snapshot.policies
            if one.kind == "circuit_breaker"
        ),
        restarts={one.name: one.restarts for one in processes if one.restarts},
    )


def _pipeline(snapshot: PipelineSnapshot) -> PipelineLine:
    """One pipeline."""
    count = {what: snapshot.counters.get(f"calls.{what}", 0) for what in ("success", "degraded", "rejected", "failure")}
    durations = snapshot.histograms.get("duration")
    half, most = (None, None) if durations is None else (quantile(durations, 0.5), quantile(durations, 0.99))
    return PipelineLine(
        snapshot.name, count["success"], count["degraded"], count["rejected"], count["failure"], half, most
    )


def _transitions(counters: Any) -> dict[str, int]:
    """The transitions that happened: "closed to open"."""
    found = {}
    for key, count in counters.items():
        if key.startswith("state_changes.") and count:
            _, was, now = key.split(".")
            found[f"{was} to {now}"] = count
    return found
