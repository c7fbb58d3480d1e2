"""The step language of the vectors: what all adapters share.

A vector is configuration, steps and expected results. An adapter reads every key it understands; a key that is left
over, in the configuration or in a step, makes the vector a skip and never a pass.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

#: Keys that explain and do not act.
REMARKS = frozenset({"note", "dialect", "tolerance", "unit", "comment"})


class NotBuiltError(Exception):
    """The vector needs something that seawall does not have, or not yet."""


class DiffersError(Exception):
    """The vector shows another choice than seawall's documented one."""


@dataclass(frozen=True)
class Vector:
    """One behaviour as data."""

    id: str
    pattern: str
    portability: str
    title: str
    requires: frozenset[str]
    data: dict[str, Any]

    @property
    def tolerance(self) -> float:
        return float(
            self.data.get("tolerance", 1e-6 if self.pattern in {"circuit_breaker", "sliding_window"} else 1e-9)
        )

    @property
    def config(self) -> "Keys":
        return Keys(self.data.get("config", {}), "configuration")

    @property
    def steps(self) -> list[dict[str, Any]]:
        return list(unrolled(self.data["steps"]))

    def mentions(self, *words: str) -> bool:
        """True if a step has one of these keys, operations or outcomes."""
        return any(word in step or word in step.values() for step in self.steps for word in words)


class Keys:
    """A dictionary that knows which of its keys were read."""

    def __init__(self, data: dict[str, Any], what: str) -> None:
        self._left = {key: value for key, value in data.items() if key not in REMARKS}
        self._what = what

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str, default: Any = None) -> Any:
        return self._left.pop(key, default)

    def take_all(self, prefix: str) -> dict[str, Any]:
        """All keys that begin with `prefix`, without it."""
        found = [key for key in self._left if key.startswith(prefix)]
        return {key.removeprefix(prefix): self._left.pop(key) for key in found}

    def expect(self, key: str, *values: Any) -> None:
        """Read a key of which we support these values only."""
        if key in self._left and (value := self._left.pop(key)) not in values:
            raise NotBuiltError(f"{key} = {value}")

    def done(self) -> None:
        """Insist that all has been read."""
        if self._left:
            raise NotBuiltError(f"{self._what}: {', '.join(sorted(self._left))}")


def unrolled(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Steps with the repeated ones written out."""
    for step in steps:
        if "repeat" in step:
            for _ in range(step["repeat"]):
                yield from unrolled(step["steps"])
        else:
            yield step


def load(*files: Path) -> list[Vector]:
    """The vectors of all files, in order; of one identity the first counts."""
    found: dict[str, Vector] = {}
    for file in files:
        for data in json.loads(file.read_text("utf-8"))["vectors"]:
            vector = Vector(
                data["id"], data["pattern"], data["portability"], data["title"], frozenset(data["requires"]), data
            )
            found.setdefault(vector.id, vector)
    return list(found.values())


def needs(vector: Vector, built: frozenset[str]) -> None:
    """Refuse a vector that needs more than is built."""
    lacking = sorted(vector.requires - built)
    if lacking:
        raise NotBuiltError(", ".join(lacking))


def close(actual: float | None, expected: float | None, tolerance: float) -> bool:
    """Equal up to a tolerance, absolute for small numbers and relative for huge ones."""
    if actual is None or expected is None:
        return actual is expected
    return abs(actual - expected) <= max(tolerance, 1e-12 * abs(expected))


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The value of a coroutine that never has to wait, without the cost of a loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise AssertionError("the call waited")


class Fail(Exception):
    """The outcome "fail"."""


class Excluded(Exception):
    """The outcome "excluded"."""


class ExcludedSubclass(Excluded):
    """The outcome "excluded_subclass"."""


class Interrupted(BaseException):
    """The outcome "baseexception": what is no Exception."""


class Named(Fail):
    """The outcome "error:<name>"."""


_ENDINGS: dict[str, type[BaseException]] = {
    "fail": Fail,
    "always_fail": Fail,
    "panic": RuntimeError,  # a crash nobody foresaw; in Python that is an ordinary exception of another class
    "excluded": Excluded,
    "excluded_subclass": ExcludedSubclass,
    "baseexception": Interrupted,
    "cancelled": asyncio.CancelledError,
}
_VALUES = {"True": True, "False": False, "None": None}


def ending(outcome: str) -> Callable[[], Any]:
    """What a protected function does for an outcome: gives its value or raises its error."""
    name, _, detail = outcome.partition(":")
    if outcome in _ENDINGS:
        kind = _ENDINGS[outcome]

        def raising() -> Any:
            raise kind(outcome)

        return raising
    if name == "error":

        def failing() -> Any:
            raise Named(detail)

        return failing
    if name == "result":
        return lambda: _VALUES.get(detail, detail)
    if outcome == "ok":
        return lambda: "ok"
    raise NotBuiltError(f"outcome {outcome}")
