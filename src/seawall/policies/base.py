"""What every policy shares: name, clock, lock, outbox, snapshot."""

from __future__ import annotations

import functools
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Protocol, TypeVar, overload

from seawall.core.clock import Clock, current_clock
from seawall.core.errors import RejectedError
from seawall.core.fork import renew_after_fork
from seawall.core.permit import Rejection
from seawall.core.ports import load
from seawall.core.validate import text
from seawall.events.bus import Bus, default_bus
from seawall.events.ids import hint, refusal_id
from seawall.events.types import CallRejected, CallShadowed, RawEvent
from seawall.events.words import describe

if TYPE_CHECKING:
    from seawall.core.snapshot import PolicySnapshot
    from seawall.drive.call import CostRule, KeyRule, Shape

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")


class OnClock(Protocol):
    """What moves to another clock with a policy: the unnamed pipeline of a policy that stands alone."""

    def rebound(self, clock: Clock, *, policies: bool = True) -> AbstractContextManager[None]:
        """Run on another clock inside the block."""


class PolicyBase:
    """A named policy that can stand in pipelines, or alone as a decorator.

    Args:
        name: label in logs and metrics; the pipeline's name if not given.
    """

    kind: ClassVar[str]
    rank: ClassVar[int]  #: place in a pipeline, outermost 0; see `pipeline/order.py`
    rejection: ClassVar[type[RejectedError]] = RejectedError
    shape: Shape = "guard"
    key: KeyRule | None = None  #: what sets calls apart, for guards and queues with a state for each key
    cost: CostRule | None = None  #: what a call takes of a rate limit; 1 where there is none
    shadow: bool = False  #: guards and queues: decide, count and report, but let everybody through
    #: Names of the attributes that are the policy's state: made by `_begin`, put aside by `rebound`.
    _state: ClassVar[tuple[str, ...]] = ("_outbox", "_numbers")

    def __init__(self, name: str | None) -> None:
        if name is not None:
            text(f"{type(self).__name__}.name", name)
        self.name = name or ""
        self.pipelines: tuple[str, ...] = ()
        self.clock: Clock = current_clock()
        self.bus: Bus = default_bus
        # Reentrant, because a garbage collection may finalise an abandoned coroutine while this very thread decides.
        self._lock: Any = threading.RLock()
        self._draining = threading.Lock()
        self._late: deque[Callable[[], object]] = deque()  # what such a finaliser left to be done after the decision
        self._alone: weakref.WeakSet[OnClock] = weakref.WeakSet()
        PolicyBase._begin(self)
        renew_after_fork(self)

    def _begin(self) -> None:
        """Start with a fresh state, guarded by `_lock`; what a subclass adds is begun by its own `__init__`."""
        self._outbox: deque[RawEvent] = deque()
        self._numbers = count(1)  # no plain number: copies made by overrides share it

    @overload
    def __call__(self, fn: classmethod[C, P, R], /) -> classmethod[C, P, R]: ...
    @overload
    def __call__(self, fn: staticmethod[P, R], /) -> staticmethod[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Callable[P, R]: ...
    def __call__(self, fn: Any, /) -> Any:
        """Protect a callable of any kind with this policy alone; see `Pipeline.__call__`."""
        return load("alone")(self, fn)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    # ------------------------------------------------------------ life

    def bind(self, name: str, bus: Bus) -> None:
        """Take the name of the first pipeline it stands in, unless it has one, and publish to the registry's bus."""
        if not self.name:
            self.name = name
            self._renamed()
        self.bus = bus

    def rebind(self, name: str, pipelines: tuple[str, ...], bus: Bus) -> None:
        """Take back a name: the pipeline that gave it was refused."""
        self.name, self.pipelines, self.bus = name, pipelines, bus
        self._renamed()

    def _renamed(self) -> None:
        """The machine's name follows the policy's."""

    def after_fork(self) -> None:
        """A new era in the child: locks are new, nothing is in flight, inherited permits are stale."""
        torn = not self._lock.acquire(blocking=False)  # another thread of the parent was in the middle of a decision
        self._lock = threading.RLock()
        self._draining = threading.Lock()
        self._late.clear()
        self._outbox.clear()
        if torn:
            self._fresh()
        else:
            self._renew()

    def shadow_begin(self) -> None:
        """From now on decide, count and report only, from a fresh state: it is a candidate beside live policies."""
        self.shadow = True
        self._fresh()

    def _renew(self) -> None:
        """The machine's part of `after_fork`."""

    @contextmanager
    def rebound(self, clock: Clock) -> Iterator[None]:
        """Run on another clock, from a fresh state, inside the block; clock and state of now return after it."""
        with ExitStack() as stack:
            for pipeline in list(self._alone):
                stack.enter_context(pipeline.rebound(clock, policies=False))
            before, state = self.clock, self._fresh()
            self.clock = clock
            try:
                yield
            finally:
                with self._lock:
                    self.clock = before
                    vars(self).update(state)

    def _fresh(self) -> dict[str, Any]:
        """Start afresh; returns the state of before."""
        with self._lock:
            before = {name: getattr(self, name) for name in self._state}
            self._begin()
            return before

    # ---------------------------------------------------------- events

    def _emit(self, kind: type, *fields: object) -> int:
        """Publish an event of a policy without a machine of its own; its number."""
        with self._lock:
            number = next(self._numbers)
            self._outbox.append((kind, number, self.clock.now(), self.name, *fields))
        self._publish()
        return number

    def refused(
        self, reason: str, evidence: Mapping[str, object] | None = None, error: type[RejectedError] | None = None
    ) -> RejectedError:
        """Report a refusal of a policy without a machine of its own, and build the error for it."""
        number = self._emit(CallRejected, self.kind, reason, None, dict(evidence or {}))
        return self.refuse(Rejection(reason, None, evidence, number), error)

    def _put_off(self, method: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Have `method` run as soon as this thread, which is deciding (`_lock._is_owned()`), has decided.

        That happens to finalisers only. A call would change what the decision is looking at, a wait would be for ever.
        """
        self._late.append(functools.partial(method, *args, **kwargs))

    def _publish(self) -> None:
        """Hand the outbox to the bus, unlocked: one thread at a time drains it in order, others leave theirs to it."""
        while self._late:
            self._late.popleft()()
        outbox = self._outbox
        while outbox and self._draining.acquire(blocking=False):
            try:
                while outbox:
                    raw = outbox.popleft()
                    if self.shadow and raw[0] is CallRejected:
                        raw = (CallShadowed, *raw[1:])
                    self.bus.publish(raw)
            finally:
                self._draining.release()

    def refuse(self, rejection: Rejection, error: type[RejectedError] | None = None) -> RejectedError:
        """The error for a refusal, in the words every other place uses; of another class than usual if one is given."""
        evidence = dict(rejection.evidence or {})
        name = rejection.name or self.name
        event = CallRejected(rejection.number, 0.0, name, self.kind, rejection.reason, rejection.retry_after, evidence)
        whole = refusal_id(self.kind, name, rejection.number, self.bus.journal.worker)
        return (error or self.rejection)(
            describe(event) + hint(whole),
            id=whole,
            policy=self.kind,
            name=name,
            retry_after=rejection.retry_after,
            evidence={"reason": rejection.reason, **evidence},
        )

    # -------------------------------------------------------- snapshot

    def snapshot(self) -> PolicySnapshot:
        """The policy at this moment, as plain data."""
        raise NotImplementedError
