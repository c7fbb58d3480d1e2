"""A circuit that is tried by a timer: it closes without traffic, and its thread goes when it does."""

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from seawall import CircuitBreaker, CircuitOpenError, Pipeline
from seawall.core.snapshot import PolicySnapshot
from seawall.testing import VirtualClock, run_async, run_threads, virtual_time


def probing() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("seawall-probe")]


def gone(seconds: float = 5.0) -> bool:
    """Whether no thread of a probe is left, within a real time."""
    end = time.monotonic() + seconds
    while probing() and time.monotonic() < end:
        time.sleep(0.005)
    return not probing()


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert gone(), probing()


def told(clock: VirtualClock, breaker: CircuitBreaker, *looks: float) -> dict[float, str]:
    """Trip at 0 and read the state at these moments, with no other traffic."""
    found: dict[float, str] = {}

    def story() -> None:
        breaker.trip()
        at = 0.0
        for at in looks:
            clock.sleep(at - clock.now())
            found[at] = breaker.state
        if found[at] != "closed":
            breaker.reset()  # here, as time may jump on to the next probe once this thread has ended

    for end in run_threads(story):
        assert end is None, end
    return found


def scripted(clock: VirtualClock, *ends: Any) -> tuple[Callable[[], Any], list[float]]:
    """A probe that ends in turn as the list says, and when it was called."""
    calls: list[float] = []
    left = list(ends)

    def probe() -> Any:
        calls.append(clock.now())
        end = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(end, BaseException):
            raise end
        return end

    return probe, calls


def test_a_probe_closes_the_circuit_without_traffic():
    """R-CB3"""
    with virtual_time() as clock:
        probe, calls = scripted(clock, True)
        breaker = CircuitBreaker(1, recovery_timeout=10.0, success_threshold=2, probe=probe)
        assert told(clock, breaker, 9.5, 10.5) == {9.5: "open", 10.5: "closed"}
        assert calls == [10.0, 10.0]
        assert gone()


def test_a_probe_that_fails_opens_the_circuit_for_another_period():
    """R-CB3"""
    with virtual_time() as clock:
        probe, calls = scripted(clock, ConnectionError("still down"), False, True)
        breaker = CircuitBreaker(1, recovery_timeout=10.0, growth=2.0, success_threshold=1, probe=probe)
        found = told(clock, breaker, 10.5, 29.5, 30.5, 69.5, 70.5)
        assert found == {10.5: "open", 29.5: "open", 30.5: "open", 69.5: "open", 70.5: "closed"}
        assert calls == [10.0, 30.0, 70.0]


def test_a_probe_counts_like_any_trial_and_its_failure_is_evidence():
    """R-CB3 R-CB5"""
    with virtual_time() as clock:
        probe, _ = scripted(clock, ConnectionError("secret"))
        breaker = CircuitBreaker(1, recovery_timeout=10.0, probe=probe, name="d")

        def story() -> PolicySnapshot:
            breaker.trip()
            clock.sleep(10.5)
            snapshot = breaker.snapshot()
            breaker.reset()
            return snapshot

        [snapshot] = run_threads(story)
        assert isinstance(snapshot, PolicySnapshot)
        assert snapshot.counters["requests.failure"] == 1
        assert snapshot.details["reason"] == "a trial call failed (1 × ConnectionError)"


def test_a_probe_that_hangs_has_failed_after_its_timeout_and_is_not_started_twice():
    """R-CB3"""
    with virtual_time() as clock:
        calls: list[float] = []

        def probe() -> bool:
            calls.append(clock.now())
            clock.sleep(100.0)
            return True

        breaker = CircuitBreaker(1, recovery_timeout=10.0, success_threshold=1, probe=probe, probe_timeout=5.0)
        found = told(clock, breaker, 14.5, 15.5, 25.5, 109.0)
        assert found == {14.5: "half-open", 15.5: "open", 25.5: "open", 109.0: "open"}
        assert calls == [10.0]


def test_traffic_that_closes_the_circuit_ends_the_thread():
    """R-CB3"""
    with virtual_time() as clock:
        probe, calls = scripted(clock, True)
        breaker = CircuitBreaker(1, recovery_timeout=10.0, success_threshold=1, probe=probe)
        pipeline = Pipeline("d", breaker, registry=None)

        def story() -> None:
            breaker.trip()
            assert probing() == ["seawall-probe-d"]
            clock.sleep(5.0)
            breaker.half_open()
            pipeline.call(int)
            assert breaker.state == "closed"
            assert gone()
            clock.sleep(20.0)

        assert run_threads(story) == [None]
        assert calls == []


def test_no_thread_is_there_before_the_circuit_opens():
    """R-CB3"""
    with virtual_time():
        breaker = CircuitBreaker(1, probe=lambda: True)
        Pipeline("d", breaker, registry=None).call(int)
        assert probing() == []


def test_a_circuit_that_opens_again_is_probed_again():
    """R-CB3"""
    with virtual_time() as clock:
        probe, calls = scripted(clock, True)
        breaker = CircuitBreaker(1, recovery_timeout=10.0, success_threshold=1, probe=probe)
        told(clock, breaker, 10.5)
        assert gone()
        told(clock, breaker, 30.5)
        assert calls == [10.0, 20.5]


def test_a_pin_without_an_end_stops_the_probes_and_its_release_starts_them():
    """R-CB1 R-CB3"""
    with virtual_time() as clock:
        probe, calls = scripted(clock, True)
        breaker = CircuitBreaker(1, recovery_timeout=10.0, success_threshold=1, probe=probe)

        def story() -> None:
            breaker.trip()
            breaker.force("open", owner="mia", reason="drill", expires_in=None)
            assert gone()
            clock.sleep(100.0)
            breaker.release()
            clock.sleep(0.5)
            assert breaker.state == "closed"

        assert run_threads(story) == [None]
        assert calls == [100.0]


def test_the_trial_of_a_probe_takes_a_place():
    """R-CB4"""
    with virtual_time() as clock:

        def probe() -> bool:
            clock.sleep(2.0)
            return True

        breaker = CircuitBreaker(1, recovery_timeout=10.0, half_open_max_calls=1, success_threshold=1, probe=probe)
        pipeline = Pipeline("d", breaker, registry=None)

        def story() -> None:
            breaker.trip()
            clock.sleep(11.0)
            with pytest.raises(CircuitOpenError) as refusal:
                pipeline.call(int)
            assert refusal.value.evidence["reason"] == "trials_busy"
            clock.sleep(2.0)
            assert pipeline.call(int) == 0

        assert run_threads(story) == [None]


def test_a_coroutine_probe_runs_in_the_loop_in_which_the_circuit_opened():
    """R-CB3"""
    with virtual_time() as clock, clock.working():
        loops: list[Any] = []

        async def probe() -> bool:
            loops.append(asyncio.get_running_loop())
            await asyncio.sleep(1.0)
            return True

        breaker = CircuitBreaker(1, recovery_timeout=10.0, success_threshold=1, probe=probe)

        async def story() -> list[str]:
            loops.append(asyncio.get_running_loop())
            breaker.trip()
            found = []
            for wait in (10.5, 1.0):
                await asyncio.sleep(wait)
                found.append(breaker.state)
            return found

        assert run_async(story()) == ["half-open", "closed"]
        assert loops[0] is loops[1]


def test_a_coroutine_probe_that_hangs_is_cancelled_after_its_timeout():
    """R-CB3"""
    with virtual_time() as clock, clock.working():
        ends: list[str] = []

        async def probe() -> None:
            try:
                await asyncio.sleep(1000.0)
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        breaker = CircuitBreaker(1, recovery_timeout=10.0, probe=probe, probe_timeout=2.0)

        async def story() -> str:
            breaker.trip()
            await asyncio.sleep(13.0)
            state = breaker.state
            breaker.reset()
            return state

        assert run_async(story()) == "open"
        assert ends == ["cancelled"]


def test_a_coroutine_probe_without_a_loop_gets_one_of_its_own():
    """R-CB3"""
    with virtual_time() as clock:

        async def probe() -> bool:
            return True

        breaker = CircuitBreaker(1, recovery_timeout=10.0, success_threshold=1, probe=probe)
        assert told(clock, breaker, 10.5) == {10.5: "closed"}


def test_a_breaker_that_nobody_holds_is_not_probed():
    """R-CB3"""
    calls = []
    breaker = CircuitBreaker(1, recovery_timeout=0.2, probe=lambda: calls.append(1))
    breaker.trip()
    assert probing()
    del breaker
    gc.collect()
    assert gone()
    assert calls == []


def test_virtual_time_ends_the_thread_of_its_block():
    """R-CB3"""
    breaker = CircuitBreaker(1, probe=lambda: True)
    with virtual_time(breaker) as clock:

        def story() -> None:
            breaker.trip()
            assert probing()
            clock.sleep(1.0)

        assert run_threads(story) == [None]
    assert gone()
    assert breaker.state == "closed"


def test_after_a_block_of_virtual_time_the_probes_go_on():
    """R-CB3"""
    breaker = CircuitBreaker(1, recovery_timeout=0.3, success_threshold=1, probe=lambda: True)
    breaker.trip()
    with virtual_time(breaker):
        assert breaker.state == "closed"
        assert gone()
    assert probing()
    end = time.monotonic() + 5.0
    while breaker.state != "closed" and time.monotonic() < end:
        time.sleep(0.01)
    assert breaker.state == "closed"


def test_a_call_does_not_suffer_when_no_thread_can_be_started(monkeypatch):
    """R-CB3"""

    def refusing(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refusing)
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, recovery_timeout=10.0, success_threshold=1, probe=lambda: True)
        breaker.trip()
        clock.advance(10.0)
        assert Pipeline("d", breaker, registry=None).call(int) == 0
        assert breaker.state == "closed"


def test_a_circuit_that_opens_and_closes_all_the_time_is_never_left_without_its_timer():
    """R-CB3"""
    breaker = CircuitBreaker(1, recovery_timeout=0.05, success_threshold=1, probe=lambda: True)

    def flapping() -> None:
        for _ in range(300):
            breaker.trip()
            breaker.reset()

    run_threads(*[flapping] * 4)
    breaker.trip()
    end = time.monotonic() + 5.0
    while breaker.state != "closed" and time.monotonic() < end:
        time.sleep(0.01)
    assert breaker.state == "closed"


def test_a_coroutine_probe_goes_on_when_the_loop_in_which_the_circuit_opened_is_gone():
    """R-CB3"""
    with virtual_time() as clock:
        loops: list[Any] = []

        async def probe() -> bool:
            loops.append(asyncio.get_running_loop())
            return True

        breaker = CircuitBreaker(1, recovery_timeout=10.0, success_threshold=1, probe=probe)

        async def opening() -> Any:
            breaker.trip()
            return asyncio.get_running_loop()

        gone_loop = run_async(opening())
        clock.sleep(10.5)
        assert breaker.state == "closed"
        assert loops != [gone_loop]


def test_a_probe_that_dies_gives_its_place_back_and_traffic_closes_the_circuit():
    """R-CB3 R-CB5"""
    with virtual_time() as clock:
        probe, calls = scripted(clock, SystemExit("the worker ends"))
        breaker = CircuitBreaker(1, recovery_timeout=10.0, half_open_max_calls=1, success_threshold=1, probe=probe)
        pipeline = Pipeline("d", breaker, registry=None)

        def story() -> None:
            breaker.trip()
            clock.sleep(10.05)
            assert calls == [10.0]
            assert breaker.state == "half-open"
            assert pipeline.call(int) == 0
            assert breaker.state == "closed"

        assert run_threads(story) == [None]
