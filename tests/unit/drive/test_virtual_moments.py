"""A virtual clock meets every moment exactly, so nobody who waits for one looks again for ever."""

import asyncio

import pytest

from seawall import Pipeline, Retry
from seawall.backoff import Constant
from seawall.testing import run_async, virtual_time

pytestmark = pytest.mark.timeout(20)  # what these tests guard against is a loop that never ends


@pytest.mark.parametrize("seconds", [1e-12, 0.12, 0.1 + 0.2, 3600.0, 3e7, 1e9, 1e12])
def test_a_sleep_ends_at_its_very_moment(seconds):
    async def sleeping(clock):
        await asyncio.sleep(seconds)  # noqa: TID251 - on the virtual clock
        return clock.now()

    with virtual_time() as clock:
        assert run_async(sleeping(clock)) == seconds


def test_a_timer_from_before_keeps_its_distance_when_a_loop_is_adopted():
    async def adopting(clock):
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_later(50.0, done.set_result, None)
        clock.adopt(loop)
        await done
        return clock.now()

    with virtual_time() as clock:
        assert asyncio.run(adopting(clock)) == pytest.approx(50.0, abs=1.0)


def test_an_asynchronous_retry_sleeps_through_delays_that_do_not_add_up_exactly():
    async def failing():
        raise ConnectionError

    with virtual_time() as clock:
        pipeline = Pipeline("x", Retry(40, backoff=Constant(base=0.12, jitter="none")), registry=None)
        with pytest.raises(ConnectionError):
            run_async(pipeline.acall(failing))
        assert clock.now() == pytest.approx(39 * 0.12)


def test_a_moment_reached_by_hand_wakes_a_sleeper():
    async def sleeping(clock):
        task = asyncio.ensure_future(asyncio.sleep(3e7))  # noqa: TID251 - on the virtual clock
        await asyncio.sleep(0)  # noqa: TID251 - lets the task begin
        clock.advance(3e7)
        await task
        return clock.now()

    with virtual_time() as clock:
        assert run_async(sleeping(clock)) == 3e7
