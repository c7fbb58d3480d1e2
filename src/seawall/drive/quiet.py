"""The quiet path of one pipeline: what its generated functions share, and the counting of calls that went that way.

A generated function (see `compile.py`) takes a ticket, calls, and notes how long it took: no lock, no objects. As
long as there are tickets all is as usual: circuits are closed, nobody waits, nothing is overridden or recorded.
Whatever ends that takes the tickets back first (`disturb`), and then every call asks the machines, until `lend` finds
all quiet again.

Functions read this state from cells of their closures, which all functions of a pipeline share. The era tells which
state of the policies a call was admitted under: its identity changes with every transition, reload and fork, and a call
that ends in another era than it began in goes to the machines, which call it stale.

Calls that succeeded are counted when somebody asks, or a second is over, in batches: a success that cannot change a
decision (`quiet_until` of the policies) may be told later, as long as it is told before the next failure is judged.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Sequence
from types import CellType
from typing import TYPE_CHECKING, Any

from seawall.core.fork import renew_after_fork
from seawall.drive.supply import Supply
from seawall.events.types import CallRejected, Refusal

if TYPE_CHECKING:
    from seawall.core.clock import Clock
    from seawall.events.bus import Bus

_WALL = 1e-6  #: seconds: what a float can tell of the wall clock is some tenths of that
TICKETS = 2048  #: calls between two looks at the machines: bounds the log, and what a look costs each of them


class Era:
    """Which state of the policies calls are admitted under; its identity counts.

    Args:
        of: the era of each policy's own machine, by the policy's identity.
        life: of the process: a fork begins another.
    """

    __slots__ = ("life", "of")

    def __init__(self, of: dict[int, tuple[int, int]], life: int) -> None:
        self.of = of
        self.life = life


class Batch:
    """Calls that succeeded, none of them slow by a rule, within one second.

    Args:
        durations: seconds each took, in the order they ended.
        at: a moment not after any of them, and in the same buckets of all windows.
        second: of the wall clock.
    """

    __slots__ = ("_buckets", "at", "count", "durations", "second", "total")

    def __init__(self, durations: list[float], at: float, second: int) -> None:
        self.durations = durations
        self.count = len(durations)
        self.at = at
        self.second = second
        self.total = sum(durations)
        self._buckets: tuple[Any, list[int]] | None = None

    def buckets(self, bounds: Sequence[float]) -> list[int]:
        """How many fall into each bucket of a histogram with these bounds."""
        known = self._buckets
        if known is not None and known[0] is bounds:
            return known[1]
        counts = [0] * (len(bounds) + 1)
        least = bounds[0]
        longer = [] if self.within(least) else [one for one in self.durations if one > least]
        counts[0] = self.count - len(longer)
        for one in longer:
            counts[bisect_left(bounds, one)] += 1
        self._buckets = bounds, counts
        return counts

    def within(self, bound: float) -> bool:
        """Whether none of them took longer than so many seconds."""
        return self.total <= bound or max(self.durations) <= bound  # the sum tells it without looking at each


class Quiet:
    """The quiet path of one pipeline.

    Args:
        policies: of the pipeline, each with `quiet_until`, `quiet_era` and `take_in`.
        judge: counts logical calls, likewise; has `slow` and the overrides' say.
        clock: of the pipeline.
        bus: of the registry.
        circuit: the circuit breaker in whose name generated code may refuse; None for none.
    """

    def __init__(self, policies: Sequence[Any], judge: Any, clock: Clock, bus: Bus, circuit: Any) -> None:
        self.policies = policies
        self._circuit = circuit
        self.judge = judge
        self.clock = clock
        self.bus = bus
        self.cells: dict[str, CellType] = {}
        self._log: list[float] = []
        self._ends: list[Era] = []
        self._refused: list[Refusal] = []
        self.calm = False  #: whether generated code may refuse what an open circuit refuses
        self.ends = self._ends.append  #: told of each call that has begun and ended, but for those in the log
        self.refused = self._refused.append  #: told of each call that generated code has refused
        for name, value in {
            "tickets": (),
            "current": None,
            "until": -math.inf,
            "slow": math.inf,
            "log": self._log,
            "now": clock.now,
        }.items():
            self.cells[name] = CellType(value)
        for policy in policies:
            self.cells.update(policy.quiet_cells())
        self._lock: Any = threading.RLock()
        # Guarded by _lock; `_change` is read without it
        self._change = 0  # how often something has disturbed it
        self._blocker: Any = None  # a policy that stood against it when last asked
        self._supply = Supply(None, 0)
        self._told: tuple[Refusal, ...] = ()  # refusals taken out and not yet handed on
        self._begun = 0  # of supplies before this one
        self._ended = 0  # calls that were taken out of the log, or ended otherwise
        self._life = 0
        self._era = Era({}, 0)
        self._at = 0.0
        self._second = 0
        self._waiting: tuple[Batch, ...] = ()  # taken out of the log and not yet handed on
        renew_after_fork(self)
        bus.attend(self)
        for policy in policies:
            policy.attach(self)
        judge.quiet = self

    # -------------------------------------------------------- on and off

    @property
    def lent(self) -> bool:
        """Whether calls may go this way now."""
        return self.cells["current"].cell_contents is not None

    def disturb(self) -> None:
        """Take the tickets back: from now on every call asks the machines."""
        self._change += 1
        self._blocker = None
        with self._lock:
            self._revoke()

    def _revoke(self) -> None:
        """No tickets any more; needs the lock."""
        self.calm = False
        self.cells["tickets"].cell_contents = ()
        self.cells["current"].cell_contents = None
        self.cells["until"].cell_contents = -math.inf
        self._supply.recall()

    def lend(self) -> None:
        """Hand tickets out, if all is as usual."""
        change = self._change
        if self.bus.recording is not None or self.bus.closing is not None or not self.judge.usual():
            return
        now = self.clock.now()
        wall = self.clock.wall()
        self._refuse_by_itself(change, now)
        second = math.floor(wall)
        until = now + (second + 1 - wall) - _WALL
        for policy in self.policies:
            bound = policy.quiet_until(now)
            if bound <= now:
                self._blocker = policy
                return
            until = min(until, bound)
        if self._lock._is_owned():
            return
        of = {id(policy): policy.quiet_era() for policy in self.policies}
        with self._lock:
            if change != self._change:
                return
            self._gather()
            if self._era.of != of:
                self._era = Era(of, self._life)
            begun, supply = self._begun + self._supply.recall(), Supply(self._era, TICKETS)
            # NB: no call in these lines, so no signal handler comes between them
            self._begun, self._supply = begun, supply
            self._at, self._second = now, second
            cells = self.cells
            slow = self.judge.slow
            cells["slow"].cell_contents = min(
                math.inf if slow is None else slow[0], *(policy.quiet_slow() for policy in self.policies), math.inf
            )
            cells["until"].cell_contents = until
            cells["current"].cell_contents = self._era
            cells["tickets"].cell_contents = self._supply.iterator
            if change != self._change:  # a signal handler in this very thread
                self._revoke()

    def _refuse_by_itself(self, change: int, now: float) -> None:
        """Let generated code refuse what an open circuit would refuse, if nothing else would come of it."""
        shut = None if self._circuit is None else self._circuit.shut
        if shut is None or self.bus.hears(CallRejected):
            return
        left = shut.until - now
        if not all(policy.quiet_refusals(left) for policy in self.policies):
            return
        with self._lock:
            self.calm = change == self._change

    def renew(self) -> bool:
        """More tickets for a caller who found none; False if something is unusual."""
        lock, era = self._lock, self._era
        if lock._is_owned():
            return False
        change, cells = self._change, self.cells
        with lock:
            if cells["current"].cell_contents is not era or self.clock.now() >= cells["until"].cell_contents:
                return False
            if not self._supply.left:  # else another thread has been here
                self._gather()
                begun, supply = self._begun + self._supply.recall(), Supply(era, TICKETS)
                # NB: no call in these lines, so no signal handler comes between them
                self._begun, self._supply = begun, supply
                cells["tickets"].cell_contents = supply.iterator
                if change != self._change:
                    self._revoke()
                    return False
        self.relieve()
        return True

    def relieve(self) -> None:
        """Have policies count what they were handed, where that is much; without locks."""
        for policy in self.policies:
            policy.relieve()

    def bound(self, until: float, now: float) -> None:
        """Successes that end from that moment on are to be told one by one, or all if it has passed."""
        self._change += 1
        with self._lock:
            if until <= now:
                self._blocker = None  # it may be another one now, and generated code may refuse
                self._revoke()
            cell = self.cells["until"]
            cell.cell_contents = min(cell.cell_contents, until)

    def due(self, now: float) -> bool:
        """Whether to look if tickets can be handed out."""
        blocker = self._blocker
        if blocker is not None:
            if blocker.quiet_blocked():
                return False
            self._blocker = None
        return now >= self.cells["until"].cell_contents or not self._supply.left

    # ----------------------------------------------------------- counting

    def running(self) -> int:
        """Calls that began this way and have not ended."""
        with self._lock:
            self._gather()
            return max(0, self._begun + self._supply.taken - self._ended)

    def harvest(self) -> None:
        """Hand what has been noted to the policies and the judge."""
        if not (self._log or self._waiting or self._refused or self._told) or self._lock._is_owned():
            return  # a finaliser or a signal handler in the middle of this: it is being done
        with self._lock:
            self._gather()

    def _gather(self) -> None:
        """See `harvest`; needs the lock."""
        ends = self._ends[:]
        count = len(ends)
        ended = ends.count(self._era)
        if ended != count:  # some of other eras, perhaps of the process before a fork
            ended = sum(era.life == self._life for era in ends)
        ended += self._ended
        del self._ends[:count]
        self._ended = ended
        count = len(self._log)
        if count:
            batch = Batch(self._log[:count], self._at, self._second)
            waiting = (*self._waiting, batch)
            # NB: no call in these lines, so no handler comes between them
            del self._log[:count]
            self._ended += count
            self._waiting = waiting
        if self._refused or self._told:
            self._gather_refusals()
        while self._waiting:
            batch = self._waiting[0]
            for policy in self.policies:
                policy.take_in(batch)
            self.judge.take_in(batch)
            self._waiting = self._waiting[1:]

    def _gather_refusals(self) -> None:
        """Hand on what generated code has refused; needs the lock."""
        count = len(self._refused)
        told = (*self._told, *self._refused[:count])
        # NB: no call in these lines, so no signal handler comes between them
        del self._refused[:count]
        self._told = told
        for policy in self.policies:
            policy.take_in(told)
        self.judge.take_refusals(told)
        self._told = ()

    def tell(self) -> None:
        """Publish what generated code has refused; without locks."""
        for policy in self.policies:
            policy.tell()

    # --------------------------------------------------------------- life

    def after_fork(self) -> None:
        """In the child nothing is in flight, and every call of the parent is stale."""
        self._lock = threading.RLock()
        self._life += 1
        self._begun, self._ended = len(self._log), 0
        self._change += 1
        self._supply = Supply(None, 0)
        self._era = Era({}, self._life)
        self._ends.clear()
        self._revoke()

    def rebind(self, clock: Clock) -> None:
        """Go on with another clock and other state: what was noted is handed on first."""
        self.harvest()
        self.disturb()
        self.clock = clock
        self.cells["now"].cell_contents = clock.now
