"""Rate limit vectors against the public policy: immediate, reserved and waited-for tokens."""

from typing import Any

from seawall import ConfigurationError, RateLimiter
from seawall.core.permit import Ask, Parked, Permit, Rejection, Waiter
from seawall.core.verdict import Verdict
from seawall.testing import VirtualClock, run_threads
from tests.conformance.adapters import readings
from tests.conformance.language import Keys, NotBuiltError, Vector, close, needs

BUILT = frozenset({
    "token_bucket", "reserve", "cancel", "cancellation", "wait", "queue", "retry_after", "remaining", "concurrency",
    "config_validation", "clock_backwards", "gcra", "sliding_window_log", "sliding_window_counter", "fixed_window",
    "leaky_spacing",
})  # fmt: skip

_NAMES = {
    "token_bucket": "token_bucket", "gcra": "gcra", "fixed_window": "fixed_window", "leaky_spacing": "fixed_window",
    "sliding_window_log": "sliding_log", "sliding_log": "sliding_log",
    "sliding_window_counter": "sliding_counter", "sliding_counter": "sliding_counter",
}  # fmt: skip

_LONG = 1e9  # seconds: as good as no limit to a wait


class _Standing(Waiter):
    """One who stands in line here is looked at after each step, and needs no waking."""

    def wake(self) -> bool:
        return True


class RateAdapter:
    """Runs one vector; the limiter's decisions have no colour."""

    def __init__(self, vector: Vector, clock: VirtualClock, colour: str) -> None:
        del colour
        needs(vector, BUILT)
        self.vector, self.clock = vector, clock
        config = vector.config
        if vector.data.get("config", {}).get("algorithm", "token_bucket") not in _NAMES:
            raise NotBuiltError(vector.data["config"]["algorithm"])
        #: calls on an even grid are windows of one call: n of them are n calls
        self.single = vector.data.get("config", {}).get("algorithm") == "leaky_spacing"
        waits = vector.mentions("reserve", "wait", "waiters", "wait_at")
        self.limiter = self.build(config, waiting=waits)
        self.places: dict[str, Permit | Parked] = {}
        self.line: list[tuple[str, Parked]] = []
        self.done: list[str] = []
        self.asked = 0

    @staticmethod
    def build(config: Keys, *, waiting: bool) -> RateLimiter:
        """The policy of a configuration."""
        algorithm: Any = _NAMES[config.take("algorithm", "token_bucket")]
        max_wait = config.take("max_wait", _LONG if waiting else 0.0)
        burst = config.take("burst", None)
        if "interval" in config:
            rate = f"1/{config.take('interval')!r}s"
        elif "window" in config:
            config.expect("borrow", True)  # who waits is booked into the windows to come
            rate = f"{config.take('limit')!r}/{config.take('window')!r}s"
        else:
            rate = f"{config.take('rate') / config.take('per', 1.0)!r}/second"
        config.done()
        wait = _LONG if max_wait is None else max_wait
        return RateLimiter(rate, burst=burst, algorithm=algorithm, max_wait=wait, name="vector")

    def run(self) -> None:
        for data in self.vector.steps:
            step = Keys(data, "step")
            readings.move(self.clock, step, 0.0)
            self.proceed()
            self.before(step)
            self.act(step)
            self.after(step)
            step.done()

    def proceed(self) -> None:
        """Those whose tokens have come go, in order."""
        for name, place in list(self.line):
            if isinstance(self.limiter.claim(place), Permit):
                self.line.remove((name, place))
                self.done.append(name)

    def before(self, step: Keys) -> None:
        """What is expected before the step takes anything."""
        if "expect_tokens" in step:
            self.compare("tokens", self.tokens(), step.take("expect_tokens"))

    def act(self, step: Keys) -> None:
        """Take, reserve, wait, cancel, reset."""
        if "acquire" in step:
            self.acquire(step)
        if "reserve" in step:
            cost, times = step.take("reserve"), step.take("times", 1)
            if self.single:
                cost, times = 1, cost * times
            for _ in range(times - 1):
                self.reserve(cost)
            self.check_reservation(self.reserve(cost), step)
        if "wait" in step:
            cost = step.take("wait")
            self.wait(step.take("id"), 1 if cost is True else cost)
        for name in _names(step.take("waiters")):
            self.wait(name, 1)
        if (name := step.take("cancel")) is not None:
            self.cancel(name)
        if (operation := step.take("op")) is not None:
            if operation != "reset":
                raise NotBuiltError(f"operation {operation}")
            self.limiter.reset()
        self.more(step)

    def more(self, step: Keys) -> None:
        """Threads at once; configurations."""
        if (parallel := step.take("parallel")) is not None:
            work = [lambda: sum(self.take(1) is True for _ in range(parallel["per_worker"]))] * parallel["workers"]
            assert sum(map(int, run_threads(*work))) == step.take("expect_granted")  # type: ignore[arg-type]
        if (overrides := step.take("construct")) is not None:
            try:
                self.build(Keys({**self.vector.data["config"], **overrides}, "configuration"), waiting=False)
            except ConfigurationError:
                assert step.take("expect") == "config_error"
            else:
                assert step.take("expect") == "ok"

    def take(self, cost: float) -> bool | Rejection:
        """Take tokens now: True, the refusal, or False for a cost that could never be paid."""
        try:
            granted = self.limiter.acquire(Ask(cost=cost))
        except ConfigurationError:
            return False
        return True if isinstance(granted, Permit) else granted

    def acquire(self, step: Keys) -> None:
        """Tokens now or not at all."""
        cost = step.take("acquire")
        granted = self.take(1 if cost is True else cost)
        assert (granted is True) == step.take("expect", True), granted
        for key in ("expect_retry_after", "expect_next_in"):
            if key in step:
                actual = granted.retry_after if isinstance(granted, Rejection) else self.limiter.retry_after()
                self.compare(key, actual, step.take(key))

    def reserve(self, cost: float) -> Permit | Parked | Rejection | None:
        """Tokens now or at a moment to come; None for a cost that could never be paid."""
        try:
            return self.limiter.enter(Ask(cost=cost), _Standing)
        except ConfigurationError:
            return None

    def check_reservation(self, granted: Permit | Parked | Rejection | None, step: Keys) -> None:
        """When it may act."""
        refused = granted is None or isinstance(granted, Rejection)
        if "expect" in step:
            assert refused != (step.take("expect") is True), granted
        wait = step.take("expect_wait")
        act_at = step.take("expect_act_at")
        if wait == "refused":
            assert refused, granted
        elif isinstance(granted, Permit | Parked):
            now = self.clock.now()
            at = granted.wake_at if isinstance(granted, Parked) else now
            assert at is not None
            assert wait is None or close(at - now, wait, 1e-6), f"wait: {at - now}, expected {wait}"
            assert act_at is None or close(at, act_at, 1e-6), f"act at: {at}, expected {act_at}"
        if (name := step.take("id")) is not None and isinstance(granted, Permit | Parked):
            self.places[name] = granted

    def wait(self, name: str | None, cost: float) -> None:
        """Stand in line, or be done at once."""
        self.asked += 1
        name = name or f"waiter {self.asked}"
        granted = self.limiter.enter(Ask(cost=cost), _Standing)
        if isinstance(granted, Permit):
            self.done.append(name)
        elif isinstance(granted, Parked):
            self.line.append((name, granted))
            self.places[name] = granted

    def cancel(self, name: str) -> None:
        """Give up a reservation; one that could have acted earlier has."""
        place = self.places.pop(name)
        if isinstance(place, Permit):
            if place.admitted_at >= self.clock.now():
                self.limiter.leave(place, Verdict.UNSENT)
            return
        if place.wake_at is not None and place.wake_at < self.clock.now():
            self.limiter.claim(place)
        self.limiter.abandon(place)
        self.line = [(other, parked) for other, parked in self.line if parked is not place]

    def after(self, step: Keys) -> None:
        """What is expected after the step."""
        for key in ("expect_remaining", "expect_available"):
            if key in step:
                self.compare(key, max(0.0, self.tokens()), step.take(key))
        if "expect_used" in step:
            self.compare("used", self.limiter.burst - self.tokens(), step.take("expect_used"))
        if "expect_done" in step:
            assert len(self.done) == step.take("expect_done"), self.done
        if "expect_pending" in step:
            assert len(self.line) == step.take("expect_pending")
        if "expect_done_ids" in step:
            assert self.done == step.take("expect_done_ids")

    def tokens(self) -> float:
        """Tokens in the bucket now."""
        return self.limiter.snapshot().gauges["tokens"]

    def compare(self, what: str, actual: float | None, expected: Any) -> None:
        assert close(actual, expected, max(self.vector.tolerance, 1e-6)), f"{what}: {actual}, expected {expected}"


def _names(waiters: Any) -> list[str | None]:
    """The names of several waiters, given as a list or as a number."""
    if waiters is None:
        return []
    return [None] * waiters if isinstance(waiters, int) else list(waiters)
