"""The fixed window against counts of everything that was ever taken."""

from fractions import Fraction

from seawall.core.permit import Ask, Permit, Rejection
from seawall.machines.fixed_window import FixedWindow
from seawall.machines.shared import WindowOptions
from tests.stateful.limit_model import LimitAgainstModelBase
from tests.stateful.test_sliding_log_model import left_over

LIMIT, WINDOW = Fraction(3), Fraction(2)


class FixedWindowAgainstModel(LimitAgainstModelBase):
    """R-RL1: a window is free when what was taken in it leaves room."""

    @staticmethod
    def build_machine(max_wait):
        return FixedWindow("x", WindowOptions(float(LIMIT), float(WINDOW), max_wait))

    def when(self, happened, cost, start):
        taken = left_over(happened)
        number = start // WINDOW
        while sum(c for at, c in taken if at // WINDOW == number) + cost > LIMIT:
            number += 1
        return max(start, number * WINDOW)


TestFixedWindowAgainstModel = FixedWindowAgainstModel.TestCase


def test_a_new_window_begins_at_the_very_moment_the_old_one_ends():
    """R-RL1"""
    window = FixedWindow("x", WindowOptions(1.0, 0.1))
    for number in range(1, 500):
        assert isinstance(window.acquire(Ask(), number * 0.1), Permit), number
        refused = window.acquire(Ask(), number * 0.1)
        assert isinstance(refused, Rejection)
        assert refused.retry_after is not None
        assert abs(refused.retry_after - 0.1) < 1e-9


def test_windows_are_those_of_the_clock_and_not_of_the_first_call():
    """R-RL1"""
    window = FixedWindow("x", WindowOptions(1.0, 10.0))
    window.acquire(Ask(), 7.0)
    assert window.lack(1.0, 7.0) == 3.0
