"""Delivers events to listeners, outside every lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from seawall.core.clock import Clock, current_clock
from seawall.core.drain import Drain
from seawall.core.fork import renew_after_fork
from seawall.events.journal import Journal
from seawall.events.types import RawEvent, inflate

Listener = Callable[[Any], object]


class CallLog(Protocol):
    """Keeps every logical call of the pipelines on a bus."""

    def ended(self, name: str, call: Any, outcome: str, error: BaseException | None, now: float) -> None:
        """A call of pipeline `name` has ended; runs in its thread, so it must neither wait nor raise."""

    def stop(self) -> None:
        """Keep no more."""


class Subscription:
    """A listener's place on a bus; `cancel()` ends it, any number of times."""

    __slots__ = ("_bus", "kinds", "listener")

    def __init__(self, bus: Bus, listener: Listener, kinds: frozenset[type] | None) -> None:
        self._bus = bus
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
        "_listeners",
        "_lock",
        "clock",
        "closing",
        "drain",
        "journal",
        "listener_errors",
        "recording",
    )

    def __init__(self, journal: Journal | None = None, clock: Clock | None = None) -> None:
        self.journal = journal if journal is not None else Journal()
        self.clock = clock or current_clock()
        self.listener_errors = 0
        self.recording: CallLog | None = None  #: what keeps calls, while somebody wants them kept
        self.closing: threading.Event | None = None  #: set when a call ends, while the program shuts down; else None
        self.drain = Drain()  # here because every policy of a registry knows its bus
        self._lock = threading.Lock()
        self._listeners: tuple[Subscription, ...] = ()  # replaced as a whole, so that publishing needs no lock
        renew_after_fork(self)

    def listen(self, listener: Listener, kinds: Iterable[type] | None = None) -> Subscription:
        """Call `listener(event)` for every event of the given `kinds` (all kinds if None), as named tuples."""
        subscription = Subscription(self, listener, None if kinds is None else frozenset(kinds))
        with self._lock:
            self._listeners = (*self._listeners, subscription)
        return subscription

    def _drop(self, subscription: Subscription) -> None:
        """Forget one subscription."""
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one is not subscription)

    def after_fork(self) -> None:
        """A new lock in the child."""
        self._lock = threading.Lock()

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
