"""What every policy shares: name, clock, lock, outbox, snapshot."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, ParamSpec, TypeVar

from seawall.core.clock import Clock, current_clock
from seawall.core.errors import ConfigurationError, RejectedError
from seawall.core.fork import renew_after_fork
from seawall.core.permit import Rejection
from seawall.core.ports import load
from seawall.core.snapshot import PolicySnapshot
from seawall.drive.call import Shape
from seawall.events.bus import Bus, default_bus
from seawall.events.types import CallRejected, RawEvent
from seawall.events.words import describe

P = ParamSpec("P")
R = TypeVar("R")


class PolicyBase:
    """A named policy that can stand in pipelines, or alone as a decorator.

    Args:
        name: label in logs and metrics; the pipeline's name if not given.
    """

    kind: ClassVar[str]
    rank: ClassVar[int]  #: place in a pipeline, outermost 0; see `pipeline/order.py`
    rejection: ClassVar[type[RejectedError]] = RejectedError
    shape: Shape = "guard"

    def __init__(self, name: str | None) -> None:
        if name is not None and (not isinstance(name, str) or not name.strip()):
            raise ConfigurationError(f"{type(self).__name__}.name = {name!r}: must be a text that is not empty")
        self.name = name or ""
        self.pipelines: tuple[str, ...] = ()
        self.clock: Clock = current_clock()
        self.bus: Bus = default_bus
        self._lock = threading.Lock()
        self._draining = threading.Lock()
        # Guarded by _lock
        self._outbox: deque[RawEvent] = deque()
        self._number = 0
        renew_after_fork(self)

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Protect a `def` or `async def` with this policy alone."""
        protected: Callable[P, R] = load("alone")(self, fn)
        return protected

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    # ------------------------------------------------------------ life

    def bind(self, name: str, bus: Bus) -> None:
        """Take the name of the first pipeline it stands in, unless it has one, and publish to the registry's bus."""
        if not self.name:
            self.name = name
            self._renamed()
        self.bus = bus

    def _renamed(self) -> None:
        """The machine's name follows the policy's."""

    def after_fork(self) -> None:
        """A new era in the child: locks are new, nothing is in flight, inherited permits are stale."""
        self._lock = threading.Lock()
        self._draining = threading.Lock()
        self._outbox.clear()
        self._renew()

    def _renew(self) -> None:
        """The machine's part of `after_fork`."""

    @contextmanager
    def rebound(self, clock: Clock) -> Iterator[None]:
        """Run on another clock, from a fresh state, inside the block; the present state returns with the present clock."""
        before = self.clock, self._fresh()
        self.clock = clock
        try:
            yield
        finally:
            self.clock, state = before
            self._restore(state)

    def _fresh(self) -> Any:
        """Replace the machine by a new one; returns the old one."""

    def _restore(self, state: Any) -> None:
        """Put back what `_fresh` returned."""

    # ---------------------------------------------------------- events

    def _emit(self, kind: type, *fields: object) -> None:
        """Publish an event of a policy without a machine of its own."""
        with self._lock:
            self._number += 1
            self._outbox.append((kind, self._number, self.clock.now(), self.name, *fields))
        self._publish()

    def _publish(self) -> None:
        """Hand the outbox to the bus, unlocked: one thread at a time drains it in order, others leave theirs to it."""
        outbox = self._outbox
        while outbox and self._draining.acquire(blocking=False):
            try:
                while outbox:
                    self.bus.publish(outbox.popleft())
            finally:
                self._draining.release()

    def refuse(self, rejection: Rejection) -> RejectedError:
        """The error for a refusal, in the words every other place uses."""
        evidence = dict(rejection.evidence or {})
        event = CallRejected(0, 0.0, self.name, self.kind, rejection.reason, rejection.retry_after, evidence)
        return self.rejection(
            describe(event),
            policy=self.kind,
            name=self.name,
            retry_after=rejection.retry_after,
            evidence={"reason": rejection.reason, **evidence},
        )

    # -------------------------------------------------------- snapshot

    def snapshot(self) -> PolicySnapshot:
        """The policy at this moment, as plain data."""
        raise NotImplementedError


def whole(where: str, value: Any, least: int) -> None:
    """Refuse what is not a whole number of at least `least`.

    Raises:
        ConfigurationError: naming the place, the value and the rule.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{where} = {value!r}: must be a whole number, at least {least}")


def duration(where: str, value: Any, *, zero: bool = False) -> None:
    """Refuse what is not a finite number of seconds above 0 (or from 0 on).

    Raises:
        ConfigurationError: naming the place, the value and the rule.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not (0 <= value < float("inf")) or (value == 0 and not zero):
        raise ConfigurationError(
            f"{where} = {value!r}: must be a number of seconds, {'at least' if zero else 'above'} 0",
        )
