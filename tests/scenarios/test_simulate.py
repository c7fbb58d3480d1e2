"""What a recording says of other settings is what those settings would have done."""

import json
import threading

import pytest

from seawall import CircuitBreaker, ConfigurationError, Manager, Pipeline, Registry, Retry, Timeout
from seawall.backoff import Constant
from seawall.core.clock import SYSTEM_CLOCK
from seawall.pipeline.recording_file import read_recording
from seawall.pipeline.simulate import simulate
from seawall.testing import run_async, virtual_time

PER_SECOND = 10
DOWN = (10.0, 25.0)  # the dependency is down between these seconds
LONG = 60.0


def policies(threshold, attempts=1):
    retry = [Retry(attempts, backoff=Constant(base=0.2, jitter="none"), budget=None)] if attempts > 1 else []
    return [*retry, CircuitBreaker(threshold, recovery_timeout=5.0, success_threshold=1)]


def outage(path, threshold):
    """A program that calls ten times a second for a minute, through an outage of fifteen seconds; it is recorded."""
    with virtual_time() as clock:
        manager = Manager()
        pipeline = manager.add("db", *policies(threshold))

        def dependency():
            clock.wait(threading.Event(), clock.now() + 0.01)
            if DOWN[0] <= clock.now() < DOWN[1]:
                raise ConnectionError

        with manager.record(path):
            for number in range(int(LONG * PER_SECOND)):
                clock.wait(threading.Event(), number / PER_SECOND)
                pipeline.call_outcome(dependency)
        return pipeline.snapshot().counters


def test_a_looser_threshold_does_what_the_simulation_of_it_said(tmp_path):
    """R-PL3, R-UI3"""
    outage(tmp_path / "strict", 5)
    [said] = simulate(tmp_path / "strict", lambda: {"db": policies(50)})
    counts = outage(tmp_path / "loose", 50)
    [again] = simulate(tmp_path / "loose", lambda: {"db": policies(50)})
    assert said.candidate == again.recorded == again.candidate
    assert said.recorded != said.candidate
    assert said.candidate.answered == counts["calls.success"]
    assert sum(said.candidate.rejected.values()) == counts["calls.rejected"]
    assert said.candidate.failed == {"ConnectionError": counts["calls.failure"]}
    assert said.candidate.failed["ConnectionError"] > said.recorded.failed["ConnectionError"] + 30
    [opening] = said.candidate.openings
    assert opening.why == "50 calls in a row failed (50 × ConnectionError)"
    assert opening.at == pytest.approx(14.9, abs=0.2)
    assert opening.closed
    assert len(said.recorded.openings) == 1


def test_more_attempts_are_counted_with_their_amplification_and_waits(tmp_path):
    """R-PL3"""
    outage(tmp_path / "r", 5)
    [said] = simulate(tmp_path / "r", lambda: {"db": policies(5, attempts=3)})
    assert said.recorded.amplification == 1.0
    assert said.candidate.retries > 0
    assert said.candidate.amplification > 1.0
    assert said.candidate.waited >= 0.2 * said.candidate.retries - 0.2


def test_an_attempt_that_was_cut_never_answers_a_candidate_that_is_more_patient(tmp_path):
    """R-PL3"""
    with virtual_time() as clock:
        manager = Manager()
        pipeline = manager.add("db", Timeout(1.0))

        async def slow():
            await clock_sleep(clock, 3.0)

        with manager.record(tmp_path / "r"):
            run_async(pipeline.acall_outcome(slow))
    [patient] = simulate(tmp_path / "r", lambda: {"db": [Timeout(10.0)]})
    assert sum(patient.candidate.failed.values()) == 1
    assert patient.candidate.p99 == 10.0
    [bare] = simulate(tmp_path / "r", lambda: {"db": [CircuitBreaker(3)]})
    assert bare.candidate.p99 == 1.0, "without a limit it fails after the time that was recorded"


async def clock_sleep(clock, seconds):
    from seawall.drive.replay import wait_until

    await wait_until(clock, clock.now() + seconds)


def test_two_runs_of_one_simulation_agree_though_its_backoff_jitters(tmp_path):
    """R-PL3"""
    outage(tmp_path / "r", 5)
    data = read_recording(tmp_path / "r")
    found = [simulate(data, lambda: {"db": [Retry(3), CircuitBreaker(20)]}) for _ in range(2)]
    assert found[0] == found[1]


def test_ten_thousand_calls_take_seconds(tmp_path):
    """R-PL3"""
    header = {"seawall_recording": 1, "version": "0", "wall": 1e9, "monotonic": 0.0, "pipelines": {}}
    attempt = {"at": 0.0, "took": 0.05, "verdict": "success"}
    calls = [
        {"n": n, "pipeline": "db", "at": n / 100, "took": 0.05, "attempts": [attempt], "outcome": "success"}
        for n in range(1, 10_001)
    ]
    last = {"end": "stopped", "lines": 10_000, "dropped": 0}
    (tmp_path / "r").write_text("".join(json.dumps(line) + "\n" for line in (header, *calls, last)))
    began = SYSTEM_CLOCK.now()
    [said] = simulate(tmp_path / "r", lambda: {"db": [Retry(3), CircuitBreaker(5), Timeout(1.0)]})
    took = SYSTEM_CLOCK.now() - began
    print(f"10,000 calls simulated in {took:.2f} s")  # noqa: T201 - the figure is wanted
    assert said.candidate.answered == 10_000
    assert took < 20.0


@pytest.mark.parametrize(
    "spoil, says",
    [
        (lambda lines: lines[:-1], "was cut short after this line"),
        (lambda lines: [*lines[:-1], lines[-1][:10]], "is no line of JSON: the recording was cut short here"),
        (lambda lines: [*lines[:3], *lines[4:]], "has gaps: 0 of 4 lines were dropped"),
        (lambda lines: [lines[0].replace('"seawall_recording":1', '"seawall_recording":2'), *lines[1:]],
         ":1: is of version 2 and this seawall reads version 1"),
        (lambda lines: lines[1:], ":1: is no recording"),
        (lambda lines: [*lines[:-1], lines[-1].replace("stopped", "full")], "reached its max_bytes"),
        (lambda lines: [*lines[:-1], lines[-1].replace('"dropped":0', '"dropped":1')], "has gaps: 1 of 4"),
        (lambda lines: [lines[0], lines[1].replace('"took"', '"tock"'), *lines[2:]], ":2: is no call of a recording"),
        (lambda lines: [], ":1: is no recording"),
    ],
)  # fmt: skip
def test_a_recording_that_is_not_whole_is_refused_with_place_and_remedy(spoil, says, tmp_path):
    """R-PL3"""
    with virtual_time():
        manager = Manager()
        pipeline = manager.add("db", CircuitBreaker(9))
        with manager.record(tmp_path / "r"):
            for _ in range(4):
                pipeline.call(int)
    lines = (tmp_path / "r").read_text().splitlines()
    (tmp_path / "r").write_text("\n".join(spoil(lines)))
    with pytest.raises(ConfigurationError) as caught:
        simulate(tmp_path / "r", lambda: {"db": [CircuitBreaker(9)]})
    assert says in str(caught.value)
    assert "ecord" in str(caught.value).partition(says)[2] + says


@pytest.mark.parametrize(
    "pipeline, says",
    [("cache", 'the recording has no pipeline "cache"; it has db'), (None, "have no pipeline in common")],
)
def test_a_pipeline_that_one_of_them_lacks_is_named(pipeline, says, tmp_path):
    """R-PL3"""
    outage(tmp_path / "r", 5)
    with pytest.raises(ConfigurationError, match=says):
        simulate(tmp_path / "r", lambda: {"other": [CircuitBreaker(9)]}, pipeline)


def test_a_simulation_logs_nothing_and_leaves_other_registries_alone(tmp_path, caplog):
    """R-PL3"""
    outage(tmp_path / "r", 5)
    caplog.clear()
    registry = Registry()
    Pipeline("db", CircuitBreaker(3), registry=registry)
    simulate(tmp_path / "r", lambda: {"db": policies(5)})
    assert caplog.records == []
    assert len(registry.bus.journal) == 0
