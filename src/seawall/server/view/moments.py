"""Moments that stay where they are."""

from __future__ import annotations

from collections.abc import Iterable

from seawall.server.view.rows import Row

_DRIFT = 1.5  # seconds by which a moment may move before it counts as another one


class Moments:
    """Remembers the moments of all parts from one state to the next.

    They are worked out from durations that were read a little earlier or later each time. Without this every row would
    change every second, countdowns would stutter, and two places of the page would disagree about the same moment.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str], float] = {}

    def steady(self, rows: Iterable[Row]) -> None:
        """Put moments that only jitter back to what they were."""
        before, self._seen = self._seen, {}

        def keep(kind: str, name: str, what: str, at: float) -> float:
            key = (kind, name, what)
            known = before.get(key)
            self._seen[key] = known if known is not None and abs(known - at) < _DRIFT else round(at, 1)
            return self._seen[key]

        for row in rows:
            for piece in row.pieces:
                if piece.since is not None:
                    piece.since = keep(piece.kind, piece.name, "since", piece.since)
                if piece.next_at is not None:
                    piece.next_at = keep(piece.kind, piece.name, "next", piece.next_at)
                if piece.override is not None and piece.override["expires_at"] is not None:
                    ends = keep(piece.kind, piece.name, "ends", piece.override["expires_at"])
                    piece.override = {**piece.override, "expires_at": ends}
