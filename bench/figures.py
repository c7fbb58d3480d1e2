"""What a measurement gives: figures as data, to JSON and back, with where and of what they were taken."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Args:
        id: names it, for targets and for comparing runs: "question.what".
        words: what was measured, for people.
        unit: of `value`: "ns", "us", "ms", "B", "instructions", "" for a plain number.
        value: the median; None where it could not be measured, and then `note` says why.
        ratio: `value` divided by that of `per`; None where there is nothing to compare with.
        per: what the ratio is a ratio to.
        low, high: quartiles of what decides: the ratio, or the value if there is none.
        note: what a reader should know of it.
    """

    id: str
    words: str
    unit: str
    value: float | None
    ratio: float | None = None
    per: str = ""
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Report:
    """The figures of one interpreter, with what a reader needs to judge them."""

    python: str
    platform: str
    commit: str
    effort: str
    versions: dict[str, str]
    figures: list[Figure] = field(default_factory=list)

    def to_json(self) -> str:
        """As text, floats rounded to what they are worth."""
        return json.dumps(_rounded(asdict(self)), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Back from text.

        Raises:
            ValueError: if it is no report.
        """
        try:
            fields = json.loads(text)
            fields["figures"] = [Figure(**each) for each in fields["figures"]]
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise ValueError(f"no report of the bench: {error}") from error

    @property
    def series(self) -> str:
        """The release series: "3.11"."""
        return ".".join(self.python.split()[-1].split(".")[:2])


def missing(id: str, words: str, note: str) -> Figure:
    """A row for what cannot be measured here, with the reason."""
    return Figure(id, words, "", None, note=note)


def report(figures: list[Figure], *, quick: bool, versions: dict[str, str] | None = None) -> Report:
    """Figures of this process with its surroundings; no name of the machine and no path."""
    return Report(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        commit=commit(),
        effort="quick" if quick else "full",
        versions={"seawall": _seawall_version(), **(versions or {})},
        figures=figures,
    )


def commit() -> str:
    """The commit that is measured, "+" after it when `src` differs from it; "unknown" outside a checkout."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=10", "HEAD") + ("+" if git("status", "--porcelain", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def versions_of(*names: str) -> dict[str, str]:
    """Versions of installed distributions, those that are missing left out."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _seawall_version() -> str:
    """Of what is imported, installed or not."""
    module: Any = sys.modules.get("seawall")
    if module is None:
        import seawall as module  # late: some questions look at a process without it
    version: str = module.__version__
    return version


def _rounded(value: Any) -> Any:
    """Four significant digits: more of them are noise, and make every table differ."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value
