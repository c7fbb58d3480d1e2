"""What every rate limit has to do, whatever its algorithm: the base of their models, in exact rational arithmetic.

The reference keeps all that ever happened as a list and reads its rule off that, from the start, each time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from seawall.core.permit import Ask, Parked, Permit, Rejection
from seawall.core.verdict import Verdict

NEAR = Fraction(1, 10**6)
SAME = Fraction(1, 10**7)  # moments that only rounding tells apart

eighths = st.integers(0, 40).map(lambda n: n / 8)
costs = st.sampled_from([0.5, 1.0, 2.0])

#: ("take", moment, cost), ("give", moment of the take, cost, when), ("halt", from, until)
Happened = tuple[Any, ...]


@dataclass(eq=False)
class Standing:
    """One in line: its place, cost, booked moment, and until when a pause has held it beyond that."""

    place: Parked
    cost: Fraction
    at: Fraction
    held: Fraction = Fraction(0)

    @property
    def goes(self) -> Fraction:
        return max(self.at, self.held)


class LimitAgainstModelBase(RuleBasedStateMachine):
    """Takes, waits, goes away, gives back, pauses: every decision and every moment as the reference says."""

    permits = Bundle("permits")
    places = Bundle("places")

    build_machine: Callable[[float], Any]

    def when(self, happened: list[Happened], cost: Fraction, start: Fraction) -> Fraction:
        """The first moment from `start` on at which `cost` can be taken."""
        raise NotImplementedError

    @initialize(max_wait=st.sampled_from([0.0, 1.0, 4.0, 1000.0]))
    def build(self, max_wait):
        self.machine = type(self).build_machine(max_wait)
        self.max_wait = Fraction(max_wait)
        self.now = Fraction(0)
        self.gate = Fraction(0)
        self.happened: list[Happened] = []
        self.line: list[Standing] = []
        self.booked: dict[int, Fraction] = {}

    # ------------------------------------------------------------ model

    def ahead(self) -> list[Standing]:
        return [each for each in self.line if each.at > self.now + SAME]

    def with_the_line(self) -> list[Happened]:
        return [*self.happened, *(("take", each.at, each.cost) for each in self.ahead())]

    def start(self) -> Fraction:
        return max([self.now, self.gate, *(each.at for each in self.line)])

    def book_again(self, ahead: list[Standing]) -> None:
        """Those whose time had not come are put anew, in order."""
        happened, last = list(self.happened), max(self.now, self.gate)
        for each in ahead:
            each.at = last = self.when(happened, each.cost, last)
            happened.append(("take", each.at, each.cost))
        self.settle_the_due()

    def settle_the_due(self) -> None:
        """Whose moment has come has taken its tokens then, whether it has looked or not."""
        for each in self.line:
            if each.at <= self.now + SAME and id(each) not in self.booked:
                self.booked[id(each)] = each.at
                self.happened.append(("take", each.at, each.cost))

    def pass_to(self, now: Fraction) -> None:
        self.now = max(self.now, now)
        self.settle_the_due()

    # ------------------------------------------------------------ rules

    def answer(self, granted, cost, wait, target):
        """Checks what was said to one who asked."""

    @rule(target=permits, cost=costs)
    def acquire(self, cost):
        at = self.when(self.with_the_line(), Fraction(cost), self.start())
        granted = self.machine.acquire(Ask(cost=cost), float(self.now))
        if at <= self.now + SAME:
            assert isinstance(granted, Permit), granted
            self.happened.append(("take", self.now, Fraction(cost)))
            return granted, self.now
        assert isinstance(granted, Rejection), granted
        assert granted.retry_after is not None
        assert abs(Fraction(granted.retry_after) - (at - self.now)) < NEAR
        assert granted.reason == ("throttled" if self.gate > self.now else "empty")
        return multiple()

    @rule(target=places, cost=costs, left=st.one_of(st.none(), eighths))
    def enter(self, cost, left):
        at = self.when(self.with_the_line(), Fraction(cost), self.start())
        deadline = None if left is None else float(self.now) + left
        granted = self.machine.enter(Ask(cost=cost, deadline=deadline), float(self.now))
        wait = at - self.now
        if wait <= SAME:
            assert isinstance(granted, Permit), granted
            self.happened.append(("take", self.now, Fraction(cost)))
            return multiple()
        allowed = min(self.max_wait, Fraction(1000) if left is None else Fraction(left))
        if wait > allowed + SAME:
            assert isinstance(granted, Rejection), granted
            return multiple()
        if wait > allowed - SAME and isinstance(granted, Rejection):
            return multiple()  # rounding decides
        assert isinstance(granted, Parked), granted
        standing = Standing(granted, Fraction(cost), at)
        self.line.append(standing)
        return standing

    @rule(target=permits, standing=places)
    def claim(self, standing):
        if standing not in self.line:
            return multiple()
        said = self.machine.claim(standing.place, float(self.now))
        if standing.goes <= self.now + SAME:
            assert isinstance(said, Permit), said
            self.line.remove(standing)
            return said, standing.at
        latest = Fraction(standing.place.entered_at) + self.max_wait
        if standing.place.ask.deadline is not None:
            latest = min(latest, Fraction(standing.place.ask.deadline))
        if isinstance(said, Rejection):
            assert standing.goes > latest - SAME
            self.goes_away(standing)
        else:
            assert said is standing.place
            assert standing.goes <= latest + SAME
        return multiple()

    @rule(standing=places)
    def abandon(self, standing):
        behind = self.machine.abandon(standing.place, float(self.now))
        if standing in self.line:
            assert behind == [each.place for each in self.line[self.line.index(standing) + 1 :]]
            self.goes_away(standing)
        else:
            assert behind == []

    def goes_away(self, standing):
        ahead = [each for each in self.ahead() if each is not standing]
        self.line.remove(standing)
        if standing.at <= self.now + SAME:
            self.happened.append(("give", standing.at, standing.cost, self.now))
        self.book_again(ahead)

    @rule(
        granted=permits,
        verdict=st.sampled_from([*Verdict, Verdict.UNSENT, Verdict.THROTTLED]),
        hint=st.one_of(st.none(), eighths),
    )
    def settle(self, granted, verdict, hint):
        permit, at = granted
        again = permit.settled
        ahead = self.ahead()
        self.machine.record(permit, verdict, 0.0, float(self.now), retry_after=hint)
        if again:
            return
        if verdict is Verdict.UNSENT:
            self.happened.append(("give", at, Fraction(permit.cost), self.now))
            self.book_again(ahead)
        elif verdict is Verdict.THROTTLED and hint is not None:
            start, until = max(self.gate, self.now), self.now + Fraction(hint)
            if until > start:
                for each in self.line:
                    if each not in ahead:
                        each.held = until
                self.happened.append(("halt", start, until))
                self.gate = until
                self.book_again(ahead)

    @rule(by=eighths)
    def time_passes(self, by):
        self.pass_to(Fraction(float(self.now) + by))

    @rule()
    def time_reaches_the_first_in_line(self):
        if ahead := self.ahead():
            self.pass_to(Fraction(float(ahead[0].at)))

    # ------------------------------------------------------- invariants

    @invariant()
    def the_line_is_as_the_model(self):
        if not hasattr(self, "machine"):
            return
        assert [each.place for each in self.line] == list(self.machine.waiting)
        moments = [place.wake_at for place in self.machine.waiting]
        assert moments == sorted(moments), "nobody overtakes"
        for each in self.line:
            assert each.place.wake_at is not None
            assert abs(Fraction(each.place.wake_at) - each.goes) < NEAR
        assert self.machine.shared.waiting == len(self.line)
