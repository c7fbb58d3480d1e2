"""The ambient deadline only shrinks."""

import pytest

import seawall
from seawall.core.context import deadline_on, restore_deadline, shrink_deadline
from seawall.drive.virtual import VirtualClock


def test_without_a_deadline_nothing_remains_to_be_said():
    """R-TM1"""
    assert seawall.remaining() is None
    assert deadline_on(VirtualClock()) is None


def test_a_later_deadline_inside_does_not_stretch_the_earlier_one():
    """R-TM1"""
    clock = VirtualClock()
    outer = shrink_deadline(10.0, 10.0, clock)
    inner = shrink_deadline(50.0, 50.0, clock)
    assert seawall.remaining() == 10.0
    restore_deadline(inner)
    restore_deadline(outer)
    assert seawall.remaining() is None


def test_an_earlier_deadline_inside_counts_until_it_is_restored():
    """R-TM1"""
    clock = VirtualClock()
    outer = shrink_deadline(10.0, 10.0, clock)
    inner = shrink_deadline(3.0, 3.0, clock)
    assert seawall.remaining() == 3.0
    restore_deadline(inner)
    assert seawall.remaining() == 10.0
    restore_deadline(outer)


def test_a_passed_deadline_leaves_nothing_and_never_less():
    """R-TM1"""
    clock = VirtualClock(start=20.0)
    token = shrink_deadline(10.0, 10.0, clock)
    assert seawall.remaining() == 0.0
    restore_deadline(token)


def test_a_deadline_is_translated_to_another_clock_by_what_is_left():
    """R-TM1"""
    one, other = VirtualClock(start=100.0), VirtualClock(start=7.0)
    token = shrink_deadline(104.0, 104.0, one)
    try:
        assert deadline_on(one) == 104.0
        assert deadline_on(other) == pytest.approx(11.0)
    finally:
        restore_deadline(token)
