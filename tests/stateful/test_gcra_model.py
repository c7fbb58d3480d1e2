"""GCRA against its formulas in exact fractions, and against the token bucket it is."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from seawall.core.permit import Ask, Permit, Rejection
from seawall.machines.gcra import Gcra
from seawall.machines.shared import RateOptions
from seawall.machines.token_bucket import TokenBucket
from tests.stateful.limit_model import LimitAgainstModelBase

RATE, BURST = Fraction(2), Fraction(3)


class GcraAgainstModel(LimitAgainstModelBase):
    """R-RL1: TAT is replayed from all that happened."""

    @staticmethod
    def build_machine(max_wait):
        return Gcra("x", RateOptions(float(RATE), float(BURST), max_wait))

    def when(self, happened, cost, start):
        tat: Fraction | None = None
        for what in happened:
            match what:
                case ("take", at, taken):
                    tat = (at if tat is None else max(at, tat)) + taken / RATE
                case ("give", _, taken, _):
                    assert tat is not None
                    tat -= taken / RATE
                case ("halt", first, until):
                    tat = until + max(Fraction(0), tat - first if tat is not None else Fraction(0))
        if tat is None:
            return start
        return max(start, tat + cost / RATE - BURST / RATE)


TestGcraAgainstModel = GcraAgainstModel.TestCase


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([1, 2, 3])), max_size=60))
def test_it_admits_what_a_token_bucket_admits(asks):
    """R-RL1"""
    options = RateOptions(0.5, 3.0)
    gcra, bucket = Gcra("x", options), TokenBucket("x", options)
    now = 0.0
    for by, cost in asks:
        now += by / 8
        ask = Ask(cost=float(cost))
        assert (
            type(gcra.acquire(ask, now)) is type(bucket.acquire(ask, now))
            or abs(gcra.available(now) - bucket.available(now)) < 1e-9
        )
        assert abs(gcra.available(now) - bucket.available(now)) < 1e-9


def test_a_denied_request_does_not_move_the_arrival_time():
    """R-RL1"""
    gcra = Gcra("x", RateOptions(1.0, 2.0))
    for _ in range(2):
        assert isinstance(gcra.acquire(Ask(), 0.0), Permit)
    before = gcra.tat
    for _ in range(5):
        denied = gcra.acquire(Ask(), 0.5)
        assert isinstance(denied, Rejection)
        assert denied.retry_after == 0.5
    assert gcra.tat == before
