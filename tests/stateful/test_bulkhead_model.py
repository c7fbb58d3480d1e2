"""The bulkhead machine against a list of who is inside and a list of who waits."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from seawall.core.permit import Ask, Parked, Permit, Rejection
from seawall.core.verdict import Verdict
from seawall.machines.bulkhead import BulkheadMachine, BulkheadOptions

eighths = st.integers(0, 24).map(lambda n: n / 8)


@dataclass(eq=False)
class Guest:
    """One who stands in line, or has been let in from there."""

    place: Parked
    until: float | None
    permit: Permit | None = None
    gone: bool = False


class BulkheadAgainstModel(RuleBasedStateMachine):
    """Enters, leaves, gives up, runs out of time, forks."""

    permits = Bundle("permits")
    guests = Bundle("guests")

    @initialize(
        limit=st.integers(1, 3),
        queue=st.integers(0, 4),
        max_wait=st.sampled_from([None, 0.0, 0.125, 1.0, 100.0]),
        order=st.sampled_from(["fifo", "lifo", "adaptive"]),
        known=st.booleans(),
    )
    def build(self, limit, queue, max_wait, order, known):
        self.machine = BulkheadMachine("x", BulkheadOptions(limit, queue, max_wait, order))
        self.order, self.busy_since = order, 0.0
        if known:  # as if ten calls had taken half a second
            self.machine.service, self.machine.finished = 0.5, 10
        self.times: list[float] = [0.5] * 10 if known else []
        self.limit, self.queue, self.max_wait = limit, queue, max_wait
        self.now = 0.0
        self.inside: list[Permit] = []
        self.line: list[Guest] = []

    def leave_the_late(self) -> None:
        """Whoever's time is up stands in line no more."""
        self.line = [guest for guest in self.line if guest.until is None or self.now < guest.until]

    def let_in(self, woken: list[Parked]) -> None:
        """The machine must have let in exactly those whose turn it is, in order."""
        self.leave_the_late()
        line = self.line[::-1] if self.last_first() else self.line
        expected = line[: max(0, self.limit - len(self.inside))]
        assert woken == [guest.place for guest in expected]
        for guest in expected:
            assert guest.place.permit is not None
            guest.permit = guest.place.permit
            self.inside.append(guest.permit)
            self.line.remove(guest)

    def last_first(self) -> bool:
        """Whether the last who came goes first."""
        return self.order == "lifo" or (
            self.order == "adaptive" and bool(self.line) and self.now - self.busy_since > 1.0
        )

    def expected_wait(self) -> float:
        """Position × mean time / slots, the mean weighted by age; nothing while fewer than ten are known."""
        if len(self.times) < 10:
            return 0.0
        mean = 0.0
        for number, took in enumerate(self.times, 1):
            mean += (took - mean) * max(0.1, 1 / number)
        position = 1 if self.last_first() else len(self.line) + 1
        return float(position * mean / self.limit)

    @rule(limit=st.integers(1, 4))
    def resize(self, limit):
        self.limit = limit
        self.let_in(self.machine.resize(limit, self.now))

    @rule(target=permits)
    def enter_at_once(self):
        return self.enter(None)

    @rule(target=guests, left=st.one_of(st.none(), eighths))
    def enter_in_line(self, left):
        deadline = None if left is None else self.now + left
        granted = self.enter(deadline)
        if not isinstance(granted, Parked):
            return multiple()
        return next(guest for guest in self.line if guest.place is granted)

    def enter(self, deadline: float | None) -> Permit | Parked | None:
        granted = self.machine.enter(Ask(deadline=deadline), self.now)
        self.leave_the_late()
        if len(self.inside) < self.limit:
            assert isinstance(granted, Permit)
            self.inside.append(granted)
        elif self.queue == 0 or self.max_wait == 0:
            assert isinstance(granted, Rejection)
            assert granted.reason == "full"
        elif len(self.line) >= self.queue:
            assert isinstance(granted, Rejection)
            assert granted.reason == "queue_full"
        elif deadline is not None and deadline <= self.now + self.expected_wait():
            assert isinstance(granted, Rejection)
            assert granted.reason == "deadline"
        else:
            assert isinstance(granted, Parked)
            if not self.line:
                self.busy_since = self.now
            ends = [end for end in (deadline, None if self.max_wait is None else self.now + self.max_wait) if end]
            self.line.append(Guest(granted, min(ends, default=None)))
            assert granted.wake_at == self.line[-1].until
        return granted if isinstance(granted, Permit | Parked) else None

    @rule(permit=permits, verdict=st.sampled_from(list(Verdict)))
    def leave(self, permit, verdict):
        if not isinstance(permit, Permit):
            return
        self.end(permit, verdict)

    def end(self, permit: Permit, verdict: Verdict) -> None:
        woken = self.machine.leave(permit, verdict, self.now)
        if permit in self.inside:
            self.inside.remove(permit)
            if verdict is not Verdict.UNSENT:
                self.times.append(self.now - permit.admitted_at)
            self.let_in(woken)
        else:
            assert woken == []

    @rule(guest=guests, verdict=st.sampled_from(list(Verdict)))
    def a_guest_leaves(self, guest, verdict):
        if guest.permit is not None:
            self.end(guest.permit, verdict)

    @rule(guest=guests)
    def claim(self, guest):
        if guest.gone:
            return
        said = self.machine.claim(guest.place, self.now)
        if guest.permit is not None:
            assert said is guest.permit
        elif guest.until is not None and self.now >= guest.until:
            assert isinstance(said, Rejection)
            assert said.reason in {"waited", "deadline"}
            guest.gone = True
            self.leave_the_late()
        else:
            assert said is guest.place

    @rule(guest=guests)
    def abandon(self, guest):
        woken = self.machine.abandon(guest.place, self.now)
        guest.gone = True
        if guest.permit in self.inside:
            assert guest.permit is not None
            self.inside.remove(guest.permit)
            self.let_in(woken)
        else:
            self.line = [other for other in self.line if other is not guest]
            assert woken == []

    @rule(by=eighths)
    def time_passes(self, by):
        self.now += by

    @rule()
    def fork(self):
        self.machine.renew()
        self.inside, self.line = [], []

    @invariant()
    def nobody_is_lost_and_nobody_too_many(self):
        if not hasattr(self, "machine"):
            return
        machine = self.machine
        assert sorted(machine.inside) == sorted(permit.id for permit in self.inside)
        self.leave_the_late()
        waiting = [place for place in machine.waiting if place.until is None or self.now < place.until]
        assert machine.queued == len(machine.waiting) == machine.shared.waiting
        assert machine.shared.inside == len(machine.inside)
        assert waiting == [guest.place for guest in self.line]
        assert not waiting or len(machine.inside) >= self.limit, "a slot is free while somebody waits"
        oldest = min((permit.admitted_at for permit in self.inside), default=self.now)
        assert machine.oldest(self.now) == self.now - oldest


TestBulkheadAgainstModel = BulkheadAgainstModel.TestCase
