"""The restart decision against an exact model."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seawall.machines.restart import Restart, RestartOptions

# quarters are exact in binary, so the model may compare times for equality
QUARTERS = st.integers(0, 400).map(lambda n: n / 4)


class RestartMachine(RuleBasedStateMachine):
    """The model keeps every restart ever made and works all else out of that list."""

    @initialize(
        mode=st.sampled_from(["always", "on-failure", "never"]),
        base=st.sampled_from([0.25, 1.0]),
        cap=st.sampled_from([4.0, 60.0]),
        start=st.sampled_from([0.0, 5.0]),
        most=st.integers(1, 4),
        window=st.sampled_from([10.0, 60.0]),
    )
    def begin(self, mode, base, cap, start, most, window):
        self.options = RestartOptions(mode, base, cap, start, most, window)
        self.machine = Restart(self.options)
        self.now = 1000.0
        self.up_since = None
        self.starts_in_a_row = 0
        self.counted = []  # restarts that were within the intensity
        self.gave_up = False
        self.due = None
        self.restarts = 0

    def _well(self):
        return self.up_since is not None and self.now - self.up_since >= self.options.start_seconds

    @rule(seconds=QUARTERS)
    def time_passes(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.up_since is None)
    @rule()
    def it_is_started(self):
        if self.due is not None:
            self.restarts += 1
        self.due = None
        self.up_since = self.now
        self.starts_in_a_row += 1
        assert self.machine.started(self.now) == self.starts_in_a_row

    @precondition(lambda self: self.up_since is not None)
    @rule(ok=st.booleans(), dice=st.sampled_from([0.0, 0.5, 0.96875]))
    def it_ends(self, ok, dice):
        well = self._well()
        if well:
            self.starts_in_a_row = 0
            self.gave_up = False
        self.up_since = None
        mode = self.options.mode
        if mode == "never" or (mode == "on-failure" and ok and well):
            self.due = None
            assert self.machine.exited(self.now, ok=ok, chance=lambda: dice) is None
            return
        recent = [at for at in self.counted if self.now - at < self.options.restart_window]
        if len(recent) < self.options.max_restarts:
            self.counted.append(self.now)
        else:
            self.gave_up = True
        exponent = max(0, self.starts_in_a_row - 1)
        longest = Fraction(self.options.backoff_base) * 2**exponent
        longest = min(longest, Fraction(self.options.backoff_cap))
        if self.gave_up:
            longest = Fraction(self.options.backoff_cap)
        delay = float(longest * (1 - Fraction(dice) / 2))
        assert self.machine.exited(self.now, ok=ok, chance=lambda: dice) == delay
        assert longest / 2 <= delay <= longest
        self.due = self.now + delay

    @rule()
    def somebody_stops_it(self):
        self.machine.stopped()
        self.up_since = self.due = None
        self.starts_in_a_row = 0
        self.gave_up = False
        self.counted = []

    @invariant()
    def states_agree(self):
        if self.up_since is not None:
            expected = "running" if self._well() else "starting"
        elif self.due is not None:
            expected = "gave-up" if self.gave_up else "backing-off"
        else:
            expected = "stopped"
        assert self.machine.state(self.now) == expected
        assert self.machine.due_at == self.due
        assert self.machine.restarts == self.restarts
        assert len(self.machine._times) <= self.options.max_restarts


TestRestart = RestartMachine.TestCase


def test_a_process_that_fails_for_years_overflows_nothing():
    machine = Restart(RestartOptions(backoff_cap=60.0, max_restarts=10**9))
    machine.attempt = 10**9
    machine.started(0.0)
    assert machine.exited(0.0, ok=False, chance=lambda: 0.0) == 60.0


def test_a_clock_that_goes_back_makes_no_process_look_well():
    machine = Restart(RestartOptions(mode="on-failure"))
    machine.started(100.0)
    assert machine.state(90.0) == "starting"
    assert machine.exited(90.0, ok=True, chance=lambda: 0.0) == 1.0


def test_a_process_that_runs_well_each_time_but_dies_often_is_given_up_too():
    machine = Restart(RestartOptions())
    delays = []
    now = 0.0
    for _ in range(7):
        machine.started(now)
        now += 6.0
        delay = machine.exited(now, ok=False, chance=lambda: 0.0)
        assert delay is not None
        delays.append(delay)
        now += delay
    assert delays == [1.0, 1.0, 1.0, 1.0, 1.0, 60.0, 1.0]
