"""The part of a circuit breaker that people use: reading its state, pinning it, moving it by hand."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from seawall.core.errors import ConfigurationError
from seawall.core.validate import duration
from seawall.core.verdict import Verdict
from seawall.policies.circuit_quiet import CircuitQuiet
from seawall.policies.circuit_reading import badness, counters, details, options, worst
from seawall.policies.keyed import KeyTable, key_label

if TYPE_CHECKING:
    from collections import deque

    from seawall.core.chance import Chance
    from seawall.core.snapshot import PolicySnapshot
    from seawall.events.types import RawEvent
    from seawall.machines.breaker import Breaker
    from seawall.machines.breaker_options import BreakerOptions, ForcedState, Tally

#: Stands for all keys, as None may be one.
ALL: Final = type("ALL", (), {"__repr__": lambda _: "ALL"})()


class CircuitHands(CircuitQuiet):
    """The machines of a circuit breaker, and what people see and do of them.

    Without a key there is one machine, `_machine`. With one, that machine is only there for pins that hold for all
    keys, and `_table` has the machines that decide.
    """

    _options: BreakerOptions
    _chance: Chance
    _max_keys = 1000
    _key_ttl = 3600.0
    _public_keys = False
    _observing = False

    def _begin(self) -> dict[str, Any]:
        from seawall.machines.breaker_options import Tally  # late: nothing but a circuit breaker needs it
        from seawall.measure.histogram import Histogram

        state = super()._begin()
        tally = Tally()
        new = partial(self._new, tally=tally, outbox=state["_outbox"])
        table: KeyTable[Breaker] | None = None
        if self.key is not None:
            table = KeyTable(
                lambda key: new(self._name_of(key)), most=self._max_keys, ttl=self._key_ttl, needed=_is_needed
            )
        return {
            **state,
            "_durations": Histogram(),
            "_tally": tally,
            "_machine": new(self.name),
            "_table": table,
            "_observing": False,
        }

    def _new(self, name: str, tally: Tally, outbox: deque[RawEvent]) -> Breaker:
        """A fresh machine that shares counts and outbox."""
        from seawall.machines.breaker import Breaker  # late: loaded when this was made

        return Breaker(name, self._options, self._chance, tally, outbox)

    def _name_of(self, key: Hashable) -> str:
        """What the circuit of one key is called."""
        return f"{self.name}[{key_label(key, public=self._public_keys)}]"

    # -------------------------------------------------- which machine (locked)

    def _for_use(self, key: Hashable, now: float) -> Breaker:
        """The machine that decides for a key, made if need be; that of a pin for all keys while there is one."""
        whole, table = self._machine, self._table
        if table is None:
            return whole
        if whole.forced is not None or self._observing:
            whole.tick(now)
            self._observe()
            if whole.forced is not None and whole.forced.state != "observe":
                return whole
        return table.get(key, now)

    def _for_reading(self, key: Hashable, now: float) -> Breaker | None:
        """The machine that would decide for a key; None if it has none yet. Makes nothing."""
        whole, table = self._machine, self._table
        if table is None:
            raise self._no_keys(key)
        if whole.word(now) not in {"closed", "observe"}:
            return whole
        return table.peek(key)

    def _observe(self) -> None:
        """Keyed machines are in shadow while all keys are observed."""
        observing = self._machine.forced is not None and self._machine.forced.state == "observe"
        if self._table is not None and observing != self._observing:
            self._observing = observing
            self._set_options(self._options._replace(shadow=observing or self.shadow))

    def _set_options(self, chosen: BreakerOptions) -> None:
        """Other settings for all machines from now on."""
        self._options = chosen
        if not self._made:
            return
        for machine in self._every():
            machine.options = chosen

    def _every(self) -> list[Breaker]:
        """All machines."""
        return [self._machine] if self._table is None else [self._machine, *self._table.machines()]

    def _worst(self, now: float) -> Breaker:
        """The machine whose state stands for the whole: that of a pin for all keys, or the worst."""
        whole = self._machine
        if self._table is None or (whole.forced is not None and whole.forced.state != "observe"):
            return whole
        return max(self._every(), key=lambda one: (badness(one.word(now)), badness(one.below(now)), one.retry_at))

    def _no_keys(self, key: Hashable) -> ConfigurationError:
        """The error for a key where there are none."""
        label = key_label(key, public=False)
        return ConfigurationError(
            f'CircuitBreaker "{self.name}" keeps one circuit for all calls, so there is none for the key {label}: '
            'build it with key="argument", or leave the key out'
        )

    # ------------------------------------------------------------- reading

    @property
    def state(self) -> str:
        """As of now: "closed", "open", "half-open", "forced-open", "forced-closed", "disabled" or "observe".

        With keys it is the worst of theirs.
        """
        with self._lock:
            now = self.clock.now()
            self._recall_numbers()
            self._machine.tick(now)
            worst_one = self._worst(now)
            worst_one.tick(now)
            word = worst_one.word(now)
            self._show_shut(now)
        self._publish()
        return word

    def state_of(self, key: Hashable) -> str:
        """The state of one key's circuit, or of one that begins. Makes nothing and does not count as use.

        Raises:
            ConfigurationError: if the breaker has no keys.
        """
        with self._lock:
            now = self.clock.now()
            machine = self._for_reading(key, now) or self._machine
            return machine.word(now)

    @property
    def options(self) -> BreakerOptions:
        """The rules and numbers in force."""
        return self._options

    @property
    def rules(self) -> list[str]:
        """The trip rules in words of code, such as "ConsecutiveFailures(threshold=5)"."""
        return [str(rule) for rule in self._options.trip]

    @property
    def retry_after(self) -> float:
        """Seconds until a trial call may be let through, with keys for the worst of them; 0 when calls may go now."""
        with self._lock:
            now = self.clock.now()
            return self._worst(now).retry_after(now)

    def retry_after_of(self, key: Hashable) -> float:
        """The same for one key; 0 if it has no circuit yet. Makes nothing and does not count as use.

        Raises:
            ConfigurationError: if the breaker has no keys.
        """
        with self._lock:
            now = self.clock.now()
            machine = self._for_reading(key, now)
            return 0.0 if machine is None else machine.retry_after(now)

    # ------------------------------------------------------------- by hand

    def force(
        self,
        state: ForcedState,
        *,
        owner: str,
        reason: str,
        expires_in: float | None = 3600.0,
        key: Hashable = ALL,
    ) -> None:
        """Pin the circuit.

        Args:
            state: "open" refuses every call, "closed" lets every call through and counts, "disabled" does not even
                count, "observe" lets every call through, goes on judging and reports what it would have refused.
            owner: who does it.
            reason: why; shown wherever the state is shown.
            expires_in: seconds, > 0; 3,600 by default, because a forgotten pin must end. None is until released.
            key: pin the circuit of this key only.

        Raises:
            ConfigurationError: if a value is out of its range, or the breaker is one that only watches.
        """
        from seawall.machines.breaker_options import FORCED_STATES, Forced  # late: loaded when this was made

        if state not in FORCED_STATES:
            raise ConfigurationError(f'force({state!r}): must be "open", "closed", "disabled" or "observe"')
        if not owner or not reason:
            raise ConfigurationError(f"force({state!r}): owner and reason must be given; whoever is on call will ask")
        if expires_in is not None:
            duration("force.expires_in", expires_in)
        if state == "open" and self.shadow:
            raise ConfigurationError(
                f'force("open"): "{self.name}" was built with shadow=True and refuses nothing; build it without'
            )
        with self._lock:
            now = self.clock.now()
            pin = Forced(state, owner, reason, None if expires_in is None else now + expires_in)
            self._catch_up()
            self._one(key, now).force(pin, now)
            self._observe()
            self._disturb()
            self._show_shut(now)
        self._publish()

    def release(self, *, owner: str = "", reason: str = "released", key: Hashable = ALL) -> bool:
        """Take a pin off, or those of all keys; False if there was none."""
        with self._lock:
            now = self.clock.now()
            chosen = self._those(key)
            self._catch_up()
            had = [machine.release(owner, now, reason) for machine in chosen]
            self._observe()
            self._disturb()
            self._show_shut(now)
        self._publish()
        return any(had)

    def trip(self, *, key: Hashable = ALL) -> None:
        """Open the circuit by hand (with keys: those of all keys in use); it recovers by itself like any other time."""
        from seawall.machines.breaker import Breaker  # late: loaded when this was made

        self._by_hand(Breaker.trip, key)

    def half_open(self, *, key: Hashable = ALL) -> None:
        """Let trial calls through now."""
        from seawall.machines.breaker import Breaker  # late: loaded when this was made

        self._by_hand(Breaker.half_open, key)

    def reset(self, *, key: Hashable = ALL) -> None:
        """Close the circuit, clear its counts and take off a pin."""
        with self._lock:
            now = self.clock.now()
            self._catch_up()
            for machine in self._those(key):
                machine.reset(now)
            self._observe()
            self._disturb()
            self._show_shut(now)
        self._publish()

    def _by_hand(self, action: Callable[[Breaker, float], None], key: Hashable) -> None:
        """One change by hand."""
        with self._lock:
            now = self.clock.now()
            self._catch_up()
            if self._table is None or key is not ALL:
                action(self._one(key, now), now)
            else:
                for machine in list(self._table.machines()):
                    action(machine, now)
            self._disturb()
            self._show_shut(now)
        self._publish()

    def _one(self, key: Hashable, now: float) -> Breaker:
        """The machine of one key, made if need be; the one for all without a key."""
        if key is ALL:
            return self._machine
        if self._table is None:
            raise self._no_keys(key)
        return self._table.get(key, now)

    def _those(self, key: Hashable) -> list[Breaker]:
        """The machine of one key if it has one, or all."""
        if key is ALL:
            return self._every()
        if self._table is None:
            raise self._no_keys(key)
        found = self._table.peek(key)
        return [] if found is None else [found]

    # ---------------------------------------------------------- plumbing

    def _follow(self) -> None:
        super()._follow()
        with self._lock:
            self._set_options(self._options)

    def _renamed(self) -> None:
        self._machine.name = self.name
        if self._table is not None:
            for key, machine in self._table.items():
                machine.name = self._name_of(key)

    def _renew(self) -> None:
        self._recall_numbers()
        for machine in self._every():
            machine.renew()

    def snapshot(self) -> PolicySnapshot:
        """The breaker at this moment, with keys the sum of all and the worst of them; see `PolicyBase.snapshot`."""
        from seawall.core.snapshot import PolicySnapshot  # late: loaded when this was made

        with self._lock:
            now, wall = self.clock.now(), self.clock.wall()
            self._catch_up()
            for one in self._every():
                for lost in one.lost():
                    one.record(lost, Verdict.UNSENT, 0.0, now)
            self._machine.tick(now)
            self._observe()
            machine = self._worst(now)
            machine.tick(now)
            more = {**details(machine, now, wall), "options": options(self._options, self.rules)}
            gauges = {"retry_after": machine.retry_after(now), "trials": len(machine.trials)}
            if self._table is not None:
                gauges |= {"trials": sum(len(one.trials) for one in self._every()), "keys": len(self._table)}
                more["options"] |= {"max_keys": self._max_keys, "key_ttl": self._key_ttl}
                more["keys"] = {
                    "count": len(self._table),
                    "evicted": self._table.evicted,
                    "worst": worst(list(self._table.items()), now),
                }
            snapshot = PolicySnapshot(
                kind=self.kind,
                name=self.name,
                pipelines=self.pipelines,
                state=machine.word(now),
                counters=counters(self._tally),
                gauges=gauges,
                histograms={"duration": self._durations.data()},
                details=more,
            )
            self._show_shut(now)
        self._publish()
        return snapshot


def _is_needed(machine: Breaker, now: float) -> bool:
    """A circuit that is not closed, or held by hand, goes last: without it its calls would go through again."""
    del now
    return machine.state != "closed" or machine.forced is not None
