"""The numbers of a run, from what programs have counted."""

from typing import NamedTuple

import pytest

from seawall.core.snapshot import HistogramData, PipelineSnapshot, PolicySnapshot, Snapshot
from seawall.daemon.summary import CircuitLine, PipelineLine, summarize


class Process(NamedTuple):
    name: str
    restarts: int


def test_counts_quantiles_transitions_and_restarts():
    snapshot = Snapshot(
        0.0,
        (
            PipelineSnapshot(
                "stock",
                (),
                {
                    "calls.success": 5,
                    "calls.degraded": 3,
                    "calls.rejected": 2,
                    "calls.failure": 1,
                    "calls.cancelled": 9,
                },
                {"duration": HistogramData((0.1, 1.0), (10, 1, 0), 1.5)},
            ),
            PipelineSnapshot("idle", ()),
        ),
        (
            PolicySnapshot(
                "circuit_breaker",
                "stock",
                state="open",
                counters={"state_changes.closed.open": 2, "state_changes.open.half-open": 1, "failures": 7},
            ),
            PolicySnapshot("retry", "stock", counters={"attempts.1": 5}),
        ),
    )
    summary = summarize(30.0, snapshot, [Process("a", 2), Process("b", 0)])
    stock = summary.pipelines[0]
    assert stock == PipelineLine("stock", 5, 3, 2, 1, stock.p50, stock.p99)
    assert stock.p50 == pytest.approx(0.055)
    assert 0.1 < (stock.p99 or 0) <= 1.0
    assert summary.pipelines[1] == PipelineLine("idle", 0, 0, 0, 0, None, None)
    assert summary.circuits == (CircuitLine("stock", "open", {"closed to open": 2, "open to half-open": 1}),)
    assert summary.restarts == {"a": 2}
    assert summary.as_json()["seconds"] == 30.0
