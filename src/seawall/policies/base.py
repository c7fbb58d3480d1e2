"""What every policy shares: name, clock, lock, outbox, snapshot."""

from __future__ import annotations

import functools
import math
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Protocol, TypeVar, overload

from seawall.core.clock import Clock, current_clock
from seawall.core.errors import RejectedError
from seawall.core.lazy import LazyState, lazy
from seawall.core.permit import Rejection
from seawall.core.ports import load
from seawall.core.validate import text
from seawall.events.bus import Bus, default_bus
from seawall.events.ids import hint, refusal_id
from seawall.events.types import CallRejected, CallShadowed, RawEvent
from seawall.events.words import describe

if TYPE_CHECKING:
    from types import CellType

    from seawall.core.permit import Permit
    from seawall.core.snapshot import PolicySnapshot
    from seawall.drive.call import Resumed
    from seawall.drive.protocols import CostRule, KeyRule, Shape
    from seawall.drive.quiet import Batch, Quiet
    from seawall.events.types import Refusal

ARRIVED = 4  #: batches that wait to be counted, until the next call that asks the machines counts them

MANY: Any = object()  #: in place of a kind in the outbox: many refusals follow

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")


class OnClock(Protocol):
    """What moves to another clock with a policy: the unnamed pipeline of a policy that stands alone."""

    def rebound(self, clock: Clock, *, policies: bool = True) -> AbstractContextManager[None]:
        """Run on another clock inside the block."""


class PolicyBase(LazyState):
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
    # What a policy does not differ in from others of its class is an attribute of that, see `_keep`.
    name: str = ""
    pipelines: tuple[str, ...] = ()
    _alone: OnClock | None = None
    # The state, made at the first use; `_standing` and `_begin` give what is in it.
    _lock: Any = lazy()
    _turn: list[None] = lazy()  # whose turn it is to publish takes this; see `drive/supply.py`
    _turns: Iterator[None] = lazy()
    _late: list[Callable[[], object]] = lazy()  # what a finaliser left to be done after the decision
    _arrived: list[Batch | Sequence[Refusal]] = lazy()  # calls that succeeded on a quiet path, still to be counted
    _cells: dict[str, CellType] = lazy()  # that generated code reads
    _outbox: deque[RawEvent] = lazy()
    _numbers: Iterator[int] = lazy()
    _quiets: tuple[weakref.ref[Quiet], ...] = ()
    _last: Batch | Sequence[Refusal] | None = None
    _epoch = 0  # how often the state has been another's

    def __init__(self, name: str | None) -> None:
        from seawall.policies import needed  # noqa: F401 - late: what calls need, and names do not

        if name is not None:
            text(f"{type(self).__name__}.name", name)
        self._keep(name=name or "")
        self.clock: Clock = current_clock()
        self.bus: Bus = default_bus

    def _whole(self) -> dict[str, Any]:
        return {**self._standing(), **self._begin()}

    def _standing(self) -> dict[str, Any]:
        """What is made once, and stays when the state is another's. Asks for nothing that is lazy, as `_begin`."""
        turn: list[None] = [None]
        return {
            "_made": True,
            "_lock": self._new_lock(),
            "_turn": turn,
            "_turns": iter(turn.pop, 0),
            "_late": [],  # hardly ever used, and an empty deque is 600 B
            "_arrived": [],
            "_cells": {},
        }

    def _begin(self) -> dict[str, Any]:
        """A fresh state by the names of its attributes, always the same; guarded by `_lock`, put aside by `rebound`."""
        return {"_outbox": deque(), "_numbers": count(1)}  # no plain number: copies made by overrides share it

    def _new_lock(self) -> Any:
        """What guards the state.

        Reentrant, because a garbage collection may finalise an abandoned coroutine while this very thread decides.
        """
        return threading.RLock()

    def _follow(self) -> None:
        self._renamed()

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
            if self._made:
                self._renamed()
        self.bus = bus

    def rebind(self, name: str, pipelines: tuple[str, ...], bus: Bus) -> None:
        """Take back a name: the pipeline that gave it was refused."""
        self.name, self.pipelines, self.bus = name, pipelines, bus
        if self._made:
            self._renamed()

    def _renamed(self) -> None:
        """The machine's name follows the policy's."""

    def after_fork(self) -> None:
        """A new era in the child: locks are new, nothing is in flight, inherited permits are stale."""
        if not self._made:
            return
        torn = not self._lock.acquire(blocking=False)  # another thread of the parent was in the middle of a decision
        self._lock = threading.RLock()
        self._turn[:] = [None]
        for one in self._quiets:
            quiet = one()
            if quiet is not None:
                quiet.after_fork()  # first: its lock may be one that another thread held
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
            if self._alone is not None:
                stack.enter_context(self._alone.rebound(clock, policies=False))
            before, state = self.clock, self._fresh()
            self.clock = clock
            try:
                yield
            finally:
                with self._lock:
                    self._put_aside()
                    self.clock = before
                    vars(self).update(state)
                    self._state_changed()

    def _fresh(self) -> dict[str, Any]:
        """Start afresh; returns the state of before."""
        with self._lock:
            self._put_aside()
            state = self._begin()
            before = {name: getattr(self, name) for name in state}
            vars(self).update(state)
            self._state_changed()
            return before

    def _state_changed(self) -> None:
        """The state is another's from now on: what points at it must follow. Needs the lock."""

    def _put_aside(self) -> None:
        """The state of now is about to be another: count what is still to be counted. Needs the lock."""
        self._catch_up()
        self._disturb()
        self._epoch += 1

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
        if self._late and not self._lock._is_owned():
            while self._late:
                self._late.pop(0)()
        outbox = self._outbox
        while outbox:
            done = False
            try:
                for _ in self._turns:
                    try:
                        while outbox:
                            raw = outbox.popleft()
                            if raw[0] is MANY:
                                self.bus.publish_refusals(raw[1])
                                continue
                            if self.shadow and raw[0] is CallRejected:
                                raw = (CallShadowed, *raw[1:])
                            self.bus.publish(raw)
                        done = True
                    finally:
                        self._turn.append(None)
                    break
            except IndexError:  # another thread, or a call further out in this one, is at it
                pass
            if not done:
                return

    def _inside(self) -> bool:
        """Whether this very thread is in the middle of a decision: a signal handler, or a finaliser, asks for another.

        Deciding then would change what is being looked at.
        """
        owned: bool = self._lock._is_owned()
        return owned

    def _amid(self) -> Rejection:
        """The answer to a signal handler that asks in the middle of a decision of its own thread."""
        return Rejection("reentered", 0.0, {"reason": "reentered"})

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

    # ------------------------------------------------------ quiet path

    def quiet_features(self, colour: str) -> frozenset[str] | None:
        """What generated code needs for it (see `drive/template.py`); None if calls must go through the drivers."""
        del colour
        return None

    def quiet_cells(self) -> dict[str, CellType]:
        """The cells that generated code reads of it, by name."""
        return {}

    def quiet_until(self, now: float) -> float:
        """Up to which moment a success may be told later, in a batch; in the past if it may not."""
        del now
        return math.inf

    def quiet_blocked(self) -> bool:
        """Whether what `quiet_until` said last, that nothing may be told later, is sure to hold still; cheap."""
        return False

    def quiet_slow(self) -> float:
        """Seconds above which a success is to be told by itself."""
        return math.inf

    def quiet_era(self) -> tuple[int, int]:
        """What calls are admitted under; two numbers that together never come again."""
        return self._epoch, 0

    def attach(self, quiet: Quiet) -> None:
        """A quiet path goes through this policy; it lives as long as its pipeline."""
        with self._lock:
            alive = (one for one in self._quiets if one() is not None)
            self._quiets = (*alive, weakref.ref(quiet))

    def take_in(self, batch: Batch | Sequence[Refusal]) -> None:
        """Calls have succeeded or were refused on a quiet path; counted at the next look."""
        if batch is self._last:  # told again, because a signal handler had raised the first time
            return
        # NB: no call in these lines, so no signal handler comes between them
        self._arrived += [batch]
        self._last = batch

    def relieve(self) -> None:
        """Count what has arrived, if that is much; nobody who calls this may have a lock."""
        if len(self._arrived) >= ARRIVED and not self._lock._is_owned():
            with self._lock:
                self._absorb_all()

    def quiet_refusals(self, left: float) -> bool:
        """Whether generated code may refuse what a circuit refuses for so many seconds: nothing comes of it here."""
        del left
        return True

    def tell(self) -> None:
        """Publish what came of calls that generated code has refused."""

    def _catch_up(self) -> None:
        """Count what went the quiet path up to now; needs the lock."""
        for one in self._quiets:
            quiet = one()
            if quiet is not None:
                quiet.harvest()
        self._absorb_all()

    def _under_way(self) -> int:
        """Calls on quiet paths that have begun and not ended, as far as they are counted."""
        found = [one() for one in self._quiets]
        return sum(quiet.running() for quiet in found if quiet is not None)

    def _absorb_all(self) -> None:
        """Count what has arrived; needs the lock."""
        while self._arrived:
            batch = self._arrived.pop(0)
            if isinstance(batch, tuple):
                self._absorb_refusals(batch)
            else:
                self._absorb(batch)  # type: ignore[arg-type]

    def _absorb_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Count these calls, and have events of them published if they are this policy's; needs the lock."""

    def _absorb(self, batch: Batch) -> None:
        """Count these calls; needs the lock."""

    def _disturb(self) -> None:
        """From now on every call asks the machine, until it is quiet again."""
        for one in self._quiets:
            quiet = one()
            if quiet is not None:
                quiet.disturb()

    def adopt(self, resumed: Resumed) -> Permit:
        """The permit of an attempt that generated code has made."""
        raise NotImplementedError

    # -------------------------------------------------------- snapshot

    def snapshot(self) -> PolicySnapshot:
        """The policy at this moment, as plain data."""
        raise NotImplementedError
