"""Generated functions do what the drivers do: a thousand seeded scenarios, played with them and without.

What every call gave or raised, what was published, and what the snapshots show has to be the same, in the same order
and at the same moments. On a difference the shortest script that still shows it is printed with its seed; to play one
again: `play(draw("calls", 17), True)` of `tests.support.worlds`.
"""

import pytest

from tests.support.worlds.compare import differs, shortest
from tests.support.worlds.script import draw


@pytest.fixture(autouse=True)
def quiet(caplog):
    """What circuits log would hide the scenario that is printed."""
    caplog.set_level("CRITICAL", logger="seawall")


EACH = 50  # scenarios in one test; the parts run side by side


def same(mode, part):
    for seed in range(part * EACH, (part + 1) * EACH):
        scenario = draw(mode, seed)
        if differs(scenario):
            least = shortest(scenario)
            pytest.fail(f"{differs(least)}\n{least}", pytrace=False)


@pytest.mark.parametrize("part", range(10))
def test_one_call_after_the_other_is_the_same_with_generated_functions(part):
    same("calls", part)


@pytest.mark.parametrize("part", range(6))
def test_tasks_that_are_cancelled_anywhere_are_the_same_with_generated_functions(part):
    same("tasks", part)


@pytest.mark.parametrize("part", range(4))
def test_threads_that_take_turns_are_the_same_with_generated_functions(part):
    same("threads", part)
