"""The daemon's audience at a terminal: plain lines, or JSON."""

from __future__ import annotations

import json
import sys
from typing import Any, Protocol

from seawall.cli.terminal import clock_time, paint, wants_colour
from seawall.daemon.audience import Facts
from seawall.daemon.summary import PipelineLine, Summary
from seawall.events.journal import Entry
from seawall.events.types import ProcessExited
from seawall.events.words import describe, seconds

#: Shape and colour of what happened; the sentence says it, too.
_MARKS = {
    "CircuitOpened": ("○", "red"),
    "CircuitHalfOpened": ("◐", "yellow"),
    "CircuitClosed": ("●", "green"),
    "CircuitForced": ("◇", "yellow"),
    "CircuitReleased": ("◇", "cyan"),
    "ProcessExited": ("✕", "red"),
    "ProcessStarted": ("▸", "cyan"),
    "ProgramLinked": ("▸", "cyan"),
    "ProgramLost": ("▹", "dim"),
}
_CHECKS = {"healthy": ("●", "green"), "degraded": ("◐", "yellow"), "unknown": ("?", "yellow")}


class Output(Protocol):
    """Where lines go."""

    def out(self, text: str) -> None:
        """Lines for standard output."""

    def err(self, text: str) -> None:
        """Lines for standard error."""


class Plain:
    """Lines for people."""

    def __init__(self, writer: Output) -> None:
        self._writer = writer
        self._colour = wants_colour(sys.stdout)
        self._colour_err = wants_colour(sys.stderr)

    def progress(self, what: str, elapsed: float) -> None:
        """A step that takes its time."""
        self._writer.err(paint(f"  … {what}, {elapsed:.0f} s", "dim", colour=self._colour_err))

    def notice(self, text: str) -> None:
        """Something about the daemon itself."""
        self._writer.err(paint(text, "yellow", colour=self._colour_err))

    def ready(self, facts: Facts) -> None:
        """The addresses, and the hints of the file."""
        base = f"http://{facts.address}"
        rows = [("page", f"{base}/"), ("health", f"{base}/health"), ("metrics", f"{base}/metrics")]
        for name, pid, addresses in facts.processes:
            where = ", ".join(f"http://{one}" for one in addresses) or "listens nowhere"
            rows.append((name, f"{where}  (pid {pid})" if pid is not None else f"{where}  (not running)"))
        width = max(len(name) for name, _ in rows)
        head = paint(f'"{facts.name}" runs (pid {facts.pid}). Ctrl-C stops it.', "bold", colour=self._colour)
        lines = [head, *(f"  {name:<{width}}  {text}" for name, text in rows)]
        if facts.hints:
            lines += ["", *facts.hints]
        self._writer.out("\n".join([*lines, ""]))

    def event(self, entry: Entry) -> None:
        """One thing that happened."""
        shape, style = _mark(entry.event)
        source = f"  [{entry.source}]" if entry.source else ""
        text = describe(entry.event) + paint(source, "dim", colour=self._colour)
        moment = paint(clock_time(entry.wall), "dim", colour=self._colour)
        self._writer.out(f"{moment} {paint(shape, style, colour=self._colour)} {text}")

    def summary(self, summary: Summary) -> None:
        """The numbers of the run."""
        self._writer.out("\n".join(_summary_lines(summary)))


class Json:
    """One JSON object a line."""

    def __init__(self, writer: Output) -> None:
        self._writer = writer

    def progress(self, what: str, elapsed: float) -> None:
        """A step that takes its time."""
        self._writer.err(f"{what}, {elapsed:.0f} s")

    def notice(self, text: str) -> None:
        """Something about the daemon itself."""
        self._writer.err(text)

    def ready(self, facts: Facts) -> None:
        """The addresses."""
        base = f"http://{facts.address}"
        self._put(
            "ready",
            name=facts.name,
            pid=facts.pid,
            page=f"{base}/",
            health=f"{base}/health",
            metrics=f"{base}/metrics",
            state_dir=facts.state_dir,
            processes={name: {"pid": pid, "addresses": addresses} for name, pid, addresses in facts.processes},
            hints=facts.hints,
        )

    def event(self, entry: Entry) -> None:
        """One thing that happened, with its sentence."""
        self._put("event", text=describe(entry.event), **entry.as_json())

    def summary(self, summary: Summary) -> None:
        """The numbers of the run."""
        self._put("summary", **summary.as_json())

    def _put(self, what: str, **fields: Any) -> None:
        """One line; `type` says what it is."""
        self._writer.out(json.dumps({"type": what, **fields}, default=str, ensure_ascii=False))


def _mark(event: Any) -> tuple[str, str]:
    """Shape and colour of an event."""
    if type(event).__name__ == "CheckChanged":
        return _CHECKS.get(event.now, ("✕", "red"))
    if isinstance(event, ProcessExited) and event.how == "stopped as asked":
        return ("▹", "dim")
    return _MARKS.get(type(event).__name__, ("·", "dim"))


def _summary_lines(summary: Summary) -> list[str]:
    """The numbers of a run as a table and sentences."""
    lines = ["", f"Ran for {seconds(summary.seconds)}."]
    if summary.pipelines:
        lines += ["", *_table([_HEAD, *(_cells(one) for one in summary.pipelines)])]
    else:
        lines.append("No program has reported a pipeline.")
    if summary.circuits:
        lines.append("")
    for circuit in summary.circuits:
        told = ", ".join(f"{count} × {change}" for change, count in circuit.transitions.items()) or "no transition"
        lines.append(f'Circuit "{circuit.name}": {told}; {circuit.state} at the end.')
    for name, count in summary.restarts.items():
        lines.append(f'Process "{name}" was started again {count} time{"s" if count != 1 else ""}.')
    return lines


_HEAD = ("pipeline", "answered", "degraded", "rejected", "failed", "p50", "p99")


def _cells(line: PipelineLine) -> tuple[str, ...]:
    """One pipeline as the cells of a row."""
    counts = (f"{count:,}" for count in (line.answered, line.degraded, line.rejected, line.failed))
    times = ("–" if value is None else seconds(value) for value in (line.p50, line.p99))
    return (line.name, *counts, *times)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows with their columns under each other: the first to the left, numbers to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells))
    return lines
