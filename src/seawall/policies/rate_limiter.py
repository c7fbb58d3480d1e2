"""The rate limiter: so many calls in so much time, with bursts, refused or made to wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from seawall.core.errors import ConfigurationError, RateLimitedError
from seawall.core.permit import ASK, Ask, Parked, Permit, Rejection, Waiter
from seawall.core.snapshot import PolicySnapshot
from seawall.core.validate import duration, number
from seawall.core.verdict import Verdict
from seawall.machines.token_bucket import TokenBucket, TokenBucketOptions
from seawall.measure.histogram import Histogram
from seawall.policies.base import PolicyBase

if TYPE_CHECKING:
    from seawall.drive.call import Call

_UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}


def parse_rate(text: str) -> tuple[float, float]:
    """(calls, seconds) of a rate such as "60/minute" or "1000/second".

    Raises:
        ConfigurationError: naming the text and the form it must have.
    """
    count, slash, unit = str(text).partition("/")
    try:
        calls = float(count)
    except ValueError:
        calls = 0.0
    period = _UNITS.get(unit.strip())
    if not slash or period is None or not 0 < calls < float("inf"):
        raise ConfigurationError(
            f'RateLimiter.rate = {text!r}: must be a number above 0, "/" and second, minute, hour or day, '
            'such as "60/minute"'
        )
    return calls, period


class RateLimiter(PolicyBase):
    """Lets calls through at a rate, after a burst; refuses the rest or makes them wait in line.

    A token bucket. A refusal says in how many seconds the call will succeed, and that always suffices. Those who may
    wait know exactly when they go, in the order they came; a wait that cannot fit is refused at once. When the
    dependency answers "throttled" with a Retry-After, all callers are held until then.

    Args:
        rate: "60/minute", "1000/second": a number and second, minute, hour or day.
        burst: tokens the bucket holds; at least 1, by default one second's worth, at least 1.
        max_wait: seconds a caller may wait; at least 0, 0 (default) refuses at once.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if a value is out of its range.
    """

    kind = "rate_limiter"
    rank = 6
    rejection = RateLimitedError
    _state = (*PolicyBase._state, "_waits", "_machine")

    def __init__(
        self, rate: str, *, burst: float | None = None, max_wait: float = 0.0, name: str | None = None
    ) -> None:
        super().__init__(name)
        calls, period = parse_rate(rate)
        per_second = calls / period
        if burst is None:
            burst = max(1.0, per_second)
        number("RateLimiter.burst", burst, least=1.0)
        duration("RateLimiter.max_wait", max_wait, zero=True)
        self.rate = rate
        self.burst = float(burst)
        self.max_wait = float(max_wait)
        self._options = TokenBucketOptions(per_second, float(burst), float(max_wait))
        self.shape = "queue" if max_wait > 0 else "guard"  # only who may wait stands in a line
        self._begin()

    def _begin(self) -> None:
        super()._begin()
        self._waits = Histogram()
        self._machine = TokenBucket(self.name, self._options)
        self._outbox = self._machine.outbox

    def acquire(self, ask: Ask = ASK) -> Permit | Rejection:
        """Take `ask.cost` tokens now, or be told when they will be there.

        Raises:
            ConfigurationError: if the cost is not above 0, or more than the bucket holds: that could never succeed.
        """
        self._check_cost(ask.cost)
        with self._lock:
            granted = self._machine.acquire(ask, self.clock.now())
        self._publish()
        return granted

    def begin(self, permit: Permit) -> None:
        """Tokens carry no lease."""

    def record(
        self, permit: Permit, verdict: Verdict, duration: float, *, cause: str = "", retry_after: float | None = None
    ) -> None:
        """End a permit: tokens of a call that was never sent come back; a throttled one closes the gate."""
        if self._lock._is_owned():
            self._put_off(self.record, permit, verdict, duration, cause=cause, retry_after=retry_after)
            return
        with self._lock:
            self._machine.record(permit, verdict, duration, self.clock.now(), cause, retry_after=retry_after)
            held = list(self._machine.waiting) if verdict is Verdict.THROTTLED else []
        self._publish()
        if held:
            self._wake(held)  # they wait longer now, or are refused at once

    def verdict(self, call: Call, error: BaseException | None) -> Verdict:
        """How the limiter sees the end of a call."""
        return call.judge(error, call.value)

    def enter(self, ask: Ask, make_waiter: Callable[[], Waiter]) -> Permit | Parked | Rejection:
        """Like `acquire`, with a place in line for a caller who may wait."""
        self._check_cost(ask.cost)
        with self._lock:
            granted = self._machine.enter(ask, self.clock.now())
            if isinstance(granted, Parked):
                granted.waiter = make_waiter()
            elif isinstance(granted, Permit):
                self._waits.observe(0.0)
        self._publish()
        return granted

    def claim(self, place: Parked) -> Permit | Parked | Rejection:
        """The permit of one whose time has come, or a refusal if a pause has made its wait too long."""
        with self._lock:
            now = self.clock.now()
            state = self._machine.claim(place, now)
            if isinstance(state, Permit):
                self._waits.observe(now - place.entered_at)
            behind = list(self._machine.waiting) if isinstance(state, Rejection) else []
        self._publish()
        self._wake(behind)
        return state

    def abandon(self, place: Parked) -> None:
        """One who waited goes away; those behind it move up."""
        if self._lock._is_owned():
            self._put_off(self.abandon, place)
            return
        with self._lock:
            behind = self._machine.abandon(place, self.clock.now())
        self._publish()
        self._wake(behind)

    def _wake(self, behind: list[Parked]) -> None:
        """Have those who moved up look at their new time."""
        for other in behind:
            if other.waiter is not None:
                other.waiter.wake()

    def leave(self, permit: Permit, verdict: Verdict, *, retry_after: float | None = None) -> None:
        """The call has ended."""
        self.record(permit, verdict, 0.0, retry_after=retry_after)

    def reset(self) -> None:
        """Fill the bucket and forget a pause the dependency asked for."""
        with self._lock:
            self._machine.reset(self.clock.now())

    def _check_cost(self, cost: float) -> None:
        """Refuse costs that can never be paid."""
        if not 0 < cost <= self._options.burst:
            raise ConfigurationError(
                f'RateLimiter "{self.name}": cost = {cost}: must be above 0 and at most the burst of '
                f"{self._options.burst:g}; it could never be paid"
            )

    def _renamed(self) -> None:
        self._machine.name = self.name

    def _renew(self) -> None:
        self._machine.renew()

    def snapshot(self) -> PolicySnapshot:
        """The limiter at this moment; see `PolicyBase.snapshot`."""
        with self._lock:
            machine = self._machine
            snapshot = PolicySnapshot(
                kind=self.kind,
                name=self.name,
                pipelines=self.pipelines,
                counters={f"requests.{what}": count for what, count in machine.counts.items()},
                gauges={"tokens": machine.available(self.clock.now()), "waiting": len(machine.waiting)},
                histograms={"wait": self._waits.data()},
                details={"options": {"rate": self.rate, "burst": self.burst, "max_wait": self.max_wait}},
            )
        self._publish()
        return snapshot
