"""The circuit breaker: stop calling what keeps failing, and find out gently when it is back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from seawall.core.context import deadline_budget, deadline_on
from seawall.core.errors import CircuitOpenError, ConfigurationError, TimedOutError
from seawall.core.permit import ASK, Ask, Permit, Rejection
from seawall.core.snapshot import PolicySnapshot
from seawall.core.validate import duration, error_types, function, whole
from seawall.core.verdict import Verdict
from seawall.events.words import causes, why
from seawall.machines.breaker import Breaker, BreakerOptions, Forced, ForcedState
from seawall.machines.trip import ConsecutiveFailures, TripRule
from seawall.measure.histogram import Histogram
from seawall.policies.base import PolicyBase

if TYPE_CHECKING:
    from seawall.drive.call import Call

Classify = Callable[[BaseException | None, Any], Verdict | None]


class CircuitBreaker(PolicyBase):
    """Refuses calls to a dependency that keeps failing, and lets a few through after a while to see if it is back.

    Late, cancelled, ignored and hung calls can neither close, extend nor wedge it; see `machines/breaker.py`.

    Args:
        failure_threshold: shorthand for `trip=[ConsecutiveFailures(failure_threshold)]`.
        trip: rules, any of which opens the circuit; `[ConsecutiveFailures(5)]` by default.
        recovery_timeout: seconds it stays open before trial calls; > 0, 30 by default.
        half_open_max_calls: trial calls at once; from 1, 3 by default.
        success_threshold: trial calls in a row that close it; from 1, 2 by default.
        lease: seconds after which a trial call that has not come back counts as failed; > 0, by default twice the
            pipeline's timeout per attempt, or 60.
        record: exception types that may count; others are neutral. Every Exception by default. A `TimedOutError` of
            seawall's own always may.
        ignore: exception types that are neutral, checked before `record`.
        classify: takes (error or None, value) and gives a `Verdict`, or None for the default rules.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if a value is out of its range.
    Source: M. Nygard, "Release It!"; the rules in `docs/explanation/choices.md`.
    """

    kind = "circuit_breaker"
    rank = 4
    rejection = CircuitOpenError
    _state = (*PolicyBase._state, "_durations", "_machine")

    def __init__(
        self,
        failure_threshold: int | None = None,
        *,
        trip: Sequence[TripRule] | None = None,
        recovery_timeout: float = 30.0,
        half_open_max_calls: int = 3,
        success_threshold: int = 2,
        lease: float | None = None,
        record: type[Exception] | tuple[type[Exception], ...] = Exception,
        ignore: type[Exception] | tuple[type[Exception], ...] = (),
        classify: Classify | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if failure_threshold is not None and trip is not None:
            raise ConfigurationError(
                "CircuitBreaker: failure_threshold and trip are two ways to say one thing; "
                "add ConsecutiveFailures(n) to trip instead"
            )
        if failure_threshold is not None:
            whole("CircuitBreaker.failure_threshold", failure_threshold, 1)
            trip = [ConsecutiveFailures(failure_threshold)]
        if trip is not None:
            _check_rules(trip)
        duration("CircuitBreaker.recovery_timeout", recovery_timeout, zero=True)
        whole("CircuitBreaker.half_open_max_calls", half_open_max_calls, 1)
        whole("CircuitBreaker.success_threshold", success_threshold, 1)
        if lease is not None:
            duration("CircuitBreaker.lease", lease)
        error_types("CircuitBreaker.record", record)
        error_types("CircuitBreaker.ignore", ignore)
        if classify is not None:
            function("CircuitBreaker.classify", classify)
        self._lease_given = lease is not None
        self._attempt_limit: float | None = None
        self._options = BreakerOptions(
            tuple(trip) if trip is not None else (ConsecutiveFailures(5),),
            float(recovery_timeout),
            half_open_max_calls,
            success_threshold,
            60.0 if lease is None else float(lease),
        )
        self._record_types = record
        self._ignore_types = ignore
        self._classify = classify
        self._begin()

    def _begin(self) -> None:
        super()._begin()
        self._durations = Histogram()
        self._machine = Breaker(self.name, self._options)
        self._outbox = self._machine.outbox

    # ------------------------------------------------------------- guard

    def acquire(self, ask: Ask = ASK) -> Permit | Rejection:
        """Leave for one call, or the reason why not. End the permit with `record`."""
        with self._lock:
            granted = self._machine.acquire(ask, self.clock.now())
        self._publish()
        return granted

    def begin(self, permit: Permit) -> None:
        """The call starts now: a trial's lease runs from here."""
        with self._lock:
            self._machine.begin(permit, self.clock.now())
        self._publish()

    def record(
        self, permit: Permit, verdict: Verdict, duration: float, *, cause: str = "", retry_after: float | None = None
    ) -> None:
        """End a permit; ending it twice does nothing, and one of an older era changes no state.

        Args:
            permit: what `acquire` gave.
            verdict: how the call ended.
            duration: seconds the call itself took.
            cause: short name of what failed, for the evidence.
            retry_after: not used by a breaker.
        """
        if self._lock._is_owned():
            self._put_off(self.record, permit, verdict, duration, cause=cause, retry_after=retry_after)
            return
        with self._lock:
            if not permit.settled and not verdict.neutral:
                self._durations.observe(duration)
            self._machine.record(permit, verdict, duration, self.clock.now(), cause)
        self._publish()

    def verdict(self, call: Call, error: BaseException | None) -> Verdict:
        """How the breaker sees the end of a call."""
        if self._classify is not None:
            own = self._classify(error, call.value if error is None else None)
            if own is not None:
                return own
        if error is None:
            return call.judge(None, call.value)
        if isinstance(error, self._ignore_types):
            return Verdict.IGNORED
        if isinstance(error, TimedOutError) or not isinstance(error, Exception):
            at = deadline_on(self.clock)
            if at is not None and self.clock.now() >= at:
                # our deadline cut it short: the dependency's slowness, unless the call began with hardly any time left
                limits = (self._attempt_limit, deadline_budget())
                fair = min((limit for limit in limits if limit is not None), default=0.0) / 2
                return Verdict.DROPPED if call.elapsed() >= fair else Verdict.IGNORED
        if not isinstance(error, Exception):
            return Verdict.IGNORED
        if not isinstance(error, self._record_types) and not isinstance(error, TimedOutError):
            return Verdict.IGNORED
        return call.judge(error, None)

    # ------------------------------------------------------------ people

    @property
    def state(self) -> str:
        """As of now: "closed", "open", "half-open", "forced-open", "forced-closed" or "disabled"."""
        with self._lock:
            now = self.clock.now()
            self._machine.tick(now)
            word = self._machine.word(now)
        self._publish()
        return word

    @property
    def options(self) -> BreakerOptions:
        """The rules and numbers in force."""
        return self._options

    @property
    def rules(self) -> list[str]:
        """The trip rules in words of code, such as "ConsecutiveFailures(threshold=5)"."""
        return [repr(rule) for rule in self._options.trip]

    @property
    def retry_after(self) -> float:
        """Seconds until a trial call may be let through; 0 when calls may go now."""
        with self._lock:
            return self._machine.retry_after(self.clock.now())

    def force(self, state: ForcedState, *, owner: str, reason: str, expires_in: float | None = 3600.0) -> None:
        """Pin the circuit.

        Args:
            state: "open" refuses every call, "closed" lets every call through and
                counts, "disabled" does not even count.
            owner: who does it.
            reason: why; shown wherever the state is shown.
            expires_in: seconds, > 0; 3,600 by default, because a forgotten pin must end. None is until released.

        Raises:
            ConfigurationError: if a value is out of its range.
        """
        if state not in {"open", "closed", "disabled"}:
            raise ConfigurationError(f'force({state!r}): must be "open", "closed" or "disabled"')
        if not owner or not reason:
            raise ConfigurationError(f"force({state!r}): owner and reason must be given; whoever is on call will ask")
        if expires_in is not None:
            duration("force.expires_in", expires_in)
        with self._lock:
            now = self.clock.now()
            until = None if expires_in is None else now + expires_in
            self._machine.force(Forced(state, owner, reason, until), now)
        self._publish()

    def release(self, *, owner: str = "", reason: str = "released") -> bool:
        """Take a pin off; False if there was none."""
        with self._lock:
            had = self._machine.release(owner, self.clock.now(), reason)
        self._publish()
        return had

    def trip(self) -> None:
        """Open the circuit by hand; it recovers by itself like any other time."""
        self._by_hand(self._machine.trip)

    def half_open(self) -> None:
        """Let trial calls through now."""
        self._by_hand(self._machine.half_open)

    def reset(self) -> None:
        """Close the circuit, clear its counts and take off a pin."""
        self._by_hand(self._machine.reset)

    def _by_hand(self, action: Callable[[float], None]) -> None:
        """One change by hand."""
        with self._lock:
            action(self.clock.now())
        self._publish()

    # ---------------------------------------------------------- plumbing

    def attempt_timeout(self, limit: float) -> None:
        """Told the pipeline's timeout per attempt: the default lease is twice that.

        A call that the deadline cuts short before it had half of that time, or half of the deadline's if that is
        shorter, is neutral: it never had a fair chance.
        """
        self._attempt_limit = limit
        if not self._lease_given:
            with self._lock:
                self._options = self._options._replace(lease=2 * limit)
                self._machine.options = self._options

    def _renamed(self) -> None:
        self._machine.name = self.name

    def _renew(self) -> None:
        self._machine.renew()

    def snapshot(self) -> PolicySnapshot:
        """The breaker at this moment; see `PolicyBase.snapshot`."""
        with self._lock:
            now, wall = self.clock.now(), self.clock.wall()
            machine = self._machine
            machine.tick(now)
            forced = machine.forced
            word = machine.word(now)
            evidence = dict(machine.evidence)
            snapshot = PolicySnapshot(
                kind=self.kind,
                name=self.name,
                pipelines=self.pipelines,
                state=word,
                counters={
                    **{f"requests.{what}": count for what, count in machine.counts.items()},
                    "failures": machine.counts["failure"],
                    "stale_results": machine.stale_results,
                    **{f"state_changes.{a}.{b}": n for (a, b), n in machine.transitions.items()},
                },
                gauges={"retry_after": machine.retry_after(now), "trials": len(machine.trials)},
                histograms={"duration": self._durations.data()},
                details={
                    "reason": _reason(machine, word),
                    "since": wall - (now - machine.opened_at) if machine.state != "closed" else None,
                    "evidence": evidence,
                    "forced": None
                    if forced is None
                    else {
                        "state": forced.state,
                        "owner": forced.owner,
                        "reason": forced.reason,
                        "expires_at": None if forced.until is None else wall + (forced.until - now),
                    },
                    "options": {
                        "trip": self.rules,
                        "recovery_timeout": self._options.recovery_timeout,
                        "half_open_max_calls": self._options.half_open_max_calls,
                        "success_threshold": self._options.success_threshold,
                        "lease": self._options.lease,
                    },
                },
            )
        self._publish()
        return snapshot


def _check_rules(trip: object) -> None:
    """Refuse what is not a list of trip rules with something in it."""
    if not isinstance(trip, Sequence) or isinstance(trip, str):
        raise ConfigurationError(f"CircuitBreaker.trip = {trip!r}: must be a list of rules, such as [FailureRate()]")
    if not trip:
        raise ConfigurationError("CircuitBreaker.trip = []: without a rule the circuit could never open; add one")
    for rule in trip:
        if not callable(getattr(rule, "tracker", None)):
            raise ConfigurationError(
                f"CircuitBreaker.trip: {rule!r} is no rule; use one such as ConsecutiveFailures(5)"
            )


def _reason(machine: Breaker, word: str) -> str:
    """Why the circuit is in its state, in words; empty when it is simply closed."""
    if machine.forced is not None and (word.startswith("forced") or word == "disabled"):
        return f"by {machine.forced.owner}: {machine.forced.reason}"
    if machine.state == "closed":
        return ""
    if machine.evidence.get("rule"):
        return why(machine.evidence)
    found = machine.evidence.get("causes")
    words = {"trial_failed": "a trial call failed", "lease_ended": "a trial call did not return", "manual": "by hand"}
    reason = words.get(machine.reason, "")
    return f"{reason} ({causes(found)})" if found and reason else reason
