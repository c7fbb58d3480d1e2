"""Changes for a while: by context for what runs inside a block, by an operator for everybody until they expire."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from seawall.core.errors import ConfigurationError
from seawall.core.validate import duration, text, whole
from seawall.drive.known import tell
from seawall.events.types import OverrideEnded, OverrideSet
from seawall.policies.bulkhead import Bulkhead
from seawall.policies.rate_limiter import RateLimiter
from seawall.policies.retry import Retry
from seawall.policies.timeout import Deadline, Timeout

if TYPE_CHECKING:
    from seawall.core.clock import Clock
    from seawall.pipeline.judge import Judge
    from seawall.policies.base import PolicyBase

P = TypeVar("P", Bulkhead, RateLimiter)

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
        import copy  # late: loaded when the pipeline was made

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
                    policy.stream_limits = policy.stream_limits._replace(total=limit)
            changed.append(policy)
        return changed


class Override:
    """An operator's override.

    Attributes:
        changes: what is different for calls while it holds.
        owner, reason: by whom, and why.
        until: the moment it ends on the pipeline's clock; None for no end.
        limits: rates and slots that were set, in words.
    """

    __slots__ = ("changes", "limits", "owner", "reason", "undo", "until")  # undo: by what was set

    def __init__(
        self,
        changed: Changes,
        owner: str,
        reason: str,
        until: float | None,
        limits: str,
        undo: dict[str, Callable[[], None]],
    ) -> None:
        self.changes = changed
        self.owner = owner
        self.reason = reason
        self.until = until
        self.limits = limits
        self.undo = undo

    def __repr__(self) -> str:
        return ", ".join(part for part in (repr(self.changes), self.limits) if part)


_active: ContextVar[tuple[tuple[str | None, Changes], ...]] = ContextVar("seawall_overrides", default=())
tell(look=None)  # what generated code asks whether overrides hold in its context; None until the first in this process


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
    return Changes(frozenset(kinds), attempts, timeout, deadline)


def _refuse_nothing(changed: Changes, *, more: str = "") -> None:
    """Refuse an override that changes nothing."""
    if changed == Changes():
        raise ConfigurationError(f"override(): changes nothing; give disable, attempts, timeout{more} or deadline")


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
    made = changes(disable, attempts, timeout, deadline)
    _refuse_nothing(made)
    tell(look=_active.get)
    token = _active.set((*_active.get(), (name, made)))
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


class Overridable:
    """A pipeline's overrides by an operator."""

    name: str
    policies: tuple[PolicyBase, ...]
    clock: Clock
    _judge: Judge
    _operator: tuple[Override, ...] = ()  # replaced as a whole

    def override(
        self,
        *,
        owner: str,
        reason: str,
        expires_in: float | None = 3600.0,
        disable: Sequence[str] = (),
        attempts: int | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        rate: str | None = None,
        max_concurrent: int | None = None,
    ) -> Override:
        """Change this pipeline for everybody until it expires; `lift` ends it sooner. See `seawall.override`.

        Args:
            owner: who does it.
            reason: why; shown wherever the pipeline is shown.
            expires_in: seconds, > 0; 3,600 by default, because a forgotten override must end. None is until lifted.
            disable: kinds of policies to leave out, as for `seawall.override`.
            attempts: calls in all, from 1.
            timeout: seconds per attempt, > 0.
            deadline: seconds for the whole call, > 0.
            rate: of the rate limiter, such as "10/second"; it holds wherever that limiter stands.
            max_concurrent: slots of the bulkhead, from 1; they hold wherever that bulkhead stands.

        Raises:
            ConfigurationError: if a value is out of its range, nothing is changed, or the policy is not there.
        """
        made = changes(disable, attempts, timeout, deadline)
        if rate is None and max_concurrent is None:
            _refuse_nothing(made, more=", rate, max_concurrent")
        text("override.owner", owner)
        text("override.reason", reason)
        if expires_in is not None:
            duration("override.expires_in", expires_in)
        until = None if expires_in is None else self.clock.now() + expires_in
        self._overrides()  # those that have expired put their limits back first
        limits, undo = self._set_limits(rate, max_concurrent)
        one = Override(made, owner, reason, until, limits, undo)
        with self._judge.deciding:
            self._operator = (*self._operator, one)
        if self._judge.quiet is not None:
            self._judge.quiet.disturb()
        self._judge.publish(OverrideSet, repr(one), owner, reason, expires_in)
        return one

    def _set_limits(self, rate: str | None, max_concurrent: int | None) -> tuple[str, dict[str, Callable[[], None]]]:
        """Set limits that policies keep themselves; in words, and what sets them back. All of them, or none."""
        undo: dict[str, Callable[[], None]] = {}
        words = []
        if max_concurrent is not None:
            bulkhead = self._only(Bulkhead)
            undo["max_concurrent"] = partial(bulkhead.resize, bulkhead.options.limit)
            bulkhead.resize(max_concurrent)
            words.append(f"max_concurrent={max_concurrent}")
        try:
            self._set_rate(rate, undo, words)
        except BaseException:
            for back in undo.values():
                back()
            raise
        return ", ".join(words), undo

    def _set_rate(self, rate: str | None, undo: dict[str, Callable[[], None]], words: list[str]) -> None:
        """See `_set_limits`."""
        if rate is not None:
            limiter = self._only(RateLimiter)
            before, burst = limiter.rate, limiter.burst
            if ", " in before:
                raise ConfigurationError(
                    f"override.rate = {rate!r}: the limiter has several ({before}); use its update"
                )
            kept = {"burst": burst} if limiter.algorithm in {"token_bucket", "gcra"} else {}
            limiter.update(rate)
            undo["rate"] = partial(limiter.update, before, **kept)
            words.append(f"rate={rate!r}")

    def _only(self, kind: type[P]) -> P:
        """The policy of that kind.

        Raises:
            ConfigurationError: if the pipeline has none.
        """
        for policy in self.policies:
            if isinstance(policy, kind):
                return policy
        raise ConfigurationError(
            f'override: pipeline "{self.name}" has no {kind.__name__} whose limit could be changed'
        )

    def lift(self, override: Override) -> bool:
        """End an operator's override; False if it has ended already."""
        return override in self._overrides() and self._end(override, "lifted")

    def _end(self, override: Override, reason: str) -> bool:
        """Take one override away; False if another thread has done so.

        A limit that a later one has set as well stays as that has it, which then puts back what was there before both.
        """
        with self._judge.deciding:
            if override not in self._operator:
                return False
            later = self._operator[self._operator.index(override) + 1 :]
            self._operator = tuple(one for one in self._operator if one is not override)
            undone = []
            for what, undo in override.undo.items():
                heir = next((one for one in later if what in one.undo), None)
                if heir is None:
                    undone.append(undo)
                else:
                    heir.undo[what] = undo
        for undo in undone:  # unlocked: it wakes who waits, and is told to listeners
            undo()
        self._judge.publish(OverrideEnded, override.owner, reason)
        return True

    def _overrides(self) -> tuple[Override, ...]:
        """The operator's overrides that hold now; those that have expired end."""
        if self._operator:
            now = self.clock.now()
            for one in self._operator:
                if one.until is not None and now >= one.until:
                    self._end(one, "expired")
        return self._operator

    def _in_force(self) -> Sequence[PolicyBase] | None:
        """The policies as overrides have them; None if nothing is overridden."""
        found = in_force(self.name, self._overrides())
        if not found:
            return None
        policies: Sequence[PolicyBase] = self.policies
        for one in found:
            policies = one.apply(policies)
        return policies

    def _shown_overrides(self) -> tuple[dict[str, Any], ...]:
        """The operator's overrides as plain data."""
        wall, now = self.clock.wall(), self.clock.now()
        return tuple(
            {
                "changes": repr(one),
                "owner": one.owner,
                "reason": one.reason,
                "expires_at": None if one.until is None else wall + one.until - now,
            }
            for one in self._overrides()
        )
