"""A cancel at every await, in every order: nothing leaks, nothing hangs, the line stays a line."""

import asyncio
import gc
import random
import threading
import warnings

import pytest

from seawall import Bulkhead, CircuitBreaker, Deadline, Fallback, Pipeline, RateLimiter, Registry, Retry, Timeout
from seawall.backoff import Constant
from seawall.testing import run_async, run_threads, virtual_time
from tests.support.ways import MODULE_BOTH_WAYS

pytestmark = MODULE_BOTH_WAYS

COLOURS = ("guards", "all")


class Dependency:
    """Takes a few turns of the loop, fails now and then, and knows how many are inside."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.inside = 0
        self.most = 0

    async def __call__(self):
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            for _ in range(self.dice.randrange(4)):
                await asyncio.sleep(self.dice.choice([0.0, 0.01, 0.3]))
            if self.dice.random() < 0.3:
                raise ConnectionError
            return "fine"
        finally:
            self.inside -= 1


def pipeline_of(kind):
    retry = Retry(3, backoff=Constant(base=0.05, jitter="none"))
    breaker = CircuitBreaker(10**6, half_open_max_calls=2)
    inner = (RateLimiter("50/second", burst=3, max_wait=5.0), Bulkhead(2, queue=50, max_wait=5.0))
    if kind == "guards":
        return Pipeline("p", breaker, *inner, registry=Registry())
    return Pipeline(
        "p",
        Fallback("instead", on=LookupError),
        Deadline(8.0),
        retry,
        breaker,
        *inner,
        Timeout(0.4),
        registry=Registry(),
    )


def settled(pipeline):
    """Asserts that nothing of what went through is still there."""
    gauges = {}
    for policy in pipeline.policies:
        for name, value in policy.snapshot().gauges.items():
            gauges[f"{policy.kind}.{name}"] = value
    assert gauges["bulkhead.in_flight"] == 0
    assert gauges["bulkhead.queued"] == 0
    assert gauges["rate_limiter.waiting"] == 0
    assert gauges["circuit_breaker.trials"] == 0


@pytest.mark.parametrize("kind", COLOURS)
def test_a_cancel_at_any_turn_of_the_loop_leaves_nothing_behind(kind):
    """R-BH1, R-RT5, R-CB5"""
    turns = 0
    for turn in range(400):
        with virtual_time():
            pipeline = pipeline_of(kind)
            dependency = Dependency(seed=turn // 40)
            ended, left = run_async(_cancelled_at(pipeline, dependency, turn % 40, half_open=turn % 3 == 0))
            settled(pipeline)
            assert dependency.inside == 0
            assert dependency.most <= 2
            assert left == []
            turns += ended
    assert turns >= 100  # many of the cancels came in time


async def _cancelled_at(pipeline, dependency, turn, *, half_open):
    """Starts four calls, cancels the second after `turn` turns; whether that was in time, and the tasks left over."""
    if half_open:
        next(policy for policy in pipeline.policies if policy.kind == "circuit_breaker").half_open()
    before = asyncio.all_tasks()
    tasks = [asyncio.create_task(pipeline.acall(dependency)) for _ in range(4)]
    for _ in range(turn):
        await asyncio.sleep(0)
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    left = [task for task in asyncio.all_tasks() - before if not task.done()]
    return isinstance(results[1], asyncio.CancelledError), left


@pytest.mark.parametrize("kind", COLOURS)
@pytest.mark.parametrize("seed", range(6))
def test_cancels_at_random_moments_leave_nothing_behind(kind, seed):
    """R-BH1, R-RT5"""
    dice = random.Random(seed)

    async def scenario():
        tasks = [asyncio.create_task(pipeline.acall(dependency)) for _ in range(40)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(dice.choice([0.0, 0.0, 0.01, 0.05]))
            dice.choice(tasks).cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    with virtual_time():
        pipeline = pipeline_of(kind)
        dependency = Dependency(seed)
        results = run_async(scenario())
        settled(pipeline)
        assert dependency.inside == 0
        assert dependency.most <= 2
        assert any(isinstance(result, asyncio.CancelledError) for result in results)
        counters = pipeline.snapshot().counters
        assert sum(counters.values()) <= 40
        assert pipeline.call(int) == 0 if kind == "guards" else True


def test_a_coroutine_driven_by_hand_can_be_ended_at_each_of_its_awaits():
    """R-BH1"""

    class Await:
        def __await__(self):
            yield self

    async def dependency():
        for _ in range(3):
            await Await()
        return "fine"

    for steps in range(5):
        for ending in (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
            breaker, bulkhead = CircuitBreaker(1, success_threshold=1), Bulkhead(1)
            pipeline = Pipeline("p", breaker, bulkhead, registry=None)
            breaker.half_open()
            coroutine = pipeline.acall(dependency)
            result = None
            try:
                for _ in range(steps):
                    coroutine.send(None)
                coroutine.throw(ending)
            except StopIteration as stop:
                result = stop.value
            except BaseException as error:
                result = type(error)
            assert result == ("fine" if steps == 4 else ending)
            assert bulkhead.snapshot().gauges["in_flight"] == 0
            assert breaker.snapshot().gauges["trials"] == 0
            assert breaker.state == ("closed" if steps == 4 else "half-open")


def test_those_who_wait_are_served_in_order_although_some_go_away():
    """R-BH1"""
    order: list[int] = []

    async def scenario():
        async def one(number):
            async def body():
                order.append(number)
                await asyncio.sleep(1.0)

            await pipeline.acall(body)

        tasks = []
        for number in range(12):
            tasks.append(asyncio.create_task(one(number)))
            await asyncio.sleep(0.01)
        for number in (3, 4, 9):
            tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with virtual_time():
        pipeline = Pipeline("p", Bulkhead(1, queue=50, max_wait=None), registry=None)
        run_async(scenario())
    assert order == [0, 1, 2, 5, 6, 7, 8, 10, 11]


def test_threads_and_tasks_of_several_loops_stand_in_one_line():
    """R-BH1"""
    with virtual_time() as clock:
        bulkhead = Bulkhead(1, queue=100, max_wait=None)
        pipeline = Pipeline("p", bulkhead, registry=None)
        order: list[str] = []

        async def task(name, start):
            await asyncio.sleep(start)

            async def body():
                order.append(name)
                await asyncio.sleep(1.0)

            await pipeline.acall(body)

        async def loop(name, starts):
            await asyncio.gather(*(task(f"{name}{number}", start) for number, start in enumerate(starts)))

        def body(name):
            order.append(name)
            clock.sleep(1.0)

        def thread():
            for number in range(3):
                clock.sleep(0.01)
                pipeline.call(body, f"t{number}")

        run_threads(
            lambda: run_async(loop("a", [0.0, 0.2, 0.4])),
            lambda: run_async(loop("b", [0.1, 0.3, 0.5])),
            thread,
        )
        assert order == ["a0", "t0", "b0", "a1", "b1", "a2", "b2", "t1", "t2"]
        assert bulkhead.snapshot().gauges["in_flight"] == 0


def test_many_loops_and_threads_in_real_time_never_pass_the_limit():
    """R-BH1"""
    bulkhead = Bulkhead(3, queue=1000, max_wait=None)
    breaker = CircuitBreaker(10**6)
    pipeline = Pipeline("p", breaker, bulkhead, registry=None)
    lock = threading.Lock()
    inside, most, done = 0, 0, 0

    def enter():
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)

    def leave():
        nonlocal inside, done
        with lock:
            inside -= 1
            done += 1

    async def body():
        enter()
        await asyncio.sleep(0.0005)
        leave()

    def plain():
        enter()
        threading.Event().wait(0.0005)
        leave()

    async def loop():
        await asyncio.gather(*(pipeline.acall(body) for _ in range(60)))

    def thread():
        for _ in range(20):
            pipeline.call(plain)

    results = run_threads(*[lambda: run_async(loop())] * 3, *[thread] * 3)
    assert results == [None] * 6
    assert (inside, most, done) == (0, 3, 240)
    assert breaker.snapshot().counters["requests.success"] == 240


def test_a_ticket_of_a_closed_loop_is_given_up_and_its_slot_goes_on():
    """R-BH1"""
    bulkhead = Bulkhead(1, queue=10, max_wait=None)
    pipeline = Pipeline("p", bulkhead, registry=None)
    holder = pipeline.permit()
    holder.__enter__()
    loop = asyncio.new_event_loop()

    async def waiting():
        await pipeline.acall(asyncio.sleep, 0)

    task = loop.create_task(waiting())
    for _ in range(3):
        loop.run_until_complete(asyncio.sleep(0))
    assert bulkhead.snapshot().gauges["queued"] == 1
    loop.close()
    holder.__exit__(None, None, None)
    assert bulkhead.snapshot().gauges["in_flight"] == 0
    assert pipeline.call(int) == 0
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del task
        gc.collect()
    assert bulkhead.snapshot().gauges["in_flight"] == 0


def test_no_task_is_left_behind_by_calls_that_are_cut_short():
    """R-TM1"""

    async def scenario():
        before = asyncio.all_tasks()
        for _ in range(5):
            outcome = await pipeline.acall_outcome(asyncio.sleep, 60.0)
            assert not outcome.ok
        return asyncio.all_tasks() - before

    with virtual_time():
        pipeline = Pipeline("p", Deadline(2.0), Retry(3), Timeout(1.0), registry=None)
        assert run_async(scenario()) == set()
