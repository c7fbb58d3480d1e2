"""Measures what the performance page asks, and compares it with the targets.

Examples:
  make bench                                 every question, on .venv's Python
  make bench ARGS="call_path refusals"       some of them
  make bench ARGS="--quick"                  short rounds: to try something out, not to judge
  make bench BENCH_PYTHONS="python3.12 python3.13"
                                             on these, too
  make bench ARGS="--write"                  and write bench/results, which the documentation shows

exit code (make itself says 2 for all but 0; `.venv/bin/python -m bench` keeps them apart):
  0  every target that could be measured is met
  1  something falls short
  2  something could not be run
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from bench import page
from bench.figures import ROOT, Report
from bench.harness import say
from bench.question import ChildError, child, environment
from bench.targets import TARGETS
from bench.verdict import Verdict, compare_all, exit_code, table

if TYPE_CHECKING:
    from collections.abc import Sequence

QUESTIONS = (
    "call_path",
    "refusals",
    "contention",
    "peers",
    "versions",
    "instructions",
    "memory",
    "keys",
    "imports",
    "decorating",
)
VERSION = "import sys; print(*sys.version_info[:3])"


def pythons() -> list[str]:
    """The interpreters to measure on, oldest first: this one, and those that BENCH_PYTHONS names.

    Raises:
        ChildError: one does not start.
    """
    named = [sys.executable, *os.environ.get("BENCH_PYTHONS", "").replace(os.pathsep, " ").split()]
    versions: dict[tuple[int, ...], str] = {}
    for python in named:
        try:
            said = child("-c", VERSION, python=python)
        except OSError as error:
            raise ChildError(f"BENCH_PYTHONS: {python} does not start: {error.strerror}") from error
        versions.setdefault(tuple(map(int, said.split())), python)
    return [python for _, python in sorted(versions.items())]


def ask(question: str, python: str, oldest: str, *, quick: bool) -> Report:
    """The report of one question, from a child whose progress goes to stderr.

    Raises:
        ChildError: it did not give one.
    """
    if question == "peers":
        python = child("tools/bench_env.py", python=python).strip()
    done = subprocess.run(
        [python, "-m", f"bench.{question}", "--json", *(["--quick"] if quick else [])],
        cwd=ROOT,
        env=environment(BENCH_OLDEST=oldest),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ChildError(f"{question} ended with {done.returncode}")
    return Report.from_json(done.stdout)


def joined(reports: Sequence[Report]) -> Report:
    """The reports of one interpreter's questions as one."""
    versions = {name: version for one in reports for name, version in one.versions.items()}
    return replace(reports[0], versions=versions, figures=[each for one in reports for each in one.figures])


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("question", nargs="*", help=f"any of: {', '.join(QUESTIONS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="short rounds: to try something out, not to judge")
    parser.add_argument("--write", action="store_true", help="write bench/results from a full run")
    chosen = parser.parse_args(arguments)
    if unknown := [each for each in chosen.question if each not in QUESTIONS]:
        parser.error(f"no such question: {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    if chosen.write and (chosen.quick or chosen.question):
        parser.error("--write keeps what a full run has found: leave out --quick and the questions")
    return chosen


def run(chosen: argparse.Namespace) -> int:
    """Ask everything of every interpreter, print the tables, and say how it went."""
    began, failed, reports, rows = time.monotonic(), [], [], []
    found = pythons()
    for python in found:
        answers = []
        for question in chosen.question or QUESTIONS:
            say(f"{question}, {' '.join(child('-V', python=python).split())}")
            try:
                answers.append(ask(question, python, found[0], quick=chosen.quick))
            except (ChildError, ValueError) as error:
                say(f"error: {error}")
                failed.append(question)
        if not answers:
            continue
        report = joined(answers)
        compared = compare_all(TARGETS, report.figures)
        print(f"\n{report.python}, {report.platform}, {report.commit}, {report.effort}\n\n{table(compared)}")
        reports.append(report)
        rows += compared
    counts = {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}
    print(f"\n{', '.join(f'{count} {verdict.value}' for verdict, count in counts.items())}")
    say(f"{time.monotonic() - began:.0f} s")
    if failed:
        say(f"could not be run: {', '.join(failed)}")
        return 2
    if chosen.write:
        for path in page.write(reports):
            say(f"wrote {path.relative_to(ROOT)}")
    return exit_code(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs as a command."""
    chosen = options(arguments)
    try:
        return run(chosen)
    except ChildError as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
