"""What the call path may cost: the targets as data, in this place only.

Source: the project's performance targets. Ratios are to the bare call of the same run. Absolute times are compared as
they are measured; on a slow machine they fall short sooner, and the ratio beside them tells why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Field = Literal["ratio", "value"]
Bound = Literal["at most", "at least"]


@dataclass(frozen=True)
class Target:
    """One limit.

    Args:
        figure: id of the figure it holds for.
        bound: "at most" or "at least".
        limit: in `unit`; a ratio has "×".
        field: which number of the figure is compared.
        unit: for people.
        why: what a reader should know of the limit, such as how a tolerance was chosen.
        instead: id of a figure that decides, by its ratio, where the quartiles lie on both sides of the limit.
    """

    figure: str
    bound: Bound
    limit: float
    field: Field = "ratio"
    unit: str = "×"
    why: str = ""
    instead: str | None = None


def _counted(path: str, limit: float) -> Target:
    """A ratio to the bare call that instructions may settle."""
    return Target(f"call_path.{path}", "at most", limit, instead=f"instructions.{path}")


def _at_most(figure: str, limit: float, unit: str, why: str = "") -> Target:
    """A value with a unit of its own."""
    return Target(figure, "at most", limit, "value", unit, why)


# Nothing lost, less what chance takes: the bare call measured against itself has quartiles of about 1 ± 0.15 (the row
# "8 threads, bare call" of the tables). A lock on the call path takes half.
CONTENTION = 0.85
CHANCE = "1, less what the bare call varies by against itself"
# Children of both interpreters take turns. CPython 3.11 measured so against itself, three times on a busy machine, came
# out at 1.00 to 1.04.
VERSIONS = 1.05

TARGETS = (
    _counted("sync.breaker.bare", 12),
    _counted("async.breaker.bare", 5),
    Target("call_path.sync.limiter.bare", "at most", 8),
    Target("call_path.sync.bulkhead.bare", "at most", 5),
    Target("call_path.sync.retry.bare", "at most", 4),
    _counted("sync.stack.bare", 16),
    _counted("async.stack.bare", 7),
    _counted("sync.stack.measured", 20),
    _counted("async.stack.measured", 9),
    Target("call_path.async.timed.measured", "at most", 20),
    Target("call_path.rate.successes", "at most", 1.5),
    Target("call_path.rate.failures", "at most", 2),
    Target("versions.sync", "at most", VERSIONS, why="1 and the spread of equals"),
    Target("versions.async", "at most", VERSIONS, why="1 and the spread of equals"),
    Target("peers.sync.best", "at least", 10),
    Target("peers.async.best", "at least", 10),
    Target("peers.sync.popular", "at least", 80),
    _at_most("refusals.sync", 450, "ns"),
    Target("refusals.question", "at most", 5),
    Target("contention.breaker", "at least", CONTENTION, why=CHANCE),
    Target("contention.stack.measured", "at least", CONTENTION, why=CHANCE),
    Target("contention.stack.bare", "at least", CONTENTION, why=CHANCE),
    _at_most("memory.breaker", 600, "B"),
    _at_most("memory.bulkhead", 300, "B"),
    _at_most("memory.bulkhead.slot", 16, "B"),
    _at_most("memory.retry", 400, "B"),
    _at_most("memory.check", 1_100, "B"),
    _at_most("keys.bytes.token_bucket", 200, "B"),
    _at_most("keys.bytes.gcra", 200, "B"),
    _at_most("keys.kept", 10_000, "keys"),
    _at_most("imports.time", 25, "ms"),
    _at_most("imports.late", 0, ""),
    _at_most("imports.dataclasses", 15, ""),
    _at_most("decorating.time", 50, "µs"),
    _at_most("decorating.bytes", 2000, "B", "with what the first call adds it should stay below, too"),
)
