"""Writes samples in the Prometheus text format and in OpenMetrics.

The client library builds an object for every sample, 170 ms for a thousand policies; text is written directly
here and takes a tenth of that. Its parser is the judge in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seawall.telemetry.conventions import METRICS

if TYPE_CHECKING:
    from seawall.core.snapshot import HistogramData

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def escape(value: str) -> str:
    """A label's value as it stands between quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def number(value: float) -> str:
    """A sample's value; whole numbers stay whole."""
    if value != value:  # noqa: PLR0124 - the one value that differs from itself
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


class Page:
    """The samples of one scrape, by metric; written out in the order of the conventions."""

    def __init__(self, namespace: str) -> None:
        self._prefix = f"{namespace}_" if namespace else ""
        self._lines: dict[str, list[str]] = {}

    def add(self, metric: str, values: Sequence[str], value: float) -> None:
        """One sample of a counter or gauge; `values` are those of its labels, in order."""
        labels = ",".join(
            f'{label}="{escape(text)}"' for label, text in zip(METRICS[metric].labels, values, strict=True)
        )
        self._lines.setdefault(metric, []).append(f"{self._prefix}{metric}{{{labels}}} {number(value)}")

    def add_histogram(self, metric: str, values: Sequence[str], data: HistogramData) -> None:
        """All samples of one histogram."""
        labels = ",".join(
            f'{label}="{escape(text)}"' for label, text in zip(METRICS[metric].labels, values, strict=True)
        )
        name = f"{self._prefix}{metric}"
        lines = self._lines.setdefault(metric, [])
        running = 0
        for bound, count in zip(data.bounds, data.counts, strict=False):
            running += count
            lines.append(f'{name}_bucket{{{labels},le="{float(bound)!r}"}} {running}')
        running += data.counts[-1]
        lines.append(f'{name}_bucket{{{labels},le="+Inf"}} {running}')
        lines.append(f"{name}_sum{{{labels}}} {number(data.total)}")
        lines.append(f"{name}_count{{{labels}}} {running}")

    def text(self, *, openmetrics: bool = False) -> str:
        """The whole page. In OpenMetrics a counter's family has no `_total`, and the page says that it is whole."""
        out: list[str] = []
        for name, metric in METRICS.items():
            lines = self._lines.get(name)
            if not lines:
                continue
            family = self._prefix + (name.removesuffix("_total") if openmetrics and metric.kind == "counter" else name)
            out.append(f"# HELP {family} {metric.help}")
            out.append(f"# TYPE {family} {metric.kind}")
            out.extend(lines)
        if openmetrics:
            out.append("# EOF")
        return "\n".join(out) + "\n"
