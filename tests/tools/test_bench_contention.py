"""The bench's threads: what is kept, and which turns count."""

import pytest

from bench.contention import OTHERS, Turn, beside, figure, quiet

GOOD = Turn(rate=100.0, kept=0.8, others=0.0)
BUSY = Turn(rate=100.0, kept=1.0, others=OTHERS + 0.1)


def test_what_is_kept_is_a_share_of_what_the_bare_call_keeps():
    assert beside(Turn(50.0, 0.4, 0.0), Turn(9.0, 0.8, 0.1)) == Turn(50.0, 0.5, 0.1)


def test_turns_beside_a_busy_neighbour_do_not_count():
    assert quiet([GOOD, BUSY, GOOD, GOOD], 3) == ([GOOD, GOOD, GOOD], "")


def test_too_few_quiet_turns_give_no_ratio_that_could_pass():
    turns, note = quiet([GOOD, BUSY, BUSY], 2)
    found = figure("stack", "full stack", turns, note)
    assert found.ratio is None
    assert found.value == pytest.approx(100)
    assert "idle" in found.note
