"""The limits of a stream against a list of every moment an item came."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from seawall.machines.stream import StreamLimits, StreamTimer

quarters = st.integers(1, 40).map(lambda n: n / 4)
limits = st.builds(
    StreamLimits,
    st.one_of(st.none(), quarters),
    st.one_of(st.none(), quarters),
    st.one_of(st.none(), quarters),
    st.one_of(st.none(), st.integers(1, 8).map(lambda n: n / 4)),
    st.integers(1, 16).map(lambda n: n / 2),
)


def expected(chosen, arrivals, spent):
    """When the wait for the next item has to end, on the scale of waiting; None for never."""
    ends = []
    if chosen.total is not None:
        ends.append(Fraction(chosen.total))
    if not arrivals and chosen.first_item is not None:
        ends.append(Fraction(chosen.first_item))
    elif chosen.idle is not None:
        ends.append(Fraction(spent) + Fraction(chosen.idle))
    if chosen.min_rate is not None:
        # the first moment whose window, all of it after the beginning, holds too few items
        need = Fraction(chosen.min_rate) * Fraction(chosen.rate_window)
        starts = sorted([Fraction(0), *map(Fraction, arrivals)])
        ends.append(
            min(start + Fraction(chosen.rate_window) for start in starts if sum(a > start for a in arrivals) < need)
        )
    return min(ends) if ends else None


@given(limits, st.lists(quarters, max_size=12))
def test_an_item_is_waited_for_as_long_as_the_limits_say(chosen, waits):
    """R-TM3"""
    timer, spent = StreamTimer(chosen), 0.0
    arrivals: list[float] = []
    for wait in waits:
        limit, end = timer.next_limit(), expected(chosen, arrivals, spent)
        if end is None:
            assert limit is None
        else:
            assert limit is not None
            assert Fraction(spent) + Fraction(limit.left) == end
            if spent + wait > end:
                return
        spent += wait
        timer.waited(wait, arrived=True)
        arrivals.append(spent)
    assert (timer.items, timer.spent) == (len(arrivals), spent)
