"""The rate limiter: so many calls in so much time, with bursts, refused or made to wait."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from seawall.core.errors import ConfigurationError, RateLimitedError
from seawall.core.permit import ASK, Ask, Permit, Rejection
from seawall.core.snapshot import PolicySnapshot
from seawall.core.validate import duration, number
from seawall.machines.fixed_window import FixedWindow
from seawall.machines.gcra import Gcra
from seawall.machines.several import Several, SeveralOptions
from seawall.machines.shared import RateOptions, WindowOptions
from seawall.machines.sliding_counter import SlidingCounter
from seawall.machines.sliding_log import SlidingLog
from seawall.machines.token_bucket import TokenBucket
from seawall.policies.queueing import DAY, QueueingPolicy

if TYPE_CHECKING:
    from seawall.core.verdict import Verdict
    from seawall.drive.call import Call, CostRule, KeyRule
    from seawall.machines.waiting import Line

Algorithm = Literal["token_bucket", "gcra", "sliding_log", "sliding_counter", "fixed_window"]

_MACHINES: dict[str, Callable[..., Line]] = {
    "token_bucket": TokenBucket,
    "gcra": Gcra,
    "sliding_log": SlidingLog,
    "sliding_counter": SlidingCounter,
    "fixed_window": FixedWindow,
}
_BY_RATE = ("token_bucket", "gcra")
_UNITS = {"s": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0, "d": DAY, "day": DAY}
_RATE = re.compile(
    r"\s*(\d+(?:\.\d+)?)\s*(?:/|\bper\b)\s*(?:(\d+(?:\.\d+)?)\s*)?(s|min|h|d|(?:second|minute|hour|day)s?)\s*"
)


def parse_rate(text: str) -> tuple[float, float]:
    """(calls, seconds) of a rate such as "60/minute", "5/10s" or "5 per 10 seconds".

    Raises:
        ConfigurationError: naming the text and the form it must have.
    """
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    calls, many, unit = (found[1], found[2], found[3]) if found else ("0", "0", "s")
    period = float(many or 1) * _UNITS.get(unit, _UNITS.get(unit.removesuffix("s"), 1.0))
    if not 0 < float(calls) < math.inf or not 0 < period < math.inf:
        raise ConfigurationError(
            f'RateLimiter.rate = {text!r}: must be a number above 0, "/" or "per", and second, minute, hour, day or '
            'so many of them, such as "60/minute", "5/10s" or "5 per 10 seconds"'
        )
    return float(calls), period


class Limit(NamedTuple):
    """One of several limits of a `RateLimiter`.

    Args:
        rate: as in `RateLimiter`.
        burst: as there; None for the default.
        algorithm: as there; None for that of the limiter.
    """

    rate: str
    burst: float | None = None
    algorithm: Algorithm | None = None


class RateLimiter(QueueingPolicy):
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
        max_keys: keys kept at once, from 1, 10 000 by default; the least recently used go, spent limits last.
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
        duration("RateLimiter.max_wait", max_wait, zero=True)
        self.max_wait = float(max_wait)
        self.algorithm: Algorithm = algorithm
        _known(algorithm)
        self._parts = self._read(rate, burst)
        self._most = _capacity(self._parts)
        recovery = max(_recovery(options) for _, _, options in self._parts)
        ttl = max(3600.0, recovery) if key_ttl is None else key_ttl
        super().__init__(name, key=key, max_keys=max_keys, key_ttl=ttl, public_keys=public_keys, shadow=shadow)
        if self.key_ttl < recovery:
            raise ConfigurationError(
                f"RateLimiter.key_ttl = {key_ttl!r}: must be at least {recovery:g}, the seconds in which a spent limit "
                "recovers, or waiting for it to be forgotten would be a way around"
            )
        if cost is not None and not callable(cost):
            number("RateLimiter.cost", cost, above=True)
        self.cost = cost
        if isinstance(cost, int | float):
            self._check(Ask(cost))
        self.shape = "queue" if max_wait > 0 else "guard"  # only who may wait stands in a line
        self._begin()

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
            _known(algorithm)
            given = burst if limit.burst is None else limit.burst
            parts.append((limit.rate, algorithm, _options(limit.rate, given, algorithm, self.max_wait)))
        return parts

    def _make(self, name: str) -> Line:
        if len(self._parts) == 1:
            [(_, algorithm, options)] = self._parts
            return _MACHINES[algorithm](name, options, self._shared)
        parts = [_MACHINES[algorithm](rate, options) for rate, algorithm, options in self._parts]
        return Several(name, parts, self.max_wait, self._shared)

    def _needed(self, machine: Line, now: float) -> bool:
        return bool(machine.waiting) or machine.gate > machine.seen or machine.available(now) < 1.0

    def acquire(self, ask: Ask = ASK) -> Permit | Rejection:
        """Take `ask.cost` tokens now, or be told when they will be there.

        Raises:
            ConfigurationError: if the cost is not above 0, or more than can ever be had: that could never succeed.
        """
        self._check(ask)
        with self._lock:
            now = self.clock.now()
            machine = self._home(ask.key, now)
            granted: Permit | Rejection = machine.acquire(ask, now)
            if self._table is not None and isinstance(granted, Permit):
                granted.home = machine
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
        with self._lock:
            machine = self._seen(key)
            return 0.0 if machine is None else float(machine.lack(cost, self.clock.now()))

    def available(self, key: Hashable = None) -> float:
        """Tokens there now; below zero while callers wait. Takes nothing."""
        with self._lock:
            machine = self._seen(key)
            return self.burst if machine is None else float(machine.available(self.clock.now()))

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
        with self._lock:
            self._parts = parts
            self._most = _capacity(parts)
        options = tuple(part[2] for part in parts)
        new: Any = options[0] if len(options) == 1 else SeveralOptions(options, self.max_wait)
        self._change(lambda machine, now: machine.update(new, now))

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
        with self._lock:
            gauges = {"waiting": float(self._shared.waiting)}
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
            if self._table is None:
                gauges["tokens"] = self._machine.available(self.clock.now())
            else:
                gauges["keys"] = len(self._table)
                details["busiest"] = self._busiest()
            snapshot = PolicySnapshot(
                kind=self.kind,
                name=self.name,
                pipelines=self.pipelines,
                counters=self._counters(),
                gauges=gauges,
                histograms={"wait": self._waits.data()},
                details=details,
            )
        self._publish()
        return snapshot


def _known(algorithm: str) -> None:
    """Refuse an algorithm that is none."""
    if algorithm not in _MACHINES:
        raise ConfigurationError(f"RateLimiter.algorithm = {algorithm!r}: must be one of {', '.join(_MACHINES)}")


def _options(rate: str, burst: float | None, algorithm: str, max_wait: float) -> RateOptions | WindowOptions:
    """The settings of one machine."""
    calls, period = parse_rate(rate)
    if algorithm in _BY_RATE:
        if burst is None:
            burst = max(1.0, calls / period)
        number("RateLimiter.burst", burst, least=1.0)
        return RateOptions(calls / period, float(burst), max_wait)
    if burst is not None:
        raise ConfigurationError(
            f'RateLimiter.burst = {burst!r}: has no meaning with algorithm = "{algorithm}", whose windows hold the '
            "number of the rate; leave it out"
        )
    if calls < 1:
        raise ConfigurationError(
            f'RateLimiter.rate = {rate!r}: must allow at least 1 call in a window with algorithm = "{algorithm}"; '
            'give a longer time, such as "1/2s" for "0.5/second"'
        )
    return WindowOptions(calls, period, max_wait)


def _capacity(parts: list[tuple[str, str, RateOptions | WindowOptions]]) -> float:
    """The largest cost that all of the limits can pay."""
    return min(options.burst if isinstance(options, RateOptions) else options.limit for _, _, options in parts)


def _recovery(options: RateOptions | WindowOptions) -> float:
    """Seconds in which a spent limit is as good as new."""
    return options.burst / options.rate if isinstance(options, RateOptions) else 2 * options.window
