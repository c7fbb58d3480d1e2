"""The retry budget of one dependency, shared by every retry that is given it."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from seawall.core.fork import renew_after_fork
from seawall.core.validate import duration, number

if TYPE_CHECKING:
    from seawall.machines.retry_budget import RetryBudgetOptions

_LEAST = 2.0  # a call of three attempts; at ten calls a second all stays within a quarter more than the load


class User(Protocol):
    """A retry that books on a budget."""

    def settle(self) -> None:
        """Book what has not been told yet."""


class RetryBudget:
    """Bounds the retries and hedges of a dependency to a share of its first attempts.

    In any `window`: retries <= ratio × first attempts + max(minimum, floor × window). First attempts are never
    refused. A retry is booked before its backoff, so those who sleep count; one that is never sent is given back.

    Give one object to every `Retry` in front of the same dependency. A `Retry` without one has a budget of its own.

    Args:
        ratio: retries for each first attempt; 0 to 10, 0.2 by default: a dead dependency sees 1.2 times its load.
        floor: retries per second allowed without first attempts; from 0, 0.1 by default.
        window: seconds looked at; > 0, 10 by default.
        minimum: retries within the window that are always allowed; by default what one logical call may use
            (attempts − 1 of the retry with the most; at least 2), so that a lone call is not cut short.

    Raises:
        ConfigurationError: if a value is out of its range.
    Source: Finagle's `RetryBudget`; "Addressing Cascading Failures", Site Reliability Engineering (2016).
    """

    def __init__(
        self, ratio: float = 0.2, *, floor: float = 0.1, window: float = 10.0, minimum: float | None = None
    ) -> None:
        from seawall.machines.retry_budget import RetryBudgetMachine, RetryBudgetOptions  # late: names need it not

        number("RetryBudget.ratio", ratio, most=10.0)
        number("RetryBudget.floor", floor)
        duration("RetryBudget.window", window)
        if minimum is not None:
            number("RetryBudget.minimum", minimum)
        self._follows = minimum is None
        self._users: tuple[weakref.ref[User], ...] = ()
        self._machine = RetryBudgetMachine(
            RetryBudgetOptions(ratio, floor, window, _LEAST if minimum is None else minimum)
        )
        # reentrant: a finaliser that ends an abandoned call may give a retry back while this thread books one
        self._lock = threading.RLock()
        renew_after_fork(self)

    @property
    def options(self) -> RetryBudgetOptions:
        """The numbers in force."""
        return self._machine.options

    def join(self, attempts: int, user: User) -> None:
        """A retry with so many attempts uses it: one logical call of that can always make them."""
        alive = (one for one in self._users if one() is not None)
        self._users = (*alive, weakref.ref(user))
        if self._follows:
            with self._lock:
                options = self._machine.options
                self._machine.options = options._replace(minimum=max(options.minimum, attempts - 1))

    def deposit(self, now: float) -> None:
        """A first attempt was made."""
        with self._lock:
            self._machine.deposit(now)

    def deposit_late(self, at: float, count: int) -> None:
        """So many first attempts were made at about a moment that may have passed."""
        with self._lock:
            self._machine.deposit_late(at, count)

    def _settle(self) -> None:
        """Have every user book the first attempts that it has not told of yet; without the lock."""
        for one in self._users:
            user = one()
            if user is not None:
                user.settle()

    def steady_until(self, now: float) -> float:
        """Up to which moment first attempts of now may be booked together."""
        return self._machine.steady_until(now)

    def withdraw(self, now: float) -> bool:
        """Book one retry; False if the budget is spent."""
        self._settle()
        with self._lock:
            return self._machine.withdraw(now)

    def refund(self, now: float) -> None:
        """A booked retry was not sent."""
        with self._lock:
            self._machine.refund(now)

    def balance(self, now: float) -> float:
        """Retries that could be booked at `now`, a moment on the clock of the retries; a whole number or not."""
        self._settle()
        with self._lock:
            return max(0.0, self._machine.balance(now))

    def counts(self) -> Mapping[str, int]:
        """How many first attempts, booked and refused retries it has seen."""
        self._settle()
        with self._lock:
            return dict(self._machine.counts)

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """An empty budget inside the block, for another clock; what was there returns after it."""
        from seawall.machines.retry_budget import RetryBudgetMachine  # late: loaded when this was made

        with self._lock:
            before, self._machine = self._machine, RetryBudgetMachine(self._machine.options)
        try:
            yield
        finally:
            with self._lock:
                self._machine = before

    def after_fork(self) -> None:
        """A new lock in the child; the counts go on from the parent's."""
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        options = self._machine.options
        least = max(options.minimum, options.floor * options.window)
        return f"RetryBudget({options.ratio:g}, at least {math.floor(least)} in {options.window:g} s)"
