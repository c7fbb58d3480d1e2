"""A program goes away in order: nothing new, what runs may end, what runs beside it is stopped."""

import threading

import pytest

from seawall import (
    CircuitBreaker,
    ConfigurationError,
    Fallback,
    Manager,
    Retry,
    ShuttingDownError,
)
from seawall.backoff import Constant
from seawall.testing import Scripted, run_async, run_threads, virtual_time


def made(*policies):
    manager = Manager()
    return manager, manager.add("db", *(policies or (CircuitBreaker(9),)))


def test_new_calls_are_refused_with_the_reason_and_an_id():
    """R-PL2, R-PL4"""
    with virtual_time():
        manager, pipeline = made(Fallback("x"), CircuitBreaker(9))
        assert manager.shutdown() == {}
        with pytest.raises(ShuttingDownError, match="the program is shutting down; nothing was sent") as caught:
            pipeline.call(int)
        explained = manager.explain(caught.value.id)
        assert pipeline.snapshot().counters["calls.rejected"] == 1
    assert explained.found


@pytest.mark.parametrize("form", ["call", "acall", "permit", "attempts", "stream"])
def test_every_way_of_calling_is_refused(form):
    """R-PL2"""
    with virtual_time():
        manager = Manager()
        pipeline = manager.add("db", Retry(2)) if form == "attempts" else manager.add("db", CircuitBreaker(9))
        manager.shutdown()

        async def fetch():
            return 1

        def use():
            if form == "call":
                pipeline.call(int)
            elif form == "acall":
                run_async(pipeline.acall(fetch))
            elif form == "permit":
                with pipeline.permit():
                    pass
            elif form == "attempts":
                for attempt in pipeline.attempts():
                    with attempt:
                        pass
            else:
                list(pipeline.stream(lambda: iter((1, 2))))

        with pytest.raises(ShuttingDownError):
            use()


def test_calls_in_flight_are_waited_for_and_sleeping_retries_are_not():
    """R-PL2"""
    with virtual_time() as clock:
        manager, pipeline = made(Retry(3, backoff=Constant(base=60.0, jitter="none", cap=60.0)), CircuitBreaker(9))
        begun = threading.Event()

        def busy():
            begun.set()
            return Scripted([(4.0, "done")])()

        def shut():
            clock.wait(begun, None)
            clock.wait(threading.Event(), 1.0)
            return manager.shutdown(timeout=30.0), clock.now()

        results = run_threads(
            lambda: pipeline.call(busy),
            lambda: type(pipeline.call_outcome(Scripted([ConnectionError])).error).__name__,
            shut,
        )
    assert results == ["done", "ConnectionError", ({}, 4.0)]


def test_what_has_not_ended_in_time_is_named_with_its_number():
    """R-PL2"""
    with virtual_time() as clock:
        manager, pipeline = made()
        begun = threading.Event()

        def busy():
            begun.set()
            return Scripted([(100.0, "done")])()

        def shut():
            clock.wait(begun, None)
            first = manager.shutdown(timeout=5.0), clock.now()
            return first, manager.shutdown(timeout=0), clock.now()

        _, found = run_threads(lambda: pipeline.call(busy), shut)
        assert found == (({"db": 1}, 5.0), {"db": 1}, 5.0)
        assert manager.shutdown() == {}


def test_a_recording_is_stopped_with_the_calls_that_were_in_flight_in_it(tmp_path):
    """R-PL2, R-PL3"""
    with virtual_time():
        with Manager() as manager:
            recording = manager.record(tmp_path / "r")
            manager.add("db", CircuitBreaker(9)).call(int)
        assert recording.state == "stopped"
        assert recording.written == 1
        assert manager.shutdown() == {}


def test_the_probe_of_an_open_circuit_ends():
    """R-PL2"""
    with virtual_time():
        breaker = CircuitBreaker(1, probe=lambda: True)
        manager, pipeline = made(breaker)
        pipeline.call_outcome(Scripted([ConnectionError]))
        manager.shutdown()
        assert breaker._prober is not None
        assert breaker._prober._stopped


def test_in_coroutines_the_loop_goes_on_so_that_calls_can_end():
    """R-PL2"""
    with virtual_time() as clock:

        async def program():
            import asyncio

            async with Manager() as manager:
                pipeline = manager.add("db", CircuitBreaker(9))
                task = asyncio.get_running_loop().create_task(pipeline.acall(Scripted([(2.0, "done")]).acall))
                while not pipeline._judge.running():
                    turn = asyncio.get_running_loop().create_future()
                    asyncio.get_running_loop().call_soon(turn.set_result, None)
                    await turn
            return task.result(), clock.now()

        assert run_async(program()) == ("done", 2.0)


@pytest.mark.parametrize("timeout", [-1.0, float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout):
    with pytest.raises(ConfigurationError, match=r"shutdown\.timeout"):
        Manager().shutdown(timeout)
