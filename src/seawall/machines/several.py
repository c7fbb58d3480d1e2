"""Several limits at once: a call goes when all of them let it, and takes from all of them or from none.

The moment is the latest of theirs: each limit, once it would let a call go, goes on letting it while nobody else takes.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from seawall.machines.waiting import Line

if TYPE_CHECKING:
    from seawall.machines.shared import Shared


class SeveralOptions(NamedTuple):
    """Settings of several limits.

    Args:
        parts: the settings of each.
        max_wait: seconds a caller may wait; 0 means never.
    """

    parts: tuple[Any, ...]
    max_wait: float = 0.0


class Several(Line):
    """Limits that bind together; see `Line` for what callers ask of them. Their names are shown in refusals."""

    __slots__ = ("parts",)
    options: SeveralOptions

    def __init__(
        self, key: Hashable, parts: Sequence[Line], max_wait: float = 0.0, shared: Shared | None = None
    ) -> None:
        super().__init__(key, SeveralOptions(tuple(part.options for part in parts), max_wait), shared)
        self.parts = tuple(parts)

    @property
    def capacity(self) -> float:
        """The smallest of theirs."""
        return min(part.capacity for part in self.parts)

    def _clock(self, now: float) -> float:
        at = super()._clock(now)
        for part in self.parts:
            part._clock(at)  # so that they forget what has passed
        return at

    def _when(self, cost: float, start: float) -> float:
        return max(part._when(cost, start) for part in self.parts)

    def _take(self, cost: float, at: float) -> tuple[Any, ...]:
        return tuple(part._take(cost, at) for part in self.parts)

    def _undo(self, cost: float, at: float, mark: Any) -> None:
        for part, its in zip(self.parts, mark, strict=True):
            part._undo(cost, at, its)

    def _give(self, cost: float, at: float, now: float) -> None:
        for part in self.parts:
            part._give(cost, at, now)

    def _level(self, at: float) -> float:
        return min(part._level(at) for part in self.parts)

    def _empty(self, now: float) -> None:
        for part in self.parts:
            part._empty(now)

    def _halt(self, start: float, until: float) -> None:
        for part in self.parts:
            part._halt(start, until)
            part.gate = until

    def _tune(self, options: SeveralOptions, now: float) -> None:
        for part, its in zip(self.parts, options.parts, strict=True):
            part._tune(its, now)
            part.options = its

    def _evidence(self, cost: float, start: float) -> dict[str, object]:
        binding = max(self.parts, key=lambda part: part._when(cost, start))
        return {"binding": binding.name, **binding._evidence(cost, start)}

    def reset(self, now: float) -> Any:
        """See `Line.reset`."""
        for part in self.parts:
            part.gate = -math.inf
        return super().reset(now)
