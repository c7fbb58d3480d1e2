"""The state of every policy and pipeline at one moment, as plain data.

Metrics, the link to the daemon, the dashboard and `explain` all read this one shape; nothing above `pipeline` reaches
into a policy. Everything in it turns into JSON and back without loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


class HistogramData(NamedTuple):
    """Counts of a distribution.

    `bounds` are inclusive upper limits in ascending order; `counts` has one more entry than `bounds` (the last is for
    everything above) and is not cumulative; `total` is the sum of all observed values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """One policy at one moment.

    Args:
        kind: "circuit_breaker", "retry", "rate_limiter", "bulkhead", "timeout", "deadline", "fallback".
        name: the policy's name, unique among its kind.
        pipelines: names of the pipelines it stands in.
        state: the word for its state ("closed", "open", "half-open", "forced-open", …), "" where a kind has none.
        counters: only ever growing counts, by a dotted name: "requests.success", "state_changes.closed.open".
        gauges: present values: "in_flight", "queued", "tokens", "retry_after".
        histograms: distributions: "duration", "delay", "wait".
        details: what else a person wants to read: reason, evidence, forced (owner, reason, until), options.
    """

    kind: str
    name: str
    pipelines: tuple[str, ...] = ()
    state: str = ""
    counters: Mapping[str, int] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, HistogramData] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PipelineSnapshot:
    """One pipeline at one moment: `policies` are (kind, name) pairs, outermost first.

    Counters: "calls.success", "calls.degraded", "calls.failure", "calls.rejected", "calls.cancelled".
    Histogram: "duration" of whole logical calls, seconds. Overrides: changes, owner, reason and expiry of each.
    """

    name: str
    policies: tuple[tuple[str, str], ...]
    counters: Mapping[str, int] = field(default_factory=dict)
    histograms: Mapping[str, HistogramData] = field(default_factory=dict)
    overrides: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything one program protects, at one moment.

    Args:
        taken_at: wall time, seconds since the epoch.
        pipelines: in order of their names.
        policies: in order of kind and name.
    """

    taken_at: float
    pipelines: tuple[PipelineSnapshot, ...] = ()
    policies: tuple[PolicySnapshot, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes as it is; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Snapshot:
        """Build a snapshot from what `as_json` gave.

        Raises:
            KeyError, TypeError, ValueError: if `data` is not of that shape.
        """
        return cls(
            taken_at=float(data["taken_at"]),
            pipelines=tuple(
                PipelineSnapshot(
                    name=str(p["name"]),
                    policies=tuple((str(kind), str(name)) for kind, name in p["policies"]),
                    counters={str(k): int(v) for k, v in p["counters"].items()},
                    histograms=_histograms(p["histograms"]),
                    overrides=tuple(dict(each) for each in p.get("overrides", ())),
                )
                for p in data["pipelines"]
            ),
            policies=tuple(
                PolicySnapshot(
                    kind=str(p["kind"]),
                    name=str(p["name"]),
                    pipelines=tuple(str(n) for n in p["pipelines"]),
                    state=str(p["state"]),
                    counters={str(k): int(v) for k, v in p["counters"].items()},
                    gauges={str(k): float(v) for k, v in p["gauges"].items()},
                    histograms=_histograms(p["histograms"]),
                    details=dict(p["details"]),
                )
                for p in data["policies"]
            ),
        )


def _histograms(data: Mapping[str, Any]) -> dict[str, HistogramData]:
    """Histograms from their JSON form, a list of three per name."""
    return {
        str(name): HistogramData(tuple(float(b) for b in bounds), tuple(int(c) for c in counts), float(total))
        for name, (bounds, counts, total) in data.items()
    }
