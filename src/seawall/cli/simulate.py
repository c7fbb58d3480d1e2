"""`seawall simulate`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from seawall.cli.codes import DEGRADED, FINE
from seawall.config.build import pipelines_from_file
from seawall.errors.text import safe_text
from seawall.events.words import seconds
from seawall.pipeline.figures import Figures, Opening
from seawall.pipeline.simulate import Compared, simulate

_RULE = "Attempts beyond the recorded ones behaved as the recorded one nearest in time; those cut short never answered."
_MOST = 10  # openings shown


def run(recording: Path, config: Path, pipeline: str, as_json: bool) -> int:  # noqa: FBT001  # handed on
    """Print the comparison; the code says whether the candidate does worse.

    Raises:
        ConfigurationError: if the recording is not whole, the file has mistakes, or both have nothing in common.
    """
    compared = simulate(recording, lambda: pipelines_from_file(config), pipeline or None)
    code = DEGRADED if any(one.worse for one in compared) else FINE
    if as_json:
        body = {
            "exit_code": code,
            "rule": _RULE,
            "pipelines": {
                one.pipeline: {
                    "worse": one.worse,
                    "recorded": one.recorded.as_json(),
                    "candidate": one.candidate.as_json(),
                }
                for one in compared
            },
        }
        print(json.dumps(body))
        return code
    for one in compared:
        print("\n".join(_table(one)))
        print()
    print(_RULE)
    return code


def _table(compared: Compared) -> Iterator[str]:
    """One pipeline: recorded and candidate beside each other."""
    one, other = compared.recorded, compared.candidate
    rows = [("", "recorded", "candidate"), *_rows(one, other)]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    more = other.bad - one.bad
    verdict = f"{more} more calls fail or are rejected" if more > 0 else f"{-more} fewer calls fail or are rejected"
    if more == 0:
        verdict = "as many calls fail or are rejected"
    yield f'"{safe_text(compared.pipeline, 80)}": with the candidate {verdict}.'
    for name, left, right in rows:
        yield f"  {name:<{widths[0]}}  {left:>{widths[1]}}  {right:>{widths[2]}}".rstrip()
    for who, figures in (("recorded", one), ("candidate", other)):
        for opening in figures.openings[:_MOST]:
            yield f"  {who}: {_opening(opening)}"
        if len(figures.openings) > _MOST:
            yield f"  {who}: and {len(figures.openings) - _MOST} more openings"


def _rows(one: Figures, other: Figures) -> Iterator[tuple[str, str, str]]:
    """The lines of the table."""
    yield "calls", str(one.calls), str(other.calls)
    yield "answered", str(one.answered), str(other.answered)
    for word, left, right in (("failed", one.failed, other.failed), ("rejected", one.rejected, other.rejected)):
        yield word, str(sum(left.values())), str(sum(right.values()))
        for cause in sorted({*left, *right}):
            yield f"  {safe_text(cause, 60)}", str(left.get(cause, 0)), str(right.get(cause, 0))
    if one.cancelled or other.cancelled:
        yield "cancelled", str(one.cancelled), str(other.cancelled)
    yield "of these answered by a fallback", str(one.fallback), str(other.fallback)
    yield "attempts", str(one.attempts), str(other.attempts)
    yield "retries", str(one.retries), str(other.retries)
    yield "attempts per call sent", f"{one.amplification:.2f}", f"{other.amplification:.2f}"
    yield "time waited", seconds(one.waited), seconds(other.waited)
    yield "p50", seconds(one.p50), seconds(other.p50)
    yield "p99", seconds(one.p99), seconds(other.p99)
    yield "circuit openings", str(len(one.openings)), str(len(other.openings))


def _opening(opening: Opening) -> str:
    """One opening in words."""
    end = "" if opening.closed else ", and did not close any more"
    why = safe_text(opening.why, 120)
    name = safe_text(opening.circuit, 80)
    return f'circuit "{name}" opened after {seconds(opening.at)} ({why}) for {seconds(opening.lasted)}{end}'
