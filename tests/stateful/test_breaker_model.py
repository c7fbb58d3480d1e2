"""The breaker machine against a model, step by step."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from seawall.core.permit import Ask, Permit
from seawall.core.verdict import Verdict
from seawall.events.types import CircuitClosed, CircuitHalfOpened, CircuitOpened
from seawall.machines.breaker import Breaker
from seawall.machines.breaker_options import BreakerOptions, Forced
from seawall.machines.trip import ConsecutiveFailures
from seawall.machines.trip_windows import FailureCount, FailureRate, SlowRate
from tests.stateful.breaker_model import Call, Model, Way

# All moments are multiples of 1/8, so that sums are exact and every boundary is met.
moments = st.integers(1, 80).map(lambda n: n / 8)
rates = st.sampled_from([0.07, 0.25, 0.3, 0.35, 0.5, 0.7, 1.0])
spans: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"window": 2.5}, {"window": 5.0}, {"calls": 4}, {"calls": 20}]
)
few = st.integers(1, 4)


@st.composite
def rate_rules(draw: st.DrawFn, /, kind: Any, **more: Any) -> Any:
    return kind(draw(rates), **draw(spans), min_calls=draw(few), **more)


trip_rules = st.one_of(
    st.builds(ConsecutiveFailures, few),
    st.builds(FailureCount, few, moments),
    rate_rules(FailureRate),
    rate_rules(SlowRate, slower_than=0.5),
)
verdicts = st.sampled_from([Verdict.FAILURE] * 4 + [Verdict.SUCCESS] * 4 + list(Verdict))
durations = st.sampled_from([0.0, 0.25, 0.5, 0.625, 3.0])


# Sums and products of these are exact in floats.
ways = st.builds(
    Way,
    growth=st.sampled_from([1.0, 1.0, 2.0]),
    cap=st.sampled_from([4.0, 8.0]),
    jitter=st.sampled_from([0.0, 0.5]),
    chance=st.sampled_from([0.0, 0.25, 0.5, 0.75]),
    max_open=st.sampled_from([4.0, 6.0]),
    trials=st.sampled_from([None, None, 1, 3, 5]),
    rate=st.sampled_from([0.25, 0.4, 0.5, 1.0]),
    early=st.sampled_from([True, True, False]),
    max_half_open=st.sampled_from([None, None, 1.0, 4.0]),
    ramp=st.sampled_from([0.0, 0.0, 4.0]),
    shadow=st.sampled_from([False, False, False, True]),
)


def as_options(trip: Any, recovery: float, at_once: int, to_close: int, lease: float, way: Way) -> BreakerOptions:
    """The same settings as the machine takes them."""
    return BreakerOptions(
        trip, recovery, at_once, to_close, lease, way.growth, way.cap, way.jitter, way.max_open,
        "consecutive" if way.trials is None else "rate", way.trials or 1, way.rate, way.early, way.max_half_open,
        way.ramp, way.shadow,
    )  # fmt: skip


class BreakerAgainstModel(RuleBasedStateMachine):
    """Asks, ends, times and hands, in any order."""

    permits = Bundle("permits")

    @initialize(
        trip=st.lists(trip_rules, min_size=1, max_size=3),
        recovery=st.sampled_from([0.0, 0.125, 1.0, 4.0]),
        at_once=st.integers(1, 3),
        to_close=st.integers(1, 3),
        lease=st.sampled_from([0.125, 2.0, 8.0]),
        way=st.one_of(st.just(Way()), ways),
    )
    def build(self, trip, recovery, at_once, to_close, lease, way):
        self.now = 0.0
        self.model = Model(trip, recovery, at_once, to_close, lease, way)
        options = as_options(trip, recovery, at_once, to_close, lease, way)
        self.breaker = Breaker("x", options, lambda: way.chance)
        self.events: list[Any] = []
        self.tell()
        self.before = self.breaker.era, self.model.era

    def tell(self) -> None:
        while self.breaker.outbox:
            self.events.append(self.breaker.outbox.popleft())

    @rule(target=permits, held=st.booleans())
    def acquire(self, held):
        granted = self.breaker.acquire(Ask(held=held), self.now)
        expected = self.model.ask(self.now, held=held)
        if isinstance(expected, Call):
            assert isinstance(granted, Permit)
            assert (granted.kind == "trial") == expected.trial
            assert granted.expires_at == expected.ends
            assert granted.settled == expected.settled  # from the start when it is only let through in shadow
            return granted, expected
        assert not isinstance(granted, Permit)
        assert (granted.reason, granted.retry_after) == expected
        return multiple()

    @rule(pair=permits)
    def begin(self, pair):
        self.breaker.begin(pair[0], self.now)
        self.model.begin(pair[1], self.now)

    @rule(pair=permits, verdict=verdicts, took=durations, hint=st.sampled_from([None, None, 0.0, 2.0, 5.0, 100.0]))
    def settle(self, pair, verdict, took, hint):
        self.breaker.record(pair[0], verdict, took, self.now, retry_after=hint)
        self.model.settle(pair[1], verdict, took, self.now, hint)

    @rule(by=moments)
    def time_passes(self, by):
        self.now += by

    @rule(by=st.sampled_from([-0.125, 0.0, 0.125]))
    def time_reaches_the_next_boundary(self, by):
        model = self.model
        ends = [model.due if model.state == "open" else None, model.pin[1] if model.pin else None]
        ends += [call.ends for call in model.out]
        if model.ramp_from is not None:
            ends += [model.ramp_from + model.way.ramp]
        if model.state == "half-open" and model.way.max_half_open is not None:
            ends += [model.half_open_since + model.way.max_half_open]
        ahead = [end for end in ends if end is not None and end > self.now]
        if ahead:
            self.now = max(self.now, min(ahead) + by)

    @rule(what=st.sampled_from(["trip", "half_open", "reset"]))
    def hand(self, what):
        getattr(self.breaker, what)(self.now)
        self.model.by_hand(what, self.now)

    @rule(state=st.sampled_from(["open", "closed", "disabled", "observe"]), span=st.one_of(st.none(), moments))
    def force(self, state, span):
        until = None if span is None else self.now + span
        self.breaker.force(Forced(state, "me", "test", until), self.now)
        self.model.pass_time(self.now)
        self.model.force(state, until)

    @precondition(lambda self: self.model.pin is not None)
    @rule()
    def release(self):
        self.model.pass_time(self.now)
        assert self.breaker.release("me", self.now) == (self.model.pin is not None)
        if self.model.pin:
            self.model.unpin(self.now)

    @rule()
    def fork(self):
        self.tell()
        self.breaker.renew()
        self.model.by_hand("fork", self.now)

    @rule()
    def tick(self):
        self.breaker.tick(self.now)
        self.model.pass_time(self.now)

    @invariant()
    def the_breaker_is_as_the_model(self):
        if not hasattr(self, "model"):
            return
        breaker, model = self.breaker, self.model
        assert breaker.word(self.now) == model.word(self.now)
        assert breaker.state == model.state
        assert len(breaker.trials) == len(model.out) <= breaker.options.half_open_max_calls
        assert breaker.stale_results == model.stale
        assert breaker.counts == model.counted
        assert breaker.below(self.now) == model.below(self.now)
        if model.pin is None and not model.way.shadow:
            assert breaker.retry_after(self.now) == (max(0.0, model.due - self.now) if model.state == "open" else 0.0)
        # a new era exactly when the model has one
        now = breaker.era, model.era
        assert (now[0] > self.before[0]) == (now[1] > self.before[1])
        self.before = now

    @invariant()
    def events_are_numbered_without_gaps_and_tell_every_state(self):
        if not hasattr(self, "model"):
            return
        self.tell()
        numbers = [event[1] for event in self.events]
        assert numbers == list(range(1, len(numbers) + 1))
        kinds = {CircuitOpened: "open", CircuitHalfOpened: "half-open", CircuitClosed: "closed"}
        told = [kinds[event[0]] for event in self.events if event[0] in kinds]
        transitions = sum(self.breaker.transitions.values())
        assert len(told) == transitions


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
