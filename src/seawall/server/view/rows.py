"""Dependencies as rows: everything that bears one name, worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from seawall.core.snapshot import PipelineSnapshot, Snapshot
from seawall.events.words import seconds
from seawall.health.history import Minute
from seawall.health.monitor import CheckState
from seawall.server.history import MINUTES, Reading, Track, Tracks, share_digit
from seawall.server.parts import Process, Program
from seawall.server.view.pieces import CIRCUIT, FINE, NOTICE, Piece, of_check, of_policy, of_process


@dataclass(slots=True)
class Sources:
    """Everything a view is made from, taken at one moment (`wall`)."""

    wall: float
    snapshot: Snapshot
    checks: Sequence[CheckState] = ()
    processes: Sequence[Process] = ()
    programs: Sequence[Program] = ()
    tracks: Tracks = field(default_factory=Tracks)


@dataclass(slots=True)
class Row:
    """One dependency."""

    id: str
    pieces: list[Piece] = field(default_factory=list)
    checks: list[CheckState] = field(default_factory=list)
    pipelines: list[PipelineSnapshot] = field(default_factory=list)
    track: Track | None = None
    present: Reading = field(default_factory=Reading)
    span: float = 0.0  #: seconds that `present` covers
    usual: Reading = field(default_factory=Reading)
    began: float | None = None  #: when this trouble began, if it is remembered
    failing: str = ""  #: a sentence, if many calls fail although nothing has tripped

    @property
    def lead(self) -> Piece:
        """The part that says most: of the broken ones the one that lies lowest, otherwise the circuit.

        A process that is just coming back is no longer broken, but why it ended is still why the rest is.
        """
        worst = max(piece.level for piece in self.pieces)
        if worst == FINE:
            return next((piece for piece in self.pieces if piece.rank == CIRCUIT), self.pieces[0])
        # BROKEN and WORST are equally broken when it comes to what caused what
        bad = [piece for piece in self.pieces if piece.level >= min(worst, 2) or piece.ended_before]
        return min(bad, key=lambda piece: (piece.rank, -piece.level, piece.since or 0))

    @property
    def level(self) -> int:
        """The worst level of its parts; calls that fail are worth a look before anything trips."""
        return max(NOTICE if self.failing else FINE, *(piece.level for piece in self.pieces))

    @property
    def since(self) -> float | None:
        """When the trouble began; None when all is fine."""
        if self.began is not None:
            return self.began
        return min((piece.since for piece in self.pieces if piece.level and piece.since), default=None)

    @property
    def override(self) -> dict[str, Any] | None:
        """The pin on its circuit, if there is one."""
        return next(({"circuit": one.name, **one.override} for one in self.pieces if one.override), None)


def build_rows(sources: Sources) -> list[Row]:
    """All dependencies, worst first, then by name.

    A circuit stands under its own name, a check under its dependency, a process under its name. Other policies and the
    pipelines themselves stand with the first circuit of their pipeline, or under the pipeline's name without one.
    """
    rows: dict[str, Row] = {}

    def row(name: str) -> Row:
        return rows.setdefault(name, Row(name))

    homes = {pipeline.name: _home(pipeline) for pipeline in sources.snapshot.pipelines}
    for process in sources.processes:
        row(process.name).pieces.append(of_process(process, sources.wall))
    for check in sources.checks:
        one = row(check.dependency)
        one.pieces.append(of_check(check))
        one.checks.append(check)
    for policy in sources.snapshot.policies:
        at_home = policy.name if policy.kind == "circuit_breaker" else homes.get(next(iter(policy.pipelines), ""))
        one = row(at_home or policy.name)
        one.pieces.append(of_policy(policy, sources.snapshot.taken_at))
        if policy.kind == "circuit_breaker":
            one.track = sources.tracks.circuits.get(policy.name)
    for pipeline in sources.snapshot.pipelines:
        one = row(homes[pipeline.name])
        one.pipelines.append(pipeline)
        if not one.pieces:
            one.pieces.append(Piece("pipeline", pipeline.name, CIRCUIT, "disc", "in force", FINE))
        if one.track is None:
            one.track = sources.tracks.pipelines.get(pipeline.name)
    for one in rows.values():
        _measure(one, sources.wall)
        one.pieces.sort(key=lambda piece: (-piece.level, piece.rank, piece.name))
    return sorted(rows.values(), key=lambda one: (-one.level, one.id))


def _home(pipeline: PipelineSnapshot) -> str:
    """The dependency a pipeline belongs to."""
    return next((name for kind, name in pipeline.policies if kind == "circuit_breaker"), pipeline.name)


def _measure(row: Row, wall: float) -> None:
    """Put in the present figures and the usual ones."""
    if row.track is None:
        return
    row.present, row.span = row.track.recent(wall)
    row.usual = row.track.normal(wall)
    rate = row.present.error_rate
    if rate is not None and rate >= 0.1 and row.present.bad >= 3:
        row.failing = f"{rate:.0%} of calls failed in the last {round(row.span) or 1} s"


def row_json(row: Row, wall: float) -> dict[str, Any]:
    """A row as the page gets it."""
    lead = row.lead
    volume, bad = _spark(row, wall)
    waits = min((piece for piece in row.pieces if piece.next_at), key=lambda piece: piece.next_at or 0, default=None)
    circuit = next((piece.name for piece in row.pieces if piece.rank == CIRCUIT and piece.kind == "circuit"), None)
    return {
        "id": row.id,
        "level": row.level,
        "shape": lead.shape if row.level == lead.level or lead.level else "half",
        "word": lead.word if lead.level or not row.failing else "failing",
        "reason": (lead.text if lead.level else "") or row.failing or lead.text,
        "since": row.since,
        "error_rate": _digits(row.present.error_rate),
        "usual_error_rate": _digits(row.usual.error_rate),
        "p99": _digits(row.present.p99),
        "usual_p99": _digits(row.usual.p99),
        "figure": _figure(row),
        "calls_per_minute": _per_minute(row.present.calls, row.span),
        "refused_per_minute": _per_minute(row.present.refused, row.span),
        "volume": volume,
        "bad": bad,
        "next": None if waits is None else {"text": waits.next_text, "at": waits.next_at},
        "override": row.override,
        "circuit": circuit,
        "pipelines": [pipeline.name for pipeline in row.pipelines],
        "parts": [piece.as_json() for piece in row.pieces],
    }


def _figure(row: Row) -> dict[str, Any] | None:
    """The one figure of a dependency that nobody calls through a policy."""
    for check in row.checks:
        details = check.last.details if check.last else {}
        for key, label in (("free_ratio", "free"), ("used_ratio", "in use")):
            if key in details:
                return {"text": f"{details[key]:.0%}", "label": label}
    took = max((check.last.response_time_ms for check in row.checks if check.last), default=None)
    if took is not None:
        return {"text": "under 1 ms" if took < 1 else seconds(took / 1000), "label": "to answer the check"}
    process = next((piece for piece in row.pieces if piece.kind == "process" and piece.level == FINE), None)
    return {"since": process.since, "label": "up"} if process and process.since else None


def _digits(value: float | None) -> float | None:
    """Three digits: more would change every second and tell nobody anything."""
    return None if value is None else float(f"{value:.3g}")


def _per_minute(count: int, span: float) -> float:
    """A count as a rate per minute; nothing before there is enough to tell."""
    return 0.0 if span < 1 else float(f"{count * 60 / span:.2g}")


def _spark(row: Row, wall: float) -> tuple[str, str]:
    """The last hour: of the calls if there are any, otherwise of the checks."""
    if row.track is not None:
        volume, bad = row.track.spark(wall)
        if volume.strip("."):
            return volume, bad
    return _check_spark([check.history for check in row.checks], wall)


def _check_spark(histories: Sequence[Sequence[Minute]], wall: float) -> tuple[str, str]:
    """The last hour of checks: every minute equally high, and the share of runs that were bad."""
    now = int(wall // 60)
    runs, failures = [0] * MINUTES, [0] * MINUTES
    for history in histories:
        for minute in history:
            place = int(minute.start // 60) - now + MINUTES - 1
            if 0 <= place < MINUTES:
                runs[place] += minute.runs
                failures[place] += minute.failures
    volume = "".join("5" if count else "." for count in runs)
    bad = "".join(share_digit(bad / count) if count else "." for bad, count in zip(failures, runs, strict=True))
    return volume, bad
