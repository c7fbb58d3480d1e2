"""Delivers events to listeners, outside every lock."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from seawall.core.clock import Clock, current_clock
from seawall.core.drain import Drain
from seawall.core.fork import renew_after_fork
from seawall.events.journal import Journal
from seawall.events.types import CallRejected, RawEvent, Refusal, inflate

Listener = Callable[[Any], object]


class CallLog(Protocol):
    """Keeps every logical call of the pipelines on a bus."""

    def ended(self, name: str, call: Any, outcome: str, error: BaseException | None, now: float) -> None:
        """A call of pipeline `name` has ended; runs in its thread, so it must neither wait nor raise."""

    def stop(self) -> None:
        """Keep no more."""


class QuietPath(Protocol):
    """Calls that go by without anybody being asked."""

    def disturb(self) -> None:
        """From now on somebody wants to be asked."""

    def harvest(self) -> None:
        """Count those that have gone by."""

    def tell(self) -> None:
        """Publish what has come of them."""


class Subscription:
    """A listener's place on a bus; `cancel()` ends it, any number of times."""

    __slots__ = ("_bus", "kinds", "listener", "prompt")

    def __init__(self, bus: Bus, listener: Listener, kinds: frozenset[type] | None, *, prompt: bool) -> None:
        self._bus = bus
        self.prompt = prompt
        self.listener = listener
        self.kinds = kinds

    def cancel(self) -> None:
        """Stop listening."""
        self._bus._drop(self)


class Bus:
    """Where the events of one registry meet their listeners and the journal.

    Listeners run in the thread of the call that caused the event, after all locks are released. They may do anything;
    what they raise is counted in `listener_errors` and goes no further.

    Args:
        journal: ring that keeps every event; a new one of the default size if not given.
        clock: gives the wall time for the journal.
    """

    __slots__ = (
        "__weakref__",
        "_closing",
        "_listeners",
        "_lock",
        "_quiets",
        "_recording",
        "clock",
        "drain",
        "journal",
        "listener_errors",
    )

    def __init__(self, journal: Journal | None = None, clock: Clock | None = None) -> None:
        self.journal = journal if journal is not None else Journal()
        self.clock = clock or current_clock()
        self.listener_errors = 0
        self._recording: CallLog | None = None
        self._closing: threading.Event | None = None
        self.drain = Drain()  # here because every policy of a registry knows its bus
        self._quiets: weakref.WeakSet[QuietPath] = weakref.WeakSet()
        self.journal.before_reading.append(self.harvest)
        self._lock = threading.RLock()
        self._listeners: tuple[Subscription, ...] = ()  # replaced as a whole, so that publishing needs no lock
        renew_after_fork(self)

    def listen(self, listener: Listener, kinds: Iterable[type] | None = None, *, prompt: bool = True) -> Subscription:
        """Call `listener(event)` for every event of the given `kinds` (all kinds if None), as named tuples.

        Args:
            listener: a function; it runs in the thread of the call that caused the event.
            kinds: classes of events; None for all.
            prompt: False for one that looks at snapshots every second or so: it need not be told of each refusal of an
                open circuit at once, which lets such a refusal cost next to nothing.
        """
        self.harvest()  # what happened before is not for the new one
        subscription = Subscription(self, listener, None if kinds is None else frozenset(kinds), prompt=prompt)
        with self._lock:
            self._listeners = (*self._listeners, subscription)
        self.disturb()
        return subscription

    def hears(self, kind: type) -> bool:
        """Whether somebody wants events of a kind as they happen."""
        return any(one.prompt and (one.kinds is None or kind in one.kinds) for one in self._listeners)

    @property
    def recording(self) -> CallLog | None:
        """What keeps calls, while somebody wants them kept; from then on every call is noticed."""
        return self._recording

    @recording.setter
    def recording(self, log: CallLog | None) -> None:
        self._recording = log
        self.disturb()

    @property
    def closing(self) -> threading.Event | None:
        """What is set when a call ends, while the program shuts down; None while it does not."""
        return self._closing

    @closing.setter
    def closing(self, ended: threading.Event | None) -> None:
        self._closing = ended
        self.disturb()

    def attend(self, quiet: QuietPath) -> None:
        """Have a quiet path disturbed and harvested with the others, as long as it lives."""
        with self._lock:
            self._quiets.add(quiet)

    def _paths(self) -> list[QuietPath]:
        """All quiet paths."""
        with self._lock:
            return list(self._quiets)

    def disturb(self) -> None:
        """From now on every call is to be noticed."""
        for quiet in self._paths():
            quiet.disturb()

    def harvest(self) -> None:
        """Count the calls that have gone by, and publish what has come of them."""
        for quiet in self._paths():
            quiet.harvest()
            quiet.tell()

    def _drop(self, subscription: Subscription) -> None:
        """Forget one subscription."""
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one is not subscription)

    def after_fork(self) -> None:
        """A new lock in the child."""
        self._lock = threading.RLock()

    def publish_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Record many refusals in the order they came, and hand them to the listeners; never raises."""
        self.journal.append_refusals(refusals, self.clock.wall() - self.clock.now())
        for one in self._listeners:
            if one.kinds is None or CallRejected in one.kinds:
                for number, at, shut in refusals:
                    try:
                        one.listener(inflate(shut.event(number, at)))
                    except Exception:
                        self.listener_errors += 1

    def publish(self, raw: RawEvent) -> None:
        """Record a raw event in the journal and hand it to the listeners; never raises."""
        self.journal.append(self.clock.wall(), raw)
        listeners = self._listeners
        if not listeners:
            return
        event = inflate(raw)
        for one in listeners:
            if one.kinds is None or raw[0] in one.kinds:
                try:
                    one.listener(event)
                except Exception:
                    self.listener_errors += 1


#: The bus of the default registry. Policies that belong to no manager publish here.
default_bus = Bus()
