"""The health machine against an exact model."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seawall.machines.health import HealthMachine, HealthOptions, Status

GRADES = [Status.HEALTHY, Status.DEGRADED, Status.UNHEALTHY, Status.CRITICAL]


class HealthModel(RuleBasedStateMachine):
    """Keeps every result since the status last turned, and judges from scratch after each."""

    @initialize(rise=st.integers(1, 4), fall=st.integers(1, 4), stale=st.sampled_from([5.0, 30.0]))
    def begin(self, rise, fall, stale):
        self.options = HealthOptions(rise, fall, stale)
        self.machine = HealthMachine(self.options)
        self.now = 100.0
        self.status = Status.UNKNOWN
        self.last = None
        self.since: list[int] = []  # severities of the results since the last turn
        self.turns: list[tuple[Status, Status]] = []

    def note(self, turn):
        if turn is not None:
            self.turns.append((turn.was, turn.now))

    @rule(result=st.sampled_from(GRADES), after=st.floats(0, 4))
    def observe(self, result, after):
        self.now += after
        self.note(self.machine.observe(result, self.now))
        self.last = self.now
        if self.status is Status.UNKNOWN:
            self.status, self.since = result, []
            return
        self.since.append(GRADES.index(result))
        here = GRADES.index(self.status)
        for rows, take in ((self.options.fall, min), (self.options.rise, max)):
            tail = self.since[-rows:]
            worse = take is min
            if len(tail) == rows and all(s > here if worse else s < here for s in tail):
                self.status, self.since = GRADES[take(tail)], []
                return

    @rule(after=st.floats(0, 60))
    def wait(self, after):
        self.now += after
        self.note(self.machine.tick(self.now))
        if self.last is not None and self.now - self.last > self.options.stale_after:
            self.status, self.since, self.last = Status.UNKNOWN, [], None

    @rule()
    def an_unknown_result_is_no_result(self):
        before = self.machine.status
        self.note(self.machine.observe(Status.UNKNOWN, self.now))
        assert self.machine.status is before

    @invariant()
    def the_machine_agrees_with_the_model(self):
        if hasattr(self, "machine"):
            assert self.machine.status is self.status

    @invariant()
    def turns_form_a_chain_that_ends_in_the_status(self):
        if getattr(self, "turns", None):
            for (_, end), (start, _) in zip(self.turns, self.turns[1:], strict=False):
                assert end is start
            assert self.turns[-1][1] is self.machine.status


HealthModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestHealthMachine = HealthModel.TestCase
