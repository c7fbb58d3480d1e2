"""The stale cache: the last good value stands in for a failure, and one caller fetches for all."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from seawall.core.chance import Chance, system_chance
from seawall.core.errors import ConfigurationError, DeadlineExceededError, RejectedError
from seawall.core.lazy import lazy
from seawall.core.snapshot import PolicySnapshot
from seawall.core.validate import duration, number, whole
from seawall.drive.arguments import argument
from seawall.errors.classify import label
from seawall.events.types import FallbackUsed
from seawall.machines.stale_cache import Flight, Look, StaleCacheMachine, StaleCacheOptions
from seawall.policies.base import PolicyBase

if TYPE_CHECKING:
    from seawall.core.permit import Waiter
    from seawall.drive.call import Call
    from seawall.drive.protocols import KeyRule, Shape


class StaleCache(PolicyBase):
    """Keeps the last good value of each key and gives it in place of a failure, marked as degraded.

    While a value is fresh it answers by itself and nothing is called. When it is not, one caller fetches and the others
    get the old value meanwhile, or wait for the new one if there is none: an expired key is no stampede. All callers
    share one value, so it must not be changed by them.

    Args:
        stale: seconds a value may stand in for a failure; > 0.
        fresh: seconds a value answers without a call; from 0 to `stale`, 0 by default: every call is tried.
        key: what sets calls apart: the name of an argument, or a function of the arguments; by default all arguments,
            which must be hashable then.
        max_keys: from 1, 1,000 by default; the least recently used value goes first.
        spread: share by which `fresh` is shortened at most, so that values do not run out together; 0 to 1, 0.1 by
            default.
        chance: source of that, for tests.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if a value is out of its range.
    Source: RFC 5861, stale-if-error and stale-while-revalidate.
    """

    kind = "stale_cache"
    rank = 0
    rejection = DeadlineExceededError
    shape: Shape = "cache"
    _key_rule: KeyRule | None = None
    _machine: StaleCacheMachine = lazy()
    _used = 0

    def __init__(
        self,
        stale: float,
        *,
        fresh: float = 0.0,
        key: KeyRule | None = None,
        max_keys: int = 1000,
        spread: float = 0.1,
        chance: Chance | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        duration("StaleCache.stale", stale)
        duration("StaleCache.fresh", fresh, zero=True)
        if fresh > stale:
            raise ConfigurationError(
                f"StaleCache.fresh = {fresh:g}: must be at most stale ({stale:g}); a value cannot be fresh for longer "
                "than it is kept"
            )
        whole("StaleCache.max_keys", max_keys, 1)
        number("StaleCache.spread", spread, most=1.0)
        if key is not None and not isinstance(key, str) and not callable(key):
            raise ConfigurationError(f"StaleCache.key = {key!r}: must be the name of an argument, or a function")
        self.options = StaleCacheOptions(float(fresh), float(stale), max_keys, float(spread))
        self._keep(_key_rule=key)
        self.chance: Chance = chance or system_chance

    def _begin(self) -> dict[str, Any]:
        return {**super()._begin(), "_machine": StaleCacheMachine(self.options), "_used": 0}

    def key_of(self, call: Call) -> Hashable:
        """What sets this call apart.

        Raises:
            ConfigurationError: if the arguments cannot be a key and no rule says what is.
        """
        rule = self._key_rule
        if call.options.key is not None:
            key: Hashable = call.options.key
        elif rule is None:
            key = (call.args, tuple(sorted(call.kwargs.items())))
        else:
            key = argument(call, self, rule) if isinstance(rule, str) else rule(*call.args, **call.kwargs)
        try:
            hash(key)
        except TypeError:
            raise ConfigurationError(
                f'StaleCache "{self.name}": the arguments of {getattr(call.fn, "__qualname__", "the function")} cannot '
                "be hashed; give key = the name of one that can, or a function of them"
            ) from None
        return key

    def look(self, key: Hashable) -> Look:
        """What the caller is to do."""
        with self._lock:
            return self._machine.look(key, self.clock.now())

    def follow(self, flight: Flight, waiter: Waiter) -> bool:
        """Have `waiter` woken when the flight has landed; False if it has."""
        with self._lock:
            if not flight.done:
                flight.waiters.append(waiter)
            return not flight.done

    def land(self, key: Hashable, flight: Flight, value: Any) -> None:
        """The leader has a value for everybody."""
        with self._lock:
            waiters = self._machine.land(key, flight, value, self.clock.now(), self.chance())
        for waiter in waiters:
            waiter.wake()

    def land_without(self, key: Hashable, flight: Flight, value: Any) -> None:
        """The leader has a value that is not worth keeping: its followers get it all the same."""
        flight.ok, flight.value = True, value
        with self._lock:
            waiters = self._machine.fail(key, flight, None)
        for waiter in waiters:
            waiter.wake()

    def fail(self, key: Hashable, flight: Flight, error: BaseException) -> None:
        """The leader has none; its followers share the error, unless it is the leader's own (a cancellation)."""
        with self._lock:
            waiters = self._machine.fail(key, flight, error if isinstance(error, Exception) else None)
        for waiter in waiters:
            waiter.wake()

    def good(self, call: Call) -> bool:
        """Whether the value of the call is worth keeping."""
        return not call.degraded and call.judge(None, call.value).name == "SUCCESS"

    def instead(self, call: Call, key: Hashable, error: Exception | None) -> tuple[Any] | None:
        """The last known value in place of a failure that may be answered for, in a tuple; None if there is none."""
        verdict = call.judge(error, call.value)
        refused = isinstance(error, RejectedError)
        if not (verdict.failed or verdict.name == "THROTTLED" or refused):
            return None
        with self._lock:
            held = self._machine.last_known(key, self.clock.now())
        if held is None:
            return None
        call.cause = error
        self.mark(call, label(error) if error is not None else call.label(None, call.value))
        return (held[0],)

    def mark(self, call: Call, cause: str) -> None:
        """The call is answered with an old value."""
        call.degraded = True
        call.source = "stale"
        with self._lock:
            self._used += 1
        self._emit(FallbackUsed, "stale", cause)

    def late(self) -> Exception:
        """The refusal of one whose deadline came while another fetched."""
        return self.refused("deadline")

    def after_fork(self) -> None:
        """See `PolicyBase.after_fork`; nobody is fetching in the child."""
        super().after_fork()
        if self._made:
            self._lock = self._new_lock()
            self._machine._flights.clear()

    def snapshot(self) -> PolicySnapshot:
        """The cache at this moment; see `PolicyBase.snapshot`."""
        with self._lock:
            counters = {f"looks.{what}": count for what, count in self._machine.counts.items()}
            return PolicySnapshot(
                kind=self.kind,
                name=self.name,
                pipelines=self.pipelines,
                counters={**counters, "used.stale": self._used},
                gauges={"keys": len(self._machine)},
                details={"options": self.options._asdict()},
            )
