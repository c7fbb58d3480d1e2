"""The token bucket against exact rational arithmetic."""

import math
from fractions import Fraction
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from seawall.core.permit import Ask, Parked, Permit, Rejection
from seawall.core.verdict import Verdict
from seawall.machines.token_bucket import TokenBucket, TokenBucketOptions

eighths = st.integers(0, 80).map(lambda n: n / 8)
NEAR = Fraction(1, 10**6)


class Place(NamedTuple):
    """One who waits."""

    place: Parked
    cost: Fraction
    moment: Fraction  # when it goes
    active: Fraction  # the same without pauses


class BucketAgainstModel(RuleBasedStateMachine):
    """Takes, waits, goes away, pauses: every moment and every count exact."""

    permits = Bundle("permits")
    places = Bundle("places")

    @initialize(
        rate=st.sampled_from([0.25, 0.5, 1.0, 2.0, 8.0]),
        burst=st.sampled_from([1.0, 1.5, 2.0, 5.0]),
        max_wait=st.sampled_from([0.0, 1.0, 4.0, 100.0]),
    )
    def build(self, rate, burst, max_wait):
        self.bucket = TokenBucket("x", TokenBucketOptions(rate, burst, max_wait))
        self.now = 0.0
        self.rate, self.burst, self.max_wait = Fraction(rate), Fraction(burst), Fraction(max_wait)
        self.tokens = Fraction(burst)  # below zero: promised to those who wait
        self.gate = Fraction(0)  # shut until then; no tokens come meanwhile
        self.line: list[Place] = []
        self.flows: list[tuple[Fraction, Fraction]] = []  # tokens that went out, and back with a minus, by active time
        self.active = Fraction(0)  # time that was not pause
        self.era = 1

    # ------------------------------------------------------------ model

    def passed(self, by: Fraction) -> None:
        """Time passes; while the gate is shut the bucket stands still."""
        open_for = max(Fraction(0), min(by, Fraction(self.now) + by - max(self.gate, Fraction(self.now))))
        self.tokens = min(self.burst, self.tokens + open_for * self.rate)
        self.active += open_for
        self.now += float(by)

    def due_in(self, cost: Fraction) -> Fraction:
        """Seconds until so many tokens are there."""
        pause = max(Fraction(0), self.gate - Fraction(self.now))
        return pause + max(Fraction(0), (cost - self.tokens) / self.rate)

    def admit(self, cost: Fraction, active: Fraction | None = None) -> None:
        self.flows.append((self.active if active is None else active, cost))

    def refund(self, number: int, cost: Fraction) -> None:
        """Tokens come back, as many as the bucket has room for; those from that number on go so much earlier."""
        level = self.tokens + sum(each.cost for each in self.line if each.active > self.active)
        back = min(self.burst, level + cost) - level
        self.tokens += back
        self.flows.append((self.active, -back))
        self.move_up(number, back)

    def give_up(self, number: int) -> None:
        """One in line goes without having called: what had come for it is given back, what had not never comes."""
        entry = self.line.pop(number)
        if entry.active <= self.active:
            self.refund(number, entry.cost)
        else:
            self.tokens += entry.cost
            self.move_up(number, entry.cost)

    # ------------------------------------------------------------ rules

    @rule(target=permits, share=st.sampled_from([0.125, 0.5, 1.0]))
    def acquire(self, share):
        cost = self.burst * Fraction(share)
        granted = self.bucket.acquire(Ask(cost=float(cost)), self.now)
        wait = self.due_in(cost)
        if wait == 0:
            assert isinstance(granted, Permit)
            self.tokens -= cost
            self.admit(cost)
            return granted
        assert isinstance(granted, Rejection)
        assert granted.retry_after is not None
        assert abs(Fraction(granted.retry_after) - wait) < NEAR
        assert granted.reason == ("throttled" if self.gate > self.now else "empty")
        return multiple()

    @rule(target=places, share=st.sampled_from([0.125, 0.5, 1.0]), left=st.one_of(st.none(), eighths))
    def enter(self, share, left):
        cost = self.burst * Fraction(share)
        deadline = None if left is None else self.now + left
        granted = self.bucket.enter(Ask(cost=float(cost), deadline=deadline), self.now)
        wait = self.due_in(cost)
        if wait == 0:
            assert isinstance(granted, Permit)
            self.tokens -= cost
            self.admit(cost)
            return multiple()
        if wait > self.max_wait or (left is not None and wait > Fraction(left)):
            assert isinstance(granted, Rejection)
            return multiple()
        assert isinstance(granted, Parked)
        before = self.tokens
        self.tokens -= cost
        active = self.active + max(Fraction(0), (cost - before) / self.rate)
        self.line.append(Place(granted, cost, Fraction(self.now) + wait, active))
        return granted

    @rule(target=permits, place=places)
    def claim(self, place):
        known = [entry for entry in self.line if entry.place is place]
        if not known:
            return multiple()
        _, cost, moment, active = known[0]
        said = self.bucket.claim(place, self.now)
        if moment <= self.now:
            assert isinstance(said, Permit)
            self.line.remove(known[0])
            self.admit(cost, active)
            return said
        latest = Fraction(place.entered_at) + self.max_wait
        if place.ask.deadline is not None:
            latest = min(latest, Fraction(place.ask.deadline))
        if moment > latest:  # a pause has come between
            assert isinstance(said, Rejection)
            assert said.reason == "throttled"
            self.leave_line(known[0])
        else:
            assert said is place
        return multiple()

    @rule(place=places)
    def abandon(self, place):
        known = [entry for entry in self.line if entry.place is place]
        behind = self.bucket.abandon(place, self.now)
        if known:
            after = [other.place for other in self.line[self.line.index(known[0]) + 1 :]]
            assert behind == after
            self.leave_line(known[0])
        else:
            assert behind == []

    def leave_line(self, entry: Place) -> None:
        """Those behind move up by the tokens that come back, but not into the past or a pause."""
        self.give_up(self.line.index(entry))

    def move_up(self, number: int, cost: Fraction) -> None:
        """Those from that number on go earlier by what comes back."""
        earlier = cost / self.rate
        floor = max(Fraction(self.now), self.gate)
        self.line = self.line[:number] + [
            Place(
                other.place,
                other.cost,
                max(other.moment - earlier, floor),
                max(other.active - earlier, self.active),
            )
            if other.moment > self.now
            else other
            for other in self.line[number:]
        ]

    @rule(
        permit=permits,
        verdict=st.sampled_from([*Verdict, Verdict.UNSENT, Verdict.THROTTLED]),
        hint=st.one_of(st.none(), eighths),
    )
    def settle(self, permit, verdict, hint):
        again, stale = permit.settled, permit.era != self.era
        self.bucket.record(permit, verdict, 0.0, self.now, retry_after=hint)
        if again or stale:
            return
        if verdict is Verdict.UNSENT:
            self.refund(0, Fraction(permit.cost))
        elif verdict is Verdict.THROTTLED and hint is not None:
            until = max(self.gate, Fraction(self.now + hint))
            longer = max(Fraction(0), until - max(self.gate, Fraction(self.now)))
            self.gate = until
            # whoever would have gone later goes later still
            start = until - longer
            if longer > 0:
                self.line = [each._replace(moment=max(each.moment, start) + longer) for each in self.line]

    @rule(by=eighths)
    def time_passes(self, by):
        self.passed(Fraction(by))

    @rule()
    def time_reaches_the_first_in_line(self):
        ahead = [each.moment - Fraction(self.now) for each in self.line if each.moment > self.now]
        if ahead:
            self.passed(min(ahead))

    @rule(by=st.integers(1, 4000))
    def the_clock_goes_back(self, by):
        back = by / 8
        self.now -= back
        self.gate -= Fraction(back)
        self.line = [each._replace(moment=each.moment - Fraction(back)) for each in self.line]
        self.bucket.available(self.now)
        for each in self.line:
            each.place.ask = each.place.ask._replace(deadline=None)  # a moment on a clock that jumps means nothing

    @rule()
    def fork(self):
        self.bucket.renew()
        self.era += 1
        while self.line:
            self.give_up(len(self.line) - 1)

    # ------------------------------------------------------- invariants

    @invariant()
    def the_bucket_is_as_the_model(self):
        if not hasattr(self, "bucket"):
            return
        assert abs(Fraction(self.bucket.available(self.now)) - self.tokens) < NEAR
        assert [each.place for each in self.line] == list(self.bucket.waiting)
        moments = [place.wake_at for place in self.bucket.waiting if place.wake_at is not None]
        assert moments == sorted(moments), "nobody overtakes"
        for each in self.line:
            assert each.place.wake_at is not None
            assert abs(Fraction(each.place.wake_at) - each.moment) < NEAR

    @invariant()
    def no_span_of_time_sees_more_than_burst_and_rate_allow(self):
        if not hasattr(self, "bucket"):
            return
        # what was sent in a span of time is bounded by burst, rate and what others gave back unsent within it
        flows = sorted(self.flows, key=itemgetter(0))  # stable: at one moment in the order they happened
        for first, (start, _) in enumerate(flows):
            total = Fraction(0)
            for at, cost in flows[first:]:
                total += cost
                assert total <= self.burst + self.rate * (at - start) + NEAR


TestBucketAgainstModel = BucketAgainstModel.TestCase

times = st.floats(0.0, 1e7)
costs = st.floats(0.01, 5.0)


@given(
    st.floats(1e-3, 1e4),
    st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(0.01, 5.0)), min_size=1, max_size=60),
    times,
)
def test_it_never_gives_more_than_burst_and_rate_allow(rate, asks, start):
    bucket = TokenBucket("x", TokenBucketOptions(rate, 5.0))
    now, given_ = start, 0.0
    for wait, cost in asks:
        now += wait
        if isinstance(bucket.acquire(Ask(cost=cost), now), Permit):
            given_ += cost
        assert given_ <= 5.0 + rate * (now - start) + 1e-6 * max(1.0, rate)


@given(
    st.floats(1e-3, 1e4),
    st.lists(st.tuples(st.floats(0.0, 3.0), costs, st.one_of(st.none(), st.floats(0.0, 100.0))), min_size=1),
    times,
)
def test_the_wait_it_names_always_suffices(rate, asks, start):
    bucket = TokenBucket("x", TokenBucketOptions(rate, 5.0))
    now = start
    for wait, cost, hint in asks:
        now += wait
        granted = bucket.acquire(Ask(cost=cost), now)
        if isinstance(granted, Rejection):
            assert granted.retry_after is not None
            assert 0 < granted.retry_after < math.inf
            now += granted.retry_after
            granted = bucket.acquire(Ask(cost=cost), now)
        assert isinstance(granted, Permit), granted
        bucket.record(granted, Verdict.THROTTLED if hint is not None else Verdict.SUCCESS, 0.0, now, retry_after=hint)


@given(st.lists(costs, min_size=2, max_size=20), st.integers(1, 5000))
def test_after_a_step_back_of_the_clock_it_refuses_no_longer_than_before(asks, back):
    bucket = TokenBucket("x", TokenBucketOptions(1.0, 5.0))
    now: float = 10_000.0
    for cost in asks:
        granted = bucket.acquire(Ask(cost=cost), now)
        if isinstance(granted, Rejection):
            assert granted.retry_after is not None
            now -= back
            again = bucket.acquire(Ask(cost=cost), now)
            assert isinstance(again, Rejection)
            assert again.retry_after is not None
            assert abs(again.retry_after - granted.retry_after) < 1e-6
            assert isinstance(bucket.acquire(Ask(cost=cost), now + again.retry_after), Permit)
            now += again.retry_after


def test_those_who_wait_are_held_by_a_pause_too():
    bucket = TokenBucket("x", TokenBucketOptions(1.0, 1.0, max_wait=60.0))
    first = bucket.acquire(Ask(), 0.0)
    place = bucket.enter(Ask(), 0.0)
    assert isinstance(first, Permit)
    assert isinstance(place, Parked)
    bucket.record(first, Verdict.THROTTLED, 0.0, 0.5, retry_after=10.0)
    assert bucket.claim(place, 1.0) is place
    assert isinstance(bucket.claim(place, 11.0), Permit)


def test_the_end_of_a_pause_is_no_stampede():
    bucket = TokenBucket("x", TokenBucketOptions(10.0, 1.0, max_wait=60.0))
    first = bucket.acquire(Ask(), 0.0)
    assert isinstance(first, Permit)
    bucket.record(first, Verdict.THROTTLED, 0.0, 0.0, retry_after=10.0)
    places = [bucket.enter(Ask(), 0.0) for _ in range(100)]
    moments = [place.wake_at for place in places if isinstance(place, Parked) and place.wake_at is not None]
    assert len(moments) == 100
    assert all(later - earlier > 0.099 for earlier, later in pairwise(moments))


def test_a_refund_never_fills_the_bucket_above_its_burst():
    bucket = TokenBucket("x", TokenBucketOptions(1.0, 2.0))
    permit = bucket.acquire(Ask(cost=2.0), 0.0)
    assert isinstance(permit, Permit)
    assert bucket.available(10.0) == 2.0
    bucket.record(permit, Verdict.UNSENT, 0.0, 10.0)
    assert bucket.available(10.0) == 2.0
