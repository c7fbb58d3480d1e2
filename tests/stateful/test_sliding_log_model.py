"""The sliding log against the list of all that was ever taken."""

from fractions import Fraction

from seawall.core.permit import Ask, Permit, Rejection
from seawall.machines.shared import WindowOptions
from seawall.machines.sliding_log import SlidingLog
from tests.stateful.limit_model import LimitAgainstModelBase

LIMIT, WINDOW = Fraction(3), Fraction(2)


def left_over(happened):
    """What was taken and not given back."""
    taken = [(what[1], what[2]) for what in happened if what[0] == "take"]
    for what in happened:
        if what[0] == "give" and (what[1], what[2]) in taken:
            taken.remove((what[1], what[2]))
    return taken


class SlidingLogAgainstModel(LimitAgainstModelBase):
    """R-RL1: a moment is free when the window that ends with it has room."""

    @staticmethod
    def build_machine(max_wait):
        return SlidingLog("x", WindowOptions(float(LIMIT), float(WINDOW), max_wait))

    def when(self, happened, cost, start):
        taken = left_over(happened)
        moments = sorted([start, *(at + WINDOW for at, _ in taken if at + WINDOW > start)])
        return next(t for t in moments if sum(c for at, c in taken if at + WINDOW > t) + cost <= LIMIT)


TestSlidingLogAgainstModel = SlidingLogAgainstModel.TestCase


def test_a_call_counts_until_its_window_ends_and_not_at_that_moment():
    """R-RL1"""
    log = SlidingLog("x", WindowOptions(1.0, 10.0))
    assert isinstance(log.acquire(Ask(), 0.0), Permit)
    assert isinstance(log.acquire(Ask(), 9.999), Rejection)
    assert isinstance(log.acquire(Ask(), 10.0), Permit)


def test_it_remembers_no_more_calls_than_a_window_holds():
    """R-RL1"""
    log = SlidingLog("x", WindowOptions(5.0, 1.0))
    for step in range(1000):
        log.acquire(Ask(), step / 128)
        assert len(log.log) <= 5
