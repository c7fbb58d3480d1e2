"""The timeout's race, looked at in any order of moments."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.machines.timeout import Finish, Launch, SleepUntil, TimeoutRace

eighths = st.integers(0, 80).map(lambda n: n / 8)
above = st.integers(1, 80).map(lambda n: n / 8)


@given(above, st.one_of(st.none(), eighths), st.lists(eighths, min_size=1, max_size=10), eighths)
def test_the_race_ends_with_the_first_of_result_and_limit(limit, deadline, waits, takes):
    race = TimeoutRace(limit, 0.0, deadline)
    until = limit if deadline is None else min(limit, deadline)
    assert (race.until, race.limit) == (until, until)
    now, launched_at = 0.0, None
    for wait in waits:
        finished = launched_at is not None and now >= launched_at + takes
        step = race.next(now, finished)
        if launched_at is None:
            if now >= until:
                assert step == Finish("timeout")
                return
            assert isinstance(step, Launch)
            launched_at = now
        elif finished:
            assert step == Finish("result")
            return
        elif now >= until:
            assert step == Finish("timeout")
            return
        else:
            assert step == SleepUntil(until)
        now += wait
