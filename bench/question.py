"""The command line that every question shares: `python -m bench.QUESTION [--json] [--quick]`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from bench.figures import ROOT, Figure, report
from bench.harness import FULL, QUICK, Effort
from bench.table import plain_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def answer(
    doc: str | None,
    measure: Callable[[Effort], list[Figure]],
    versions: Callable[[], dict[str, str]] = dict,
    arguments: Sequence[str] | None = None,
) -> int:
    """Runs one question as a command.

    Args:
        doc: of its module, for --help.
        measure: gives the figures.
        versions: of the packages it measures besides seawall.
        arguments: in place of the command line's.

    Returns:
        0; a question compares nothing, `python -m bench` does.
    """
    name = sys.modules["__main__"].__spec__
    parser = argparse.ArgumentParser(
        prog=f"python -m {name.name}" if name else None,
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--quick", action="store_true", help="shorter rounds: to try something out, not to judge")
    chosen = parser.parse_args(arguments)
    found = report(measure(QUICK if chosen.quick else FULL), quick=chosen.quick, versions=versions())
    if chosen.json:
        print(found.to_json(), end="")
    else:
        print(f"{found.python}, {found.platform}, seawall {found.versions['seawall']} at {found.commit}")
        print(plain_table(found.figures))
    return 0


def environment(**changed: str) -> dict[str, str]:
    """The environment of a child: this tree's `src` and `bench`, and nothing of the user's that changes Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))), "PYTHONHASHSEED": "0", **changed}


def child(*arguments: str, python: str | None = None, **changed: str) -> str:
    """What a child of the same interpreter prints.

    Raises:
        ChildError: it did not end with 0; with the last line of what it said.
    """
    done = subprocess.run(
        [python or sys.executable, *arguments],
        cwd=ROOT,
        env=environment(**changed),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ChildError(f"{' '.join(arguments[:2])} ended with {done.returncode}: {said[-1]}")
    return done.stdout


def child_json(*arguments: str, **changed: str) -> Any:
    """What a child prints, read as JSON."""
    return json.loads(child(*arguments, **changed))


class ChildError(RuntimeError):
    """A child process failed."""
