"""The comparison notices what it is for: a play that is different is told, and its script made short."""

import pytest

from tests.support.worlds.compare import difference, differs, shortest
from tests.support.worlds.play import play
from tests.support.worlds.script import HAPPY, draw


@pytest.fixture(autouse=True)
def quiet(caplog):
    """What circuits log would hide the scenario that is printed."""
    caplog.set_level("CRITICAL", logger="seawall")


def troubles(steps):
    """The steps whose call meets trouble."""
    return [step for step in steps if step.what == "call" and step.value.outcomes[0] != HAPPY]


def calmed(scenario):
    """The same without the trouble."""
    steps = [
        step._replace(value=step.value._replace(outcomes=(HAPPY,))) if step.what == "call" else step
        for step in scenario.steps
    ]
    return scenario._replace(steps=steps)


@pytest.mark.parametrize("mode", ["calls", "tasks", "threads"])
def test_a_single_outcome_that_differs_is_noticed(mode):
    noticed = 0
    for seed in range(10):
        scenario = draw(mode, seed)
        if troubles(scenario.steps):
            noticed += difference(play(scenario, False), play(calmed(scenario), False)) is not None
    assert noticed >= 5


def test_a_script_that_fails_is_made_as_short_as_it_can_be():
    scenario = draw("calls", 3)
    numbers = [step.value.number for step in scenario.steps if step.what == "call"]
    wanted = {numbers[2], numbers[-1]}

    def fails(one):
        return wanted <= {step.value.number for step in one.steps if step.what == "call"}

    assert [step.value.number for step in shortest(scenario, fails).steps] == sorted(wanted)


def test_a_rounding_is_no_difference_and_more_is():
    assert difference([1.0, {"a": (2.0,)}], [1.0 + 1e-12, {"a": (2,)}]) is None
    assert difference({"a": (2.0,)}, {"a": (2.1,)}, "x") == "x['a'][0]: 2.0 != 2.1"
    assert difference([1], [1, "more"], "x") == "x[1]: only the second has 'more'"
    assert difference((1,), [1]) is not None


@pytest.mark.parametrize("mode", ["calls", "tasks", "threads"])
def test_a_scenario_is_the_same_whenever_it_is_drawn_and_played(mode):
    assert str(draw(mode, 1)) == str(draw(mode, 1))
    assert differs(draw(mode, 1)) is None
