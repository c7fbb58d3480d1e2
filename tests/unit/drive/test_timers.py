"""Timers of a timeout, many in one line."""

import asyncio
import gc
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from seawall import Pipeline, TimedOutError, Timeout, deadline
from seawall.testing import compiled, run_async, virtual_time


@pytest.fixture(params=[True, False], ids=["generated", "driven"])
def protect(request):
    """Timeout(1.0), and functions under it."""
    with virtual_time(), compiled(request.param):
        timeout = Timeout(1.0)
        yield Pipeline("p", timeout, registry=None)


def lines(pipeline):
    return list(pipeline.policies[0].timers()._lines.values())


def test_those_that_are_done_are_not_kept_and_one_timer_of_the_loop_serves_all(protect):
    """R-TM1"""

    @protect
    async def quick():
        await asyncio.sleep(0)  # noqa: TID251 - on the virtual clock

    async def main():
        for _ in range(300):
            await quick()
        assert [len(line.live) for line in lines(protect)] == [0]
        loop: Any = asyncio.get_running_loop()
        assert len(loop._scheduled) <= 1

    run_async(main())


def test_each_is_cut_short_at_its_own_moment(protect):
    """R-TM1"""
    ended = {}

    @protect
    async def hangs(number):
        await asyncio.sleep(99)  # noqa: TID251 - on the virtual clock

    async def one(number, loop):
        await asyncio.sleep(number / 10)  # noqa: TID251 - on the virtual clock
        with pytest.raises(TimedOutError):
            await hangs(number)
        ended[number] = loop.time()

    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(one(number, loop) for number in range(20)))
        for number, at in ended.items():
            assert at == pytest.approx(number / 10 + 1.0)

    run_async(main())


def test_one_call_inside_another_of_the_same_task_has_a_timer_of_its_own(protect):
    """R-TM1"""

    @protect
    async def outer():
        await asyncio.sleep(0.6)  # noqa: TID251 - on the virtual clock
        with pytest.raises(TimedOutError):
            await inner()
        return "the outer one is cut short at the same moment, or not at all"

    @protect
    async def inner():
        await asyncio.sleep(99)  # noqa: TID251 - on the virtual clock

    async def main():
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(TimedOutError):
            await outer()
        assert loop.time() - began == pytest.approx(1.0)

    run_async(main())


def test_an_earlier_deadline_from_outside_comes_first(protect):
    """R-TM1"""

    @protect
    async def hangs():
        await asyncio.sleep(99)  # noqa: TID251 - on the virtual clock

    async def short(loop):
        began = loop.time()
        with deadline(0.3), pytest.raises(TimedOutError):
            await hangs()
        return loop.time() - began

    async def long(loop):
        began = loop.time()
        with pytest.raises(TimedOutError):
            await hangs()
        return loop.time() - began

    async def main():
        loop = asyncio.get_running_loop()
        assert await asyncio.gather(long(loop), short(loop)) == pytest.approx([1.0, 0.3])

    run_async(main())


def test_a_cancel_from_outside_at_the_same_moment_stays_a_cancel(protect):
    """R-TM1"""

    @protect
    async def hangs():
        await asyncio.sleep(99)  # noqa: TID251 - on the virtual clock

    async def main():
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(hangs())
        loop.call_at(loop.time() + 1.0, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    run_async(main())


def test_a_loop_that_is_gone_leaves_nothing(protect):
    """R-TM1"""

    @protect
    async def quick():
        await asyncio.sleep(0)  # noqa: TID251 - on the virtual clock

    async def main():
        await quick()
        return weakref.ref(asyncio.get_running_loop())

    loops = [run_async(main()) for _ in range(3)]
    gc.collect()
    assert sum(loop() is not None for loop in loops) <= 1  # the last one, which is looked at first
    assert len(lines(protect)) <= 1


class TestOnRealLoops:
    """Which loop runs is known without asking the system each time, and never wrongly."""

    @pytest.fixture(params=[True, False], ids=["generated", "driven"])
    def hangs(self, request):
        """A function that hangs, under Timeout(0.05)."""
        with compiled(request.param):

            @Pipeline("p", Timeout(0.05), registry=None)
            async def hangs(quick):
                await asyncio.sleep(0 if quick else 30)  # noqa: TID251 - cut short after 0.05 s
                return asyncio.current_task()

            yield hangs

    @staticmethod
    async def once(hangs):
        assert await hangs(True) is asyncio.current_task()
        with pytest.raises(TimedOutError):
            await hangs(False)
        assert await hangs(True) is asyncio.current_task()

    def test_one_after_the_other_in_one_thread(self, hangs):
        for _ in range(3):
            asyncio.run(self.once(hangs))

    def test_side_by_side_in_threads(self, hangs):
        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(asyncio.run, self.once(hangs)) for _ in range(8)]:
                done.result(20)

    def test_with_hooks_of_the_programs_own(self, hangs):
        async def main():
            await self.once(hangs)
            before = sys.get_asyncgen_hooks()
            try:
                sys.set_asyncgen_hooks(firstiter=lambda _: None)
                await self.once(hangs)
                sys.set_asyncgen_hooks(None, None)
                await self.once(hangs)
            finally:
                sys.set_asyncgen_hooks(*before)

        asyncio.run(main())
