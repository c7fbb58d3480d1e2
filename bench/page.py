"""The committed tables: one JSON file for each Python, and the Markdown that the documentation includes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import ROOT, Report
from bench.table import markdown, ratio_of, spread_of, value_of
from bench.targets import TARGETS
from bench.verdict import compare_all, table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RESULTS = ROOT / "bench" / "results"
PAGE = "tables.md"
QUESTIONS = {
    "call_path": "A call that succeeds",
    "plain": "The same by the plain drivers, without generated code",
    "refusals": "A call that is refused",
    "contention": "Eight threads on two CPUs",
    "peers": "Other libraries",
    "versions": "Against the oldest Python",
    "instructions": "Instructions",
    "memory": "Memory",
    "keys": "A limit for each key",
    "imports": "Importing",
    "decorating": "Decorating",
}


def figures_table(report: Report, question: str) -> str:
    """All figures of one question, or nothing if it was not run."""
    rows = [("what", "median", "ratio", "quartiles", "")]
    rows += [
        (one.words, value_of(one), ratio_of(one), spread_of(one), one.note or (one.per and f"to {one.per}"))
        for one in report.figures
        if one.id.partition(".")[0] == question
    ]
    return markdown(rows, right={1, 2, 3}) if len(rows) > 1 else ""


def section(report: Report) -> str:
    """One Python: what was measured, the targets, and every figure."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(report.versions.items()))
    parts = [
        f"### {report.python}",
        f"{report.platform}. Commit `{report.commit}`, {report.effort} run. {versions}.",
        table(compare_all(TARGETS, report.figures), as_markdown=True),
    ]
    for question, title in QUESTIONS.items():
        if rows := figures_table(report, question):
            parts += [f"#### {title}", rows]
    return "\n\n".join(parts)


def page(reports: Iterable[Report]) -> str:
    """The Markdown of all of them, oldest Python first."""
    ordered = sorted(reports, key=lambda one: [int(part) for part in one.series.split(".")])
    return "\n\n".join(["<!-- written by `make bench ARGS=--write` -->", *map(section, ordered)]) + "\n"


def write(reports: Iterable[Report], folder: Path = RESULTS) -> list[Path]:
    """Write the reports, and the page anew from them and from those of other Pythons that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for report in reports:
        path = folder / f"{report.python.replace(' ', '-').rpartition('.')[0].lower()}.json"
        path.write_text(report.to_json(), encoding="utf-8")
        written.append(path)
    stored = [Report.from_json(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    (folder / PAGE).write_text(page(stored), encoding="utf-8")
    return [*written, folder / PAGE]
