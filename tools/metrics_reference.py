"""Writes docs/reference/metrics.md from the one table of metrics.

`tools/metrics_reference.py` prints the page, `--write` writes it; a test compares it with the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from seawall.telemetry.conventions import CIRCUIT_STATES, METRICS

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "metrics.md"

HEAD = """\
# Metrics

After this page you know every metric that `/metrics` serves, its labels, and what its values mean.

The daemon serves the sum over all linked programs, in the Prometheus text format or, asked for by `Accept`, as
OpenMetrics. Counters never go back when a worker ends, and every series is there from the start with 0. Names begin
with the namespace, `seawall` unless it is set otherwise. Durations are in seconds.

| metric | kind | labels | meaning |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page."""
    rows = []
    for metric in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `seawall_{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    states = ", ".join(f"{word} {value}" for word, value in CIRCUIT_STATES.items())
    return HEAD + "\n".join(rows) + f"\n\nValues of `seawall_circuit_breaker_state`: {states}.\n"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
