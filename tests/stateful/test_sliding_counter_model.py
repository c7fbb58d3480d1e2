"""The sliding counter against its formula over everything that was ever taken."""

from fractions import Fraction

from seawall.core.permit import Ask, Permit, Rejection
from seawall.machines.shared import WindowOptions
from seawall.machines.sliding_counter import SlidingCounter
from tests.stateful.limit_model import LimitAgainstModelBase
from tests.stateful.test_sliding_log_model import left_over

LIMIT, WINDOW = Fraction(3), Fraction(2)


class SlidingCounterAgainstModel(LimitAgainstModelBase):
    """R-RL1: the first moment at which prev × (1 − e/W) + curr + c <= limit."""

    @staticmethod
    def build_machine(max_wait):
        return SlidingCounter("x", WindowOptions(float(LIMIT), float(WINDOW), max_wait))

    def when(self, happened, cost, start):
        taken = left_over(happened)
        # what a float cannot tell from the next window's begin belongs to it
        number = (start + Fraction(1, 10**9)) // WINDOW
        while True:
            current = sum((c for at, c in taken if (at + Fraction(1, 10**9)) // WINDOW == number), Fraction(0))
            before = sum((c for at, c in taken if (at + Fraction(1, 10**9)) // WINDOW == number - 1), Fraction(0))
            first, room = number * WINDOW, LIMIT - cost - current
            passed = WINDOW * (1 - min(Fraction(1), room / before)) if before and room >= 0 else Fraction(0)
            if room >= 0:
                return max(start, first + passed)
            number += 1


TestSlidingCounterAgainstModel = SlidingCounterAgainstModel.TestCase


def test_at_the_end_of_a_window_all_of_it_still_counts():
    """R-RL1"""
    counter = SlidingCounter("x", WindowOptions(4.0, 10.0))
    assert isinstance(counter.acquire(Ask(cost=4.0), 9.0), Permit)
    assert isinstance(counter.acquire(Ask(), 10.0), Rejection)
    assert counter.available(10.0) == 0.0
    assert abs(counter.lack(1.0, 10.0) - 2.5) < 1e-6
    assert isinstance(counter.acquire(Ask(), 12.5), Permit)
