"""Reads a recording, and refuses one that does not hold everything."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from seawall.core.errors import ConfigurationError
from seawall.errors.text import safe_text
from seawall.pipeline.record_lines import VERSION


class Tried(NamedTuple):
    """One attempt: `at` on the recording's monotonic scale, `took` seconds; `cut` if nobody waited for its end."""

    at: float
    took: float
    verdict: str
    cause: str = ""
    retry_after: float | None = None
    cut: bool = False


class Recorded(NamedTuple):
    """One logical call; `cause` is "policy:reason" if it was `refused`, else what failed."""

    pipeline: str
    at: float
    took: float
    attempts: tuple[Tried, ...]
    outcome: str
    cause: str = ""
    refused: bool = False
    cost: float = 1.0
    key: str | None = None


class Move(NamedTuple):
    """A circuit moved: `to` is the name of the event."""

    circuit: str
    to: str
    at: float
    why: str = ""


class RecordingFile(NamedTuple):
    """A whole recording, calls in the order of their beginning."""

    path: str
    header: dict[str, Any]
    calls: list[Recorded]
    moves: list[Move]


def read_recording(path: str | os.PathLike[str]) -> RecordingFile:
    """Read a recording.

    Raises:
        ConfigurationError: if it cannot be read, is of another version, was cut short or has gaps; with the place and
            what to do.
    """
    where = os.fspath(path)
    try:
        with open(where, encoding="utf-8") as file:
            lines = list(_parsed(where, file))
    except OSError as error:
        raise ConfigurationError(f"{where}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{where}: is no recording: it is not text ({error.reason})") from None
    if not lines or "seawall_recording" not in lines[0]:
        raise ConfigurationError(f"{where}:1: is no recording: make one with manager.record(path)")
    header = lines[0]
    if header["seawall_recording"] != VERSION:
        raise ConfigurationError(
            f"{where}:1: is of version {safe_text(header['seawall_recording'], 20)} and this seawall reads version "
            f"{VERSION}: record anew, or simulate with the seawall that recorded it "
            f"({safe_text(header.get('version'), 20)})"
        )
    _check_end(where, lines)
    calls, moves = [], []
    for place, line in enumerate(lines[1:-1], 2):
        try:
            if "circuit" in line:
                moves.append(Move(line["circuit"], line["to"], float(line["at"]), line.get("why", "")))
            else:
                calls.append(call_of(line))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{where}:{place}: is no call of a recording ({type(error).__name__}: {safe_text(error, 60)}): "
                "record anew"
            ) from None
    calls.sort(key=lambda call: call.at)
    moves.sort(key=lambda move: move.at)
    return RecordingFile(where, header, calls, moves)


def call_of(line: dict[str, Any]) -> Recorded:
    """A call from its line.

    Raises:
        KeyError, TypeError, ValueError: if it is none.
    """
    at = float(line["at"])
    attempts = tuple(
        Tried(
            at + float(one["at"]),
            float(one["took"]),
            str(one["verdict"]),
            str(one.get("cause", "")),
            None if one.get("retry_after") is None else float(one["retry_after"]),
            bool(one.get("cut", False)),
        )
        for one in line["attempts"]
    )
    return Recorded(
        str(line["pipeline"]),
        at,
        float(line["took"]),
        attempts,
        str(line["outcome"]),
        str(line.get("cause", "")),
        bool(line.get("refused", False)),
        float(line.get("cost", 1.0)),
        line.get("key"),
    )


def _parsed(where: str, file: Any) -> Iterator[dict[str, Any]]:
    """The lines as objects.

    Raises:
        ConfigurationError: naming the first that is none.
    """
    for place, text in enumerate(file, 1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict):
            cut = (
                "the recording was cut short here (stop() it, so that it is closed)" if place > 1 else "is no recording"
            )
            raise ConfigurationError(f"{where}:{place}: is no line of JSON: {cut}: record anew")
        yield line


def _check_end(where: str, lines: list[dict[str, Any]]) -> None:
    """Refuse a recording that does not say how it ended, or does not hold all it should.

    Raises:
        ConfigurationError: with the place and what to do.
    """
    last, place = lines[-1], len(lines)
    if "end" not in last:
        raise ConfigurationError(
            f"{where}:{place}: the recording was cut short after this line: its program was killed or its disk was "
            "full. Record anew, and stop() it"
        )
    if last["end"] == "full":
        raise ConfigurationError(
            f"{where}:{place}: the recording reached its max_bytes, and calls after it are missing: record anew with a "
            "larger max_bytes, or for a shorter time"
        )
    numbers = sorted(line.get("n", 0) for line in lines[1:-1])
    if last.get("dropped") or numbers != list(range(1, last.get("lines", 0) + 1)):
        missing = next((n for n, found in enumerate(numbers, 1) if n != found), len(numbers) + 1)
        raise ConfigurationError(
            f"{where}: has gaps: {last.get('dropped', 0)} of {last.get('lines', 0)} lines were dropped because the "
            f"disk was too slow, number {missing} first. Record anew on a faster disk"
        )
