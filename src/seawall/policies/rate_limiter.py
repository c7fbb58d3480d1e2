"""The rate limiter: so many calls in so much time, with bursts, refused or made to wait."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from seawall.core.errors import ConfigurationError, RateLimitedError
from seawall.core.permit import ASK, Ask, Permit, Rejection
from seawall.core.validate import duration, number
from seawall.machines.shared import Shared
from seawall.policies.rate_supply import RateSupply
from seawall.policies.rates import (
    Algorithm,
    Limit,
    capacity,
    known,
    machine_of,
    options_of,
    parse_rate,
    recovery_time,
)

if TYPE_CHECKING:
    from collections import deque

    from seawall.core.snapshot import PolicySnapshot
    from seawall.core.verdict import Verdict
    from seawall.drive.call import Call
    from seawall.drive.protocols import CostRule, KeyRule
    from seawall.events.types import RawEvent
    from seawall.machines.shared import RateOptions, WindowOptions
    from seawall.machines.waiting import Line

__all__ = ["Limit", "RateLimiter", "parse_rate"]


class RateLimiter(RateSupply):
    """Lets calls through at a rate, after a burst; refuses the rest or makes them wait in line.

    A refusal says in how many seconds the call will succeed, and that always suffices. Those who may wait know exactly
    when they go, in the order they came; a wait that cannot fit is refused at once. When the dependency answers
    "throttled" with a Retry-After, all callers are held until then. With several limits a call takes from all of them
    or from none.

    Args:
        rate: "60/minute", "1000/second", "5/10s": a number and a time; or several of them, or of `Limit`.
        burst: tokens the bucket holds; at least 1, by default one second's worth, at least 1. Only for "token_bucket"
            and "gcra": a window holds the number of its rate.
        algorithm: "token_bucket" (default), "gcra" (the same in one number), "sliding_log" (no window of time sees
            more, exact, one entry for each call), "sliding_counter" (nearly so, two numbers), "fixed_window" (so many
            per minute of the clock).
        max_wait: seconds a caller may wait; at least 0, 0 (default) refuses at once.
        cost: tokens of a call, above 0, or a function of its arguments; 1 by default. One that could never be paid is
            an error.
        key: the name of an argument of the protected function, or a function of its arguments: a limit for each value.
        max_keys: keys kept at once, from 1, 10 000 by default; the least recently used go, spent limits last. From
            1 024 on, a sixteenth of the keys, by their hash, has a sixteenth of the room and a lock of its own.
        key_ttl: seconds after which an unused key is forgotten; at least the time a spent limit takes to recover, by
            default an hour or that.
        public_keys: whether keys may be written down; by default events and metrics show a hash.
        shadow: True decides, counts and reports, but lets everybody through.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if a value is out of its range.
    Source: GCRA: ITU-T I.371, annex A, as virtual scheduling.
    """

    kind = "rate_limiter"
    rank = 6
    rejection = RateLimitedError
    max_wait = 0.0
    algorithm: Algorithm = "token_bucket"

    def __init__(
        self,
        rate: str | Sequence[str | Limit],
        *,
        burst: float | None = None,
        algorithm: Algorithm = "token_bucket",
        max_wait: float = 0.0,
        cost: CostRule | None = None,
        key: KeyRule | None = None,
        max_keys: int = 10_000,
        key_ttl: float | None = None,
        public_keys: bool = False,
        shadow: bool = False,
        name: str | None = None,
    ) -> None:
        from seawall.machines import several  # noqa: F401 - late: nothing but a rate limiter needs it

        duration("RateLimiter.max_wait", max_wait, zero=True)
        self._keep(max_wait=float(max_wait), algorithm=algorithm)
        known(algorithm)
        self._parts = self._read(rate, burst)
        for _, one, _ in self._parts:
            machine_of(one)  # loads it: the state comes with the first call, perhaps in an outage
        self._most = capacity(self._parts)
        recovery = max(recovery_time(options) for _, _, options in self._parts)
        ttl = max(3600.0, recovery) if key_ttl is None else key_ttl
        super().__init__(name, key=key, max_keys=max_keys, key_ttl=ttl, public_keys=public_keys, shadow=shadow)
        if self.key_ttl < recovery:
            raise ConfigurationError(
                f"RateLimiter.key_ttl = {key_ttl!r}: must be at least {recovery:g}, the seconds in which a spent limit "
                "recovers, or waiting for it to be forgotten would be a way around"
            )
        if cost is not None and not callable(cost):
            number("RateLimiter.cost", cost, above=True)
        self._keep(cost=cost, shape="queue" if max_wait > 0 else "guard")  # only who may wait stands in a line
        if isinstance(cost, int | float):
            self._check(Ask(cost))

    @property
    def rate(self) -> str:
        """The rate or rates as given."""
        return ", ".join(rate for rate, _, _ in self._parts)

    @property
    def burst(self) -> float:
        """The largest cost that can be paid: the burst, or the number of a window; the smallest of several."""
        return self._most

    def _read(
        self, rate: str | Sequence[str | Limit], burst: float | None
    ) -> list[tuple[str, str, RateOptions | WindowOptions]]:
        """The limits as (rate, algorithm, options)."""
        if isinstance(rate, Limit):
            rate = [rate]
        several = isinstance(rate, Sequence) and not isinstance(rate, str)
        if several and not rate:
            raise ConfigurationError(f"RateLimiter.rate = {rate!r}: holds no rate; give one, such as '60/minute'")
        if several and burst is not None and len(rate) > 1:
            raise ConfigurationError(
                f"RateLimiter.burst = {burst!r}: does not say which of {len(rate)} limits it is for; "
                "give Limit(rate, burst=…) in place of a text"
            )
        parts: list[tuple[str, str, RateOptions | WindowOptions]] = []
        for one in rate if several else [rate]:
            limit = one if isinstance(one, Limit) else Limit(one)  # type: ignore[arg-type]
            algorithm = limit.algorithm or self.algorithm
            known(algorithm)
            given = burst if limit.burst is None else limit.burst
            parts.append((limit.rate, algorithm, options_of(limit.rate, given, algorithm, self.max_wait)))
        return parts

    def _make(self, name: Hashable, shared: Shared) -> Line:
        if len(self._parts) == 1:
            [(_, algorithm, options)] = self._parts
            return machine_of(algorithm)(name, options, shared)
        parts = [machine_of(algorithm)(rate, options, shared.parts) for rate, algorithm, options in self._parts]
        from seawall.machines.several import Several  # late: loaded when this was made

        return Several(name, parts, self.max_wait, shared)

    def _share(self, number: int, outbox: deque[RawEvent], numbers: Iterator[int]) -> Shared:
        shared = super()._share(number, outbox, numbers)
        if len(self._parts) > 1:
            shared.parts = Shared()
        if self.key is not None:
            shared.name_of = self._key_name  # when somebody asks for it
        return shared

    def _for_key(self, key: Hashable, shared: Shared) -> Line:
        return self._make(key, shared)

    def _rename_keys(self) -> None:
        """Their names are made when somebody asks for them."""

    def _needed(self, machine: Line, now: float) -> bool:
        return bool(machine.waiting) or machine.gate > machine.seen or machine.available(now) < 1.0

    def acquire(self, ask: Ask = ASK) -> Permit | Rejection:
        """Take `ask.cost` tokens now, or be told when they will be there.

        Raises:
            ConfigurationError: if the cost is not above 0, or more than can ever be had: that could never succeed.
        """
        self._check(ask)
        if self._inside():
            return self._amid()
        number = self._number(ask.key)
        with self._lock_at(number):
            stripe = self._stripes[number]
            now = self.clock.now()  # see `enter`
            self._settle(now)
            machine = self._home(ask.key, stripe, now)
            granted: Permit | Rejection = machine.acquire(ask, now)
            if stripe.table is not None and isinstance(granted, Permit):
                granted.home = machine
            self._offer(now)
        self._publish()
        return granted

    def try_acquire(self, cost: float = 1.0, key: Hashable = None) -> bool:
        """Take tokens now for work that no pipeline runs; False if they are not there (never in shadow mode).

        Args:
            cost: tokens, above 0, 1 by default.
            key: whose limit, where there is one for each key.

        Raises:
            ConfigurationError: if the cost could never be paid.
        """
        return isinstance(self.acquire(Ask(cost, key)), Permit) or self.shadow

    def retry_after(self, cost: float = 1.0, key: Hashable = None) -> float:
        """Seconds until `try_acquire` would succeed if nobody else came; 0 if now. Takes nothing.

        Raises:
            ConfigurationError: if the cost could never be paid.
        """
        self._check(Ask(cost))
        number = self._number(key)
        with self._reading(number):
            now = self.clock.now()
            self._settle(now)
            machine = self._seen(key, self._stripes[number])
            lack = 0.0 if machine is None else float(machine.lack(cost, now))
            self._offer(now)
            return lack

    def available(self, key: Hashable = None) -> float:
        """Tokens there now; below zero while callers wait. Takes nothing."""
        number = self._number(key)
        with self._reading(number):
            now = self.clock.now()
            self._settle(now)
            machine = self._seen(key, self._stripes[number])
            there = self.burst if machine is None else float(machine.available(now))
            self._offer(now)
            return there

    def update(self, rate: str | Sequence[str | Limit] | None = None, *, burst: float | None = None) -> None:
        """Other limits from now on. What was accrued is settled under the old ones, and those who wait are re-timed.

        Args:
            rate: as many as there were; None leaves it.
            burst: None for the default that goes with the rate.

        Raises:
            ConfigurationError: if a value is out of its range, the limits are not as many, or an algorithm differs.
        """
        now_ = [Limit(text, None, algorithm) for text, algorithm, _ in self._parts]  # type: ignore[arg-type]
        parts = self._read(now_ if rate is None else rate, burst)
        if [part[1] for part in parts] != [part[1] for part in self._parts]:
            raise ConfigurationError(
                f"RateLimiter.rate = {rate!r}: must be {len(self._parts)} of the same algorithms as now "
                f"({', '.join(part[1] for part in self._parts)}); build another limiter for others"
            )
        self._holding(lambda: self._set_parts(parts))
        options = tuple(part[2] for part in parts)
        from seawall.machines.several import SeveralOptions  # late: loaded when this was made

        new: Any = options[0] if len(options) == 1 else SeveralOptions(options, self.max_wait)
        self._change(lambda machine, now: machine.update(new, now))

    def _set_parts(self, parts: list[tuple[str, str, RateOptions | WindowOptions]]) -> None:
        """These limits from now on; needs all locks."""
        self._parts, self._most = parts, capacity(parts)

    def begin(self, permit: Permit) -> None:
        """Nothing to do."""

    def record(
        self, permit: Permit, verdict: Verdict, duration: float, *, cause: str = "", retry_after: float | None = None
    ) -> None:
        """The call has ended; see `Line.record`."""
        del duration, cause
        self.leave(permit, verdict, retry_after=retry_after)

    def verdict(self, call: Call, error: BaseException | None) -> Verdict:
        """How the limiter sees the end of a call."""
        return call.judge(error, call.value)

    def reset(self) -> None:
        """Forget what was taken, and a pause the dependency asked for."""
        self._change(lambda machine, now: machine.reset(now))

    def _check(self, ask: Ask) -> None:
        cost, most = ask.cost, self._most
        if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 < cost <= most:
            raise ConfigurationError(
                f'RateLimiter "{self.name}": cost = {cost!r}: must be above 0 and at most the burst of {most:g} '
                "(of a window: its number); it could never be paid"
            )

    def snapshot(self) -> PolicySnapshot:
        """The limiter at this moment; see `PolicyBase.snapshot`."""
        snapshot = self._holding(self._snapshot)
        self._publish()
        return snapshot

    def _snapshot(self) -> PolicySnapshot:
        """The same; needs all locks."""
        from seawall.core.snapshot import PolicySnapshot  # late: loaded when this was made

        self._settle(self.clock.now())
        gauges = {"waiting": float(self._sum(lambda one: one.waiting))}
        details: dict[str, Any] = {
            "options": {
                "rate": self.rate,
                "burst": self.burst,
                "max_wait": self.max_wait,
                "algorithm": ", ".join(dict.fromkeys(algorithm for _, algorithm, _ in self._parts)),
            }
        }
        if self.shadow:
            details["options"] |= {"shadow": True}
        if self.key is None:
            gauges["tokens"] = self._machine.available(self.clock.now())
        else:
            gauges["keys"] = sum(map(len, self._tables()))
            details["busiest"] = self._busiest()
        self._offer(self.clock.now())
        return PolicySnapshot(
            kind=self.kind,
            name=self.name,
            pipelines=self.pipelines,
            counters=self._counters(),
            gauges=gauges,
            histograms={"wait": self._waits_data()},
            details=details,
        )
