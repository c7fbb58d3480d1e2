"""The retry budget against a list of everything that ever happened."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seawall.machines.retry_budget import RetryBudgetMachine, RetryBudgetOptions


class RetryBudgetModel(RuleBasedStateMachine):
    """R-RT4: in any window, retries <= ratio × first attempts + the minimum."""

    @initialize(
        ratio=st.integers(0, 8), floor=st.integers(0, 4), window=st.sampled_from([1, 10, 80]), least=st.integers(0, 6)
    )
    def begin(self, ratio, floor, window, least):
        self.options = RetryBudgetOptions(ratio / 8, floor / 8, float(window), float(least))
        self.machine = RetryBudgetMachine(self.options)
        self.now = 0.0
        self.width = window / 10
        self.deposits: list[float] = []
        self.withdrawals: list[float] = []

    def inside(self, moments):
        """Those whose bucket is one of the last ten."""
        oldest = int(self.now // self.width) - 10
        return [at for at in moments if int(at // self.width) > oldest]

    def allowed(self):
        least = max(self.options.minimum, self.options.floor * self.options.window)
        ratio = self.options.ratio
        return least + ratio * len(self.inside(self.deposits)) - len(self.inside(self.withdrawals))

    @rule(steps=st.integers(0, 40))
    def pass_time(self, steps):
        self.now += steps * self.width / 4

    @rule(times=st.integers(1, 8))
    def first_attempts(self, times):
        for _ in range(times):
            self.machine.deposit(self.now)
            self.deposits.append(self.now)

    @rule()
    def book(self):
        allowed = self.allowed() >= 1
        assert self.machine.withdraw(self.now) is allowed
        if allowed:
            self.withdrawals.append(self.now)

    @rule()
    def give_back(self):
        self.machine.refund(self.now)
        if self.inside(self.withdrawals):
            self.withdrawals.pop()

    @invariant()
    def balances(self):
        if hasattr(self, "machine"):
            assert self.machine.balance(self.now) == self.allowed()
            assert len(self.machine._buckets) <= 11


TestRetryBudget = RetryBudgetModel.TestCase
TestRetryBudget.settings = settings(stateful_step_count=40)
