"""Going away in order: what waits only to try again is woken, and gives up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from seawall.core.fork import renew_after_fork

if TYPE_CHECKING:
    from seawall.core.permit import Waiter


class Drain:
    """Whether the program is going away, and who wants to know at once.

    `draining` is read without the lock; whoever is about to wait adds a waiter first and reads it then.
    """

    __slots__ = ("__weakref__", "_lock", "_waiters", "draining")

    def __init__(self) -> None:
        self.draining = False
        self._lock = threading.Lock()
        # Guarded by _lock
        self._waiters: set[Waiter] = set()
        renew_after_fork(self)

    def begin(self) -> None:
        """Say that the program is going away, and wake everybody who waits; any number of times."""
        with self._lock:
            self.draining = True
            waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            waiter.wake()

    def end(self) -> None:
        """Go on as before: the program stays after all."""
        self.draining = False

    def add(self, waiter: Waiter) -> None:
        """Have `waiter` woken when the draining begins."""
        with self._lock:
            self._waiters.add(waiter)

    def discard(self, waiter: Waiter) -> None:
        """Forget a waiter."""
        with self._lock:
            self._waiters.discard(waiter)

    def after_fork(self) -> None:
        """A new lock in the child, where nobody waits."""
        self._lock = threading.Lock()
        self._waiters = set()
