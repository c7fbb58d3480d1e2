"""The breaker machine against a model, step by step."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from seawall.core.permit import Ask, Permit
from seawall.core.verdict import Verdict
from seawall.events.types import CircuitClosed, CircuitHalfOpened, CircuitOpened
from seawall.machines.breaker import Breaker
from seawall.machines.breaker_options import BreakerOptions, Forced
from seawall.machines.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowRate
from tests.stateful.breaker_model import Call, Model

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


class BreakerAgainstModel(RuleBasedStateMachine):
    """Asks, ends, times and hands, in any order."""

    permits = Bundle("permits")

    @initialize(
        trip=st.lists(trip_rules, min_size=1, max_size=3),
        recovery=st.sampled_from([0.0, 0.125, 1.0, 4.0]),
        at_once=st.integers(1, 3),
        to_close=st.integers(1, 3),
        lease=st.sampled_from([0.125, 2.0, 8.0]),
    )
    def build(self, trip, recovery, at_once, to_close, lease):
        self.now = 0.0
        self.model = Model(trip, recovery, at_once, to_close, lease)
        self.breaker = Breaker("x", BreakerOptions(trip, recovery, at_once, to_close, lease))
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
            return granted, expected
        assert not isinstance(granted, Permit)
        assert (granted.reason, granted.retry_after) == expected
        return multiple()

    @rule(pair=permits)
    def begin(self, pair):
        self.breaker.begin(pair[0], self.now)
        self.model.begin(pair[1], self.now)

    @rule(pair=permits, verdict=verdicts, took=durations)
    def settle(self, pair, verdict, took):
        self.breaker.record(pair[0], verdict, took, self.now)
        self.model.settle(pair[1], verdict, took, self.now)

    @rule(by=moments)
    def time_passes(self, by):
        self.now += by

    @rule(by=st.sampled_from([-0.125, 0.0, 0.125]))
    def time_reaches_the_next_boundary(self, by):
        model = self.model
        ends = [model.due if model.state == "open" else None, model.pin[1] if model.pin else None]
        ends += [call.ends for call in model.out]
        ahead = [end for end in ends if end is not None and end > self.now]
        if ahead:
            self.now = max(self.now, min(ahead) + by)

    @rule(what=st.sampled_from(["trip", "half_open", "reset"]))
    def hand(self, what):
        getattr(self.breaker, what)(self.now)
        self.model.by_hand(what, self.now)

    @rule(state=st.sampled_from(["open", "closed", "disabled"]), span=st.one_of(st.none(), moments))
    def force(self, state, span):
        until = None if span is None else self.now + span
        self.breaker.force(Forced(state, "me", "test", until), self.now)
        self.model.pass_time(self.now)
        self.model.pin = (state, until)
        self.model.fresh(self.model.state)

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
        assert {k: n for k, n in breaker.counts.items() if k != "shadow_rejected"} == model.counted
        if model.pin is None:
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
