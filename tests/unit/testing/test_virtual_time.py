"""Virtual time: waits jump, chains run through, and nothing is left changed."""

# ruff: noqa: TID251 - that asyncio's own sleep jumps too is what is shown

import asyncio
import threading
import time

import pytest

import seawall
from seawall import (
    Bulkhead,
    CircuitBreaker,
    ConfigurationError,
    Fallback,
    Pipeline,
    RateLimiter,
    Registry,
    Retry,
    Timeout,
)
from seawall.backoff import Constant
from seawall.core.clock import SYSTEM_CLOCK
from seawall.drive.virtual import VirtualClock
from seawall.testing import Recorder, Scripted, run_async, run_both, run_threads, seeded_chance, virtual_time


def hourly():
    return [Retry(10, backoff=Constant(base=3600.0, cap=3600.0, jitter="none"))]


def test_ten_attempts_an_hour_apart_take_nine_virtual_hours():
    """R-FI2"""
    with virtual_time() as clock:
        dependency = Scripted([*[ConnectionError()] * 9, "there"])
        assert Pipeline("p", *hourly(), registry=None).call(dependency) == "there"
        assert clock.now() == 9 * 3600.0
    assert dependency.calls == 10


def test_asyncios_own_sleep_and_timeout_jump_too():
    """R-FI2"""

    async def nap():
        await asyncio.sleep(86_400)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.get_running_loop().create_future()
        return asyncio.get_running_loop().time()

    with virtual_time() as clock:
        before = clock.now()
        run_async(nap())
        assert clock.now() - before == pytest.approx(90_000)


def test_chained_waits_run_through_by_themselves():
    """R-FI2"""
    order = []

    async def chain(name, *waits):
        for wait in waits:
            await asyncio.sleep(wait)
            order.append((name, round(clock.now(), 3)))

    async def both():
        await asyncio.gather(chain("a", 10, 20, 30), chain("b", 15, 15, 15))

    with virtual_time() as clock:
        run_async(both())
    assert sorted(order, key=lambda step: (step[1], step[0])) == [
        ("a", 10), ("b", 15), ("a", 30), ("b", 30), ("b", 45), ("a", 60),
    ]  # fmt: skip


def test_threads_wait_for_each_other_before_time_jumps():
    """R-FI2"""
    with virtual_time() as clock:

        def sleeper(*naps):
            def run():
                for nap in naps:
                    clock.sleep(nap)
                return clock.now()

            return run

        assert run_threads(sleeper(1, 1, 1), sleeper(100), sleeper(50, 25)) == [3.0, 100.0, 75.0]
        assert clock.now() == 100.0


def test_loops_in_several_threads_share_one_time():
    """R-FI2"""

    async def nap(seconds):
        await asyncio.sleep(seconds)
        return clock.now()

    with virtual_time() as clock:
        ended = run_threads(lambda: run_async(nap(5)), lambda: run_async(nap(700)), lambda: clock.sleep(60))
    assert ended == [pytest.approx(5), pytest.approx(700), None]


def test_a_loop_is_woken_by_another_thread_before_its_timer():
    """R-FI2"""

    async def waiting(box):
        box.append((asyncio.get_running_loop(), future := asyncio.get_running_loop().create_future()))
        async with asyncio.timeout(1000):
            await future
        return clock.now()

    def waking(box):
        clock.sleep(10)
        loop, future = box[0]
        loop.call_soon_threadsafe(future.set_result, None)

    with virtual_time() as clock:
        box: list = []
        woken, _ = run_threads(lambda: run_async(waiting(box)), lambda: waking(box))
    assert woken == pytest.approx(10)


def test_time_moves_by_hand_and_never_back():
    clock = VirtualClock(start=5.0, epoch=1000.0)
    clock.advance(2.5)
    assert (clock.now(), clock.wall()) == (7.5, 1002.5)
    with pytest.raises(ValueError, match="time does not go back"):
        clock.advance(-1)


def test_a_thread_that_waits_is_woken_when_time_is_moved_by_hand():
    with virtual_time() as clock:

        def waiting():
            return clock.wait(threading.Event(), 30.0)

        with clock.working():  # somebody works, so nothing jumps
            found = run_threads(waiting, lambda: clock.advance(30.0))
    assert found[0] is False


def test_a_loop_without_a_selector_is_refused():
    class Loop:
        pass

    with pytest.raises(TypeError, match="needs a selector event loop, not Loop"):
        VirtualClock().adopt(Loop())  # type: ignore[arg-type]


@pytest.fixture
def registry():
    """The default registry with one open circuit, one half-empty bucket and some counts in it."""
    with seawall.default_registry.isolated():
        breaker = CircuitBreaker(1)
        limiter = RateLimiter("1/day", burst=2)
        retry = Retry(2, backoff=Constant(base=0.0))
        pipeline = Pipeline("kept", Fallback(0), retry, breaker, limiter, Bulkhead(1), Timeout(9.0, mode="thread"))
        pipeline.call(int, "1")
        pipeline.call(int, "x")
        yield seawall.default_registry


def same(snapshot):
    """A snapshot without what moves with real time."""
    data = snapshot.as_json()
    for policy in data["policies"]:
        policy["gauges"].pop("retry_after", None)
        policy["gauges"].pop("tokens", None)
        policy["details"].pop("since", None)
    data.pop("taken_at")
    return data


def test_objects_of_the_default_registry_start_afresh_and_return_to_where_they_were(registry):
    """R-FI2"""
    before = same(registry.snapshot())
    with virtual_time() as clock:
        breaker = registry.circuit("kept")
        assert breaker.state == "closed"
        assert breaker.clock is clock
        fresh = registry.snapshot()
        assert {sum(p.counters.values()) for p in fresh.policies} == {0}
        assert {sum(p.counters.values()) for p in fresh.pipelines} == {0}
        assert {sum(h.counts) for p in fresh.policies for h in p.histograms.values()} == {0}
        for _ in range(3):
            registry.pipeline("kept").call(int, "x")
        clock.sleep(1000)
    assert not isinstance(registry.circuit("kept").clock, VirtualClock)
    assert registry.circuit("kept").state == "open"
    assert same(registry.snapshot()) == before


def test_a_pipeline_of_no_registry_is_moved_with_all_its_policies():
    """R-FI2"""
    pipeline = Pipeline("lone", *hourly(), CircuitBreaker(100), Timeout(5.0, mode="thread"), registry=None)
    with virtual_time(pipeline) as clock:
        assert all(policy.clock is clock for policy in pipeline.policies)
        pipeline.call_outcome(Scripted([ConnectionError()]))
        assert clock.now() == 9 * 3600.0
    assert all(policy.clock is SYSTEM_CLOCK for policy in pipeline.policies)


def test_another_registry_is_moved_when_it_is_given():
    """R-FI2"""
    registry = Registry()
    pipeline = Pipeline("other", *hourly(), registry=registry)
    with virtual_time(registry) as clock:
        pipeline.call_outcome(Scripted([ConnectionError()]))
        assert clock.now() == 9 * 3600.0
        assert registry.bus.clock is clock
    assert not isinstance(registry.bus.clock, VirtualClock)


def test_a_function_under_one_policy_alone_is_moved_like_any_other():
    """R-FI2"""
    with seawall.default_registry.isolated():

        @Timeout(5.0, mode="thread", name="alone")
        def slow():
            clock.sleep(4.0)
            return "in time"

        with virtual_time() as clock:
            assert slow() == "in time"
            assert clock.now() == 4.0


def test_a_scenario_runs_sync_and_async_and_must_give_the_same():
    """R-FI2"""

    def scenario(driven):
        dependency = Scripted([ConnectionError(), (2.0, "there")])
        return driven.call(dependency), dependency.calls, driven.pipeline.clock.now()

    policies = lambda: [Retry(2, backoff=Constant(base=1.0, jitter="none"))]  # noqa: E731
    assert run_both(policies, scenario) == ("there", 2, 3.0)
    with pytest.raises(AssertionError, match="sync gave 'sync', async gave 'async'"):
        run_both(policies, lambda driven: driven.colour)


def test_a_scripted_dependency_repeats_its_last_entry_for_ever():
    async def calls():
        return [await scripted.acall() for _ in range(3)]

    with virtual_time() as clock:
        scripted = Scripted([(1.0, "a"), "b"])
        assert run_async(calls()) == ["a", "b", "b"]
        assert clock.now() == pytest.approx(1.0)
        with pytest.raises(KeyError):
            Scripted([KeyError])()


def test_a_recorder_hears_only_inside_its_block():
    with seawall.default_registry.isolated(), Recorder() as recorder:
        breaker = CircuitBreaker(1)
        Pipeline("p", breaker)
        breaker.trip()
    breaker.reset()
    assert recorder.names() == ["CircuitOpened"]


def test_run_threads_gives_back_what_was_raised():
    with virtual_time():
        values = run_threads(lambda: 1, lambda: int("x"))
    assert values[0] == 1
    assert isinstance(values[1], ValueError)


def test_run_async_is_plain_asyncio_outside_of_virtual_time():
    async def nothing():
        await asyncio.sleep(0)
        return 3

    assert run_async(nothing()) == 3
    assert run_threads(lambda: 4) == [4]


def test_seeded_jitter_repeats():
    def delays(seed):
        with virtual_time() as clock:
            moments = []

            def failing():
                moments.append(clock.now())
                raise ConnectionError

            Pipeline("p", Retry(5, chance=seeded_chance(seed)), registry=None).call_outcome(failing)
            return moments

    assert delays(7) == delays(7)
    assert delays(7) != delays(8)


def test_an_unknown_circuit_or_pipeline_names_the_known_ones(registry):
    """R-PL2"""
    with pytest.raises(ConfigurationError, match=r'No circuit is named "x". Known: kept'):
        registry.circuit("x")
    with pytest.raises(ConfigurationError, match=r'No pipeline is named "x". Known: kept'):
        registry.pipeline("x")


@pytest.mark.alone
@pytest.mark.parametrize("colour", ["threads", "tasks"])
def test_two_retries_of_ten_attempts_an_hour_apart_take_under_fifty_milliseconds(colour):
    """R-FI2: side by side, and nothing is patched. The best of five, as the machine may be busy."""
    took = []
    for _ in range(5):
        with virtual_time() as clock:
            pipelines = [Pipeline(f"p{number}", *hourly(), registry=None) for number in range(2)]
            began = time.perf_counter()
            if colour == "threads":
                work = [lambda p=p: p.call_outcome(Scripted([ConnectionError()])) for p in pipelines]
                outcomes = run_threads(*work)
            else:

                async def both(pipelines=pipelines):
                    calls = [p.acall_outcome(Scripted([ConnectionError()]).acall) for p in pipelines]
                    return await asyncio.gather(*calls)

                outcomes = run_async(both())
            took.append(time.perf_counter() - began)
            assert [getattr(outcome, "attempts", 0) for outcome in outcomes] == [10, 10]
            assert clock.now() == 9 * 3600.0
    assert min(took) < 0.05
