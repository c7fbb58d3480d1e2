"""Changes for a while: by context for what runs inside a block, by an operator for everybody until they expire."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from seawall.core.errors import ConfigurationError
from seawall.core.validate import duration, whole
from seawall.policies.retry import Retry
from seawall.policies.timeout import Deadline, Timeout

if TYPE_CHECKING:
    from seawall.policies.base import PolicyBase

#: What may be left out of a pipeline.
KINDS = frozenset({
    "fallback", "stale_cache", "deadline", "retry", "circuit_breaker", "rate_limiter", "bulkhead", "timeout",
})  # fmt: skip


class Changes(NamedTuple):
    """What is different while an override holds.

    Args:
        disable: kinds of policies that are left out.
        attempts: of the retry, instead of its own.
        timeout: seconds per attempt, instead of the timeout's own.
        deadline: seconds for the whole call, instead of the deadline's own.
    """

    disable: frozenset[str] = frozenset()
    attempts: int | None = None
    timeout: float | None = None
    deadline: float | None = None

    def __repr__(self) -> str:
        given = [f"{key}={value!r}" for key, value in self._asdict().items() if value not in (None, frozenset())]
        return ", ".join(part.replace("frozenset(", "").replace("})", "}") for part in given)

    def apply(self, policies: Sequence[PolicyBase]) -> list[PolicyBase]:
        """The policies with the changes; those that differ are copies that share all state with the originals."""
        changed = []
        for policy in policies:
            if policy.kind in self.disable:
                continue
            if isinstance(policy, Retry) and self.attempts is not None:
                policy = copy.copy(policy)  # noqa: PLW2901 - the one in force takes the place of its original
                policy.options = policy.options._replace(attempts=self.attempts)
            elif isinstance(policy, Timeout):
                limit = self.deadline if isinstance(policy, Deadline) else self.timeout
                if limit is not None:
                    policy.workers()  # made now, so that the copy has the same
                    policy = copy.copy(policy)  # noqa: PLW2901
                    policy.limit = limit
            changed.append(policy)
        return changed


class Override(NamedTuple):
    """An operator's override: what it changes, by whom, why, and until when on the pipeline's clock (None: no end)."""

    changes: Changes
    owner: str
    reason: str
    until: float | None


_active: ContextVar[tuple[tuple[str | None, Changes], ...]] = ContextVar("seawall_overrides", default=())


def changes(
    disable: Sequence[str] = (),
    attempts: int | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
) -> Changes:
    """Checked changes.

    Raises:
        ConfigurationError: naming the place, the value and what is known.
    """
    kinds = (disable,) if isinstance(disable, str) else tuple(disable)
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigurationError(
                f"override.disable: {kind!r} is no kind of policy; known: {', '.join(sorted(KINDS))}"
            )
    if attempts is not None:
        whole("override.attempts", attempts, 1)
    for key, value in (("timeout", timeout), ("deadline", deadline)):
        if value is not None:
            duration(f"override.{key}", value)
    made = Changes(frozenset(kinds), attempts, timeout, deadline)
    if made == Changes():
        raise ConfigurationError("override(): changes nothing; give disable, attempts, timeout or deadline")
    return made


@contextmanager
def override(
    name: str | None = None,
    *,
    disable: Sequence[str] = (),
    attempts: int | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
) -> Iterator[None]:
    """Change pipelines for the calls made inside the block, in this context only.

    For a batch job that may take longer, for a test without retries, for one call that must not be tried twice. Other
    threads and tasks see nothing of it; those started inside the block take it along as they do any context.

    Args:
        name: of the pipeline; None for all.
        disable: kinds of policies to leave out: "retry", "circuit_breaker", "rate_limiter", "bulkhead", "timeout",
            "deadline", "fallback", "stale_cache".
        attempts: calls in all, from 1, instead of what the retry says.
        timeout: seconds per attempt, > 0, instead of what the timeout says.
        deadline: seconds for the whole call, > 0, instead of what the deadline says.

    Raises:
        ConfigurationError: if a value is out of its range, or nothing is changed.
    """
    token = _active.set((*_active.get(), (name, changes(disable, attempts, timeout, deadline))))
    try:
        yield
    finally:
        _active.reset(token)


def in_force(name: str, operator: Sequence[Override]) -> list[Changes]:
    """The changes that hold for a pipeline in this context: an operator's first, then those of blocks, inner last."""
    return [
        *(one.changes for one in operator),
        *(changed for target, changed in _active.get() if target is None or target == name),
    ]
