"""The circuit breaker: stop calling what keeps failing, and find out gently when it is back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from seawall.core.chance import Chance, system_chance
from seawall.core.context import deadline_budget, deadline_on
from seawall.core.errors import CircuitOpenError, ConfigurationError, TimedOutError
from seawall.core.lazy import make
from seawall.core.permit import ASK, Ask, Permit, Rejection
from seawall.core.validate import duration, error_types, function
from seawall.core.verdict import Verdict
from seawall.policies.circuit_hands import CircuitHands
from seawall.policies.circuit_options import check_keys, check_probe, half_open_options, open_options, trip_rules

if TYPE_CHECKING:
    from seawall.core.clock import Clock
    from seawall.drive.call import Call
    from seawall.drive.manual import ManualPermit
    from seawall.drive.prober import Probe, Prober
    from seawall.drive.protocols import KeyRule
    from seawall.machines.breaker_options import HalfOpen
    from seawall.machines.trip import TripRule

Classify = Callable[[BaseException | None, Any], Verdict | None]


class CircuitBreaker(CircuitHands):
    """Refuses calls to a dependency that keeps failing, and lets a few through after a while to see if it is back.

    Late, cancelled, ignored and hung calls can neither close, extend nor wedge it; see `machines/breaker.py`.

    Args:
        failure_threshold: shorthand for `trip=[ConsecutiveFailures(failure_threshold)]`.
        trip: rules, any of which opens the circuit; `[ConsecutiveFailures(5)]` by default, which needs no traffic to
            speak of.
        recovery_timeout: seconds it stays open before trial calls; >= 0, 30 by default.
        growth: what that is multiplied by each time it opens without having been closed in between, so that a long
            outage is tried less and less often; from 1, 1 by default, as most outages are short.
        max_recovery_timeout: ceiling of a period that grows, seconds; 120 by default, or recovery_timeout if that is
            more. Only with growth.
        recovery_jitter: share p from 0 to 1: the period, cut at its ceiling first, is multiplied by U(1 − p, 1 + p),
            so that many programs do not try at the same moment; 0 by default.
        max_open: if the response that opens the circuit asks for a pause (Retry-After), it stays open at least that
            long, but no longer than this many seconds for that reason; 300 by default, or recovery_timeout if that is
            more.
        half_open: how trial calls are judged. "consecutive" (default): `success_threshold` in a row close it, the
            first failure opens it, which spares a weak dependency. "rate": `half_open_trials` are judged together,
            for a dependency that always fails a little. A trial that a `SlowRate` rule calls slow has failed.
        half_open_max_calls: trial calls at once; from 1, 3 by default.
        success_threshold: trial calls in a row that close it; from 1, 2 by default. Not used with "rate".
        half_open_trials: trials judged together; from 1, 10 by default. Only with "rate".
        half_open_failure_rate: share of failed ones that opens it (`>=`); above 0, at most 1, 0.5 by default. Only
            with "rate".
        half_open_early: settle that as soon as the trials to come cannot change it (default); False waits for all.
        max_half_open: seconds after which a half-open circuit that is not settled opens again; > 0, None (default)
            for never, as leases end hung trials.
        ramp: seconds over which a circuit that trials have closed admits more and more: a share of max(0.1, t / ramp)
            of the calls; 0 (default) admits all at once.
        lease: seconds after which a trial call that has not come back counts as failed; > 0, by default twice the
            pipeline's timeout per attempt, or 60.
        probe: tried at the end of each open period by a timer, so that the circuit closes without traffic. A plain
            function that returns something true or raises, or a coroutine function. A thread is there while it is
            open.
        probe_timeout: seconds after which a probe has failed; > 0, 5 by default.
        key: gives each key a circuit of its own: the name of an argument of the protected function, or a function of
            its arguments. None (default) is one circuit for all.
        max_keys: circuits kept, the least recently used goes and open ones last; from 1, 1,000 by default.
        key_ttl: seconds after which a closed circuit that was not used is forgotten; > 0, 3,600 by default.
        public_keys: show keys in names, logs and metrics; False (default) shows a short hash, as keys may be secrets.
        shadow: decide, count and report, but refuse nothing: to try out a setting on real traffic.
        record: exception types that may count; others are neutral. Every Exception by default. A `TimedOutError` of
            seawall's own always may.
        ignore: exception types that are neutral, checked before `record`.
        classify: takes (error or None, value) and gives a `Verdict`, or None for the default rules.
        chance: source of jitter and of the ramp; the system's by default.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if a value is out of its range, or two do not fit together.
    Source: M. Nygard, "Release It!"; the rules in `docs/explanation/choices.md`; the ramp is the slow start of load
        balancers.
    """

    kind = "circuit_breaker"
    rank = 4
    rejection = CircuitOpenError
    _prober: Prober | None = None
    _lease_given = False
    _attempt_limit: float | None = None
    _record_types: type[Exception] | tuple[type[Exception], ...] = Exception
    _ignore_types: type[Exception] | tuple[type[Exception], ...] = ()
    _classify: Classify | None = None
    _probe: Probe | None = None
    _probe_timeout = 5.0

    def __init__(
        self,
        failure_threshold: int | None = None,
        *,
        trip: Sequence[TripRule] | None = None,
        recovery_timeout: float = 30.0,
        growth: float = 1.0,
        max_recovery_timeout: float | None = None,
        recovery_jitter: float = 0.0,
        max_open: float | None = None,
        half_open: HalfOpen = "consecutive",
        half_open_max_calls: int = 3,
        success_threshold: int = 2,
        half_open_trials: int | None = None,
        half_open_failure_rate: float | None = None,
        half_open_early: bool = True,
        max_half_open: float | None = None,
        ramp: float = 0.0,
        lease: float | None = None,
        probe: Probe | None = None,
        probe_timeout: float | None = None,
        key: KeyRule | None = None,
        max_keys: int = 1000,
        key_ttl: float = 3600.0,
        public_keys: bool = False,
        shadow: bool = False,
        record: type[Exception] | tuple[type[Exception], ...] = Exception,
        ignore: type[Exception] | tuple[type[Exception], ...] = (),
        classify: Classify | None = None,
        chance: Chance = system_chance,
        name: str | None = None,
    ) -> None:
        from seawall.drive import manual  # noqa: F401 - late, as all three: nothing but a circuit breaker needs them
        from seawall.machines import breaker  # noqa: F401 - for the state
        from seawall.machines.breaker_options import USUAL, BreakerOptions

        super().__init__(name)
        rules = trip_rules(failure_threshold, trip)
        period = open_options(recovery_timeout, growth, max_recovery_timeout, recovery_jitter, max_open)
        back = half_open_options(
            half_open,
            half_open_max_calls,
            success_threshold,
            half_open_trials,
            half_open_failure_rate,
            half_open_early,
            max_half_open,
            ramp,
        )
        if lease is not None:
            duration("CircuitBreaker.lease", lease)
        check_probe(probe, probe_timeout, key, recovery_timeout)
        check_keys(key, max_keys, key_ttl)
        error_types("CircuitBreaker.record", record)
        error_types("CircuitBreaker.ignore", ignore)
        if probe is not None:
            from seawall.drive import prober  # noqa: F401 - for the state
        if classify is not None:
            function("CircuitBreaker.classify", classify)
        function("CircuitBreaker.chance", chance)
        options: dict[str, Any] = {**period, **back}
        chosen = BreakerOptions(rules, lease=60.0 if lease is None else float(lease), shadow=shadow, **options)
        self._options = USUAL if rules is USUAL.trip and chosen == USUAL else chosen
        self._chance = chance
        self._keep(
            key=key,
            shadow=shadow,
            _max_keys=max_keys,
            _key_ttl=float(key_ttl),
            _public_keys=public_keys,
            _lease_given=lease is not None,
            _record_types=record,
            _ignore_types=ignore,
            _classify=classify,
            _probe=probe,
            _probe_timeout=5.0 if probe_timeout is None else float(probe_timeout),
        )

    def _begin(self) -> dict[str, Any]:
        state = super()._begin()
        if self._probe is None:
            return state
        from seawall.drive.prober import Prober

        return {**state, "_prober": Prober(self, self._probe, self._probe_timeout, self.clock)}

    # ------------------------------------------------------------- guard

    def acquire(self, ask: Ask = ASK) -> Permit | Rejection:
        """Leave for one call, or the reason why not. End the permit with `record`."""
        if self._inside():
            # nothing may be changed now: what a closed circuit lets through counts nothing, and any other refuses
            return Permit(0, 0) if self.key is None and self._machine.state == "closed" else self._amid()
        with self._lock:
            now = self.clock.now()
            self._recall_numbers()
            machine = self._for_use(ask.key, now)
            if machine.trials and not machine.score.room(len(machine.trials)):
                for lost in machine.lost():
                    machine.record(lost, Verdict.UNSENT, 0.0, now)
            granted = machine.acquire(ask, now)
            self._show_shut(now)
        self._publish()
        return granted

    def begin(self, permit: Permit) -> None:
        """The call starts now: a trial's lease runs from here."""
        if self._inside():
            self._put_off(self.begin, permit)
            return
        with self._lock:
            now = self.clock.now()
            self._recall_numbers()
            (permit.home or self._machine).begin(permit, now)
            self._show_shut(now)
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
            retry_after: seconds the dependency asked to wait; if this opens the circuit, it stays so as long.
        """
        if self._lock._is_owned():
            self._put_off(self.record, permit, verdict, duration, cause=cause, retry_after=retry_after)
            return
        with self._lock:
            counts = not permit.settled and not verdict.neutral
            if counts:
                self._durations.observe(duration)
                self._catch_up()  # what has succeeded until now comes first
            home = permit.home or self._machine
            now = self.clock.now()
            self._recall_numbers()
            home.record(permit, verdict, duration, now, cause, retry_after)
            if counts and self._quiets:
                self._bound_quiet(now)
            self._show_shut(now)
        self._publish()

    def verdict(self, call: Call, error: BaseException | None) -> Verdict:
        """How the breaker sees the end of a call."""
        if self._classify is not None:
            own = self._classify(error, call.value if error is None else None)
            if own is not None:
                return own
        if error is None:
            return call.judge(None, call.value)
        # a stream that its consumer has left: our deadlines cancel, they never close
        if isinstance(error, (GeneratorExit, self._ignore_types)):
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

    # ------------------------------------------------ code that cannot be wrapped

    def allows(self) -> bool:
        """Whether a call would be let through now; takes nothing, so the next call may be refused all the same.

        A question to ask before work that only makes sense with the dependency there. With keys: of a pin for all.
        """
        if self.clock.now() < self._shut_until:
            return False
        if self._admits_all:
            return True
        with self._lock:
            now = self.clock.now()
            self._recall_numbers()
            admits = self._machine.admits(now)
            self._show_shut(now)
            return admits

    def allow(self, key: Hashable = None) -> ManualPermit:
        """Leave for one call that is not made through the breaker; end it with its own methods.

        A trial call has a lease: one that is never ended counts as failed when it is over. Any other permit that is
        never ended leaves no trace.

        Args:
            key: whose circuit is asked, for a breaker with keys.

        Raises:
            CircuitOpenError: if the circuit refuses; nothing was done then.
        """
        from seawall.drive.manual import ManualPermit  # late: loaded when this was made

        granted = self.acquire(Ask(key=key))
        if isinstance(granted, Rejection):
            raise self.refuse(granted)
        return ManualPermit(self, granted, self._judged)

    def record_success(self, permit: ManualPermit) -> None:
        """The call of `permit`, which `allow` gave, succeeded."""
        _checked("record_success", permit).success()

    def record_failure(self, permit: ManualPermit, error: BaseException | None = None) -> None:
        """The call of `permit` failed; see `ManualPermit.failure`."""
        _checked("record_failure", permit).failure(error)

    def _judged(self, error: BaseException) -> Verdict:
        """How the breaker sees an error without a call around it."""
        from seawall.errors.classify import verdict_of  # late: loaded when this was made

        own = None if self._classify is None else self._classify(error, None)
        if own is not None:
            return own
        known = isinstance(error, (TimedOutError, self._record_types))
        if isinstance(error, self._ignore_types) or not isinstance(error, Exception) or not known:
            return Verdict.IGNORED
        return verdict_of(error)

    # ---------------------------------------------------------- plumbing

    def trial_at(self) -> float | None:
        """The moment from which a trial call may be had; None while there is nothing to try."""
        with self._lock:
            return self._machine.trial_at(self.clock.now())

    def shadow_begin(self) -> None:
        """See `PolicyBase.shadow_begin`."""
        super().shadow_begin()
        self._disturb()
        with self._lock:
            self._set_options(self._options._replace(shadow=True))

    def stop_probing(self) -> None:
        """End the timer of the probe; trial calls alone close the circuit from now on."""
        if self._probe is not None:
            make(self)  # or the timer would be there with the first call
        if self._prober is not None:
            self._prober.stop()

    def _publish(self) -> None:
        super()._publish()
        if self._prober is not None:
            self._prober.look()

    @contextmanager
    def rebound(self, clock: Clock) -> Iterator[None]:
        """See `PolicyBase.rebound`; the timer of now rests meanwhile, and that of the block ends with it."""
        before = self._prober
        if before is not None:
            before.stop()
        try:
            with super().rebound(clock):
                try:
                    yield
                finally:
                    if self._prober is not None:
                        self._prober.stop()
        finally:
            if before is not None:
                before.resume()

    def attempt_timeout(self, limit: float) -> None:
        """Told the pipeline's timeout per attempt: the default lease is twice that.

        A call that the deadline cuts short before it had half of that time, or half of the deadline's if that is
        shorter, is neutral: it never had a fair chance.
        """
        self._attempt_limit = limit
        if not self._lease_given:
            with self._lock if self._made else nullcontext():
                self._set_options(self._options._replace(lease=2 * limit))

    def _renew(self) -> None:
        super()._renew()
        if self._prober is not None:
            self._prober.after_fork()
            self._prober.look()


def _checked(method: str, permit: object) -> ManualPermit:
    """Refuse what `allow` did not give.

    Raises:
        ConfigurationError: naming what was given.
    """
    from seawall.drive.manual import ManualPermit  # late: loaded when the breaker was made

    if not isinstance(permit, ManualPermit):
        raise ConfigurationError(f"{method}({permit!r}): give it the permit that allow() returned")
    return permit
