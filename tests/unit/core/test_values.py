"""Small values: verdicts, permits, outcomes, chance, ports, fork, validation."""

import math

import pytest

from seawall import ConfigurationError, Outcome, Verdict
from seawall.core import ports
from seawall.core.chance import seeded_chance, system_chance
from seawall.core.fork import _in_child, renew_after_fork
from seawall.core.permit import Ask, Parked, Permit, Waiter
from seawall.core.validate import duration, number, text, whole


@pytest.mark.parametrize(
    "verdict, failed, neutral",
    [
        (Verdict.SUCCESS, False, False),
        (Verdict.FAILURE, True, False),
        (Verdict.DROPPED, True, False),
        (Verdict.THROTTLED, False, True),
        (Verdict.IGNORED, False, True),
        (Verdict.UNSENT, False, True),
    ],
)
def test_a_verdict_is_a_failure_or_neutral_or_neither(verdict, failed, neutral):
    """R-CB5"""
    assert (verdict.failed, verdict.neutral) == (failed, neutral)


def test_an_outcome_unwraps_to_its_value_also_when_that_is_none():
    assert Outcome(7).unwrap() == 7
    assert Outcome(None).unwrap() is None


def test_an_outcome_unwraps_to_its_very_error():
    error = ValueError("no")
    outcome: Outcome[int] = Outcome(None, error)
    assert not outcome.ok
    with pytest.raises(ValueError) as caught:
        outcome.unwrap()
    assert caught.value is error


def test_an_outcome_shows_how_it_ended_and_not_what_it_holds():
    assert repr(Outcome("secret")) == "<Outcome ok attempts=1>"
    assert repr(Outcome("secret", degraded=True, attempts=2)) == "<Outcome ok degraded attempts=2>"
    assert repr(Outcome(None, KeyError("secret"))) == "<Outcome 'KeyError' attempts=1>"


def test_a_permit_shows_its_era_and_whether_it_is_settled():
    permit = Permit(3, 2, "trial")
    assert repr(permit) == "<Permit 3 era=2 trial>"
    permit.settled = True
    assert repr(permit) == "<Permit 3 era=2 trial settled>"


def test_a_new_place_in_a_queue_has_no_permit_and_is_not_gone():
    place = Parked(1, Ask(), 0.0, 1.0, 1.0)
    assert (place.permit, place.gone, place.waiter) == (None, False, None)
    with pytest.raises(NotImplementedError):
        Waiter().wake()


def test_the_same_seed_gives_the_same_chance():
    one, other = seeded_chance(5), seeded_chance(5)
    assert [one() for _ in range(5)] == [other() for _ in range(5)]
    assert 0 <= system_chance() < 1


def test_a_port_whose_package_is_missing_names_the_package_and_the_extra(monkeypatch):
    monkeypatch.setitem(ports._PROVIDERS, "config", "not_installed_here.part:thing")
    with pytest.raises(ConfigurationError, match=r'"not_installed_here".*pip install "seawall\[daemon\]"'):
        ports.load("config")


def test_a_child_renews_what_lives_and_forgets_what_does_not():
    renewed = []

    class Thing:
        def after_fork(self):
            renewed.append(id(self))

    kept, lost = Thing(), Thing()
    renew_after_fork(kept)
    renew_after_fork(lost)
    gone = id(lost)
    del lost
    _in_child()
    assert id(kept) in renewed
    assert gone not in renewed


@pytest.mark.parametrize("bad", ["", "  ", None, 3, b"x"])
def test_a_text_must_be_a_text_with_something_in_it(bad):
    with pytest.raises(ConfigurationError, match=r"^Place = .*must be a text that is not empty"):
        text("Place", bad)


@pytest.mark.parametrize("bad", [0, -1, 1.0, True, "3", None, math.nan])
def test_a_whole_number_is_no_float_no_flag_and_not_too_small(bad):
    with pytest.raises(ConfigurationError, match=r"^Place = .*must be a whole number, at least 1"):
        whole("Place", bad, 1)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "1", None, math.nan, math.inf])
def test_a_number_is_finite_and_within_its_bounds(bad):
    with pytest.raises(ConfigurationError, match=r"^Place = .*must be a finite number above 0 and at most 1"):
        number("Place", bad, above=True, most=1.0)


def test_a_number_without_an_upper_bound_names_none():
    with pytest.raises(ConfigurationError, match=r"must be a finite number of at least 2$"):
        number("Place", 1, least=2.0)
    number("Place", 1e300)


@pytest.mark.parametrize("bad", [0, -0.1, True, "1", None, math.nan, math.inf])
def test_a_duration_is_a_finite_number_of_seconds_above_zero(bad):
    with pytest.raises(ConfigurationError, match=r"^Place = .*must be a number of seconds, above 0"):
        duration("Place", bad)


def test_a_duration_may_be_zero_where_that_has_a_meaning():
    duration("Place", 0, zero=True)
    with pytest.raises(ConfigurationError, match="at least 0"):
        duration("Place", -1, zero=True)
