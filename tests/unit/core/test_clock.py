"""The real clock: where a wait is cut, and which clock new objects get."""

import asyncio
import threading

import pytest

from seawall import CircuitBreaker
from seawall.core.clock import SYSTEM_CLOCK, SystemClock, current_clock, using_clock
from seawall.drive.virtual import VirtualClock


def test_a_wait_whose_moment_has_passed_ends_at_once():
    assert SYSTEM_CLOCK.wait(threading.Event(), SYSTEM_CLOCK.now() - 1) is False


def test_a_set_event_ends_a_wait_without_limit():
    event = threading.Event()
    event.set()
    assert SYSTEM_CLOCK.wait(event, None) is True


def test_a_wait_of_centuries_is_cut_to_what_threads_can_wait():
    event = threading.Event()
    event.set()
    assert SYSTEM_CLOCK.wait(event, SYSTEM_CLOCK.now() + 1e12) is True


async def test_a_moment_is_the_same_distance_away_on_the_loops_scale():
    loop = asyncio.get_running_loop()
    at = SYSTEM_CLOCK.loop_time(loop, SYSTEM_CLOCK.now() + 5.0)
    assert at - loop.time() == pytest.approx(5.0, abs=0.5)


def test_real_time_marks_nobody_as_busy():
    with SYSTEM_CLOCK.working():
        assert SYSTEM_CLOCK.wall() > 1_600_000_000


def test_objects_take_the_clock_of_the_moment_they_are_made_in():
    clock = VirtualClock()
    with using_clock(clock):
        inside = CircuitBreaker()
        assert current_clock() is clock
    assert inside.clock is clock
    assert isinstance(CircuitBreaker().clock, SystemClock)
