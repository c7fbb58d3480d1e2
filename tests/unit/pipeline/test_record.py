"""A recording holds every call, and nothing that could be a secret; it never gets in a call's way."""

import json
import logging
import os
import stat
import threading

import pytest

from seawall import (
    Bulkhead,
    CircuitBreaker,
    ConfigurationError,
    Fallback,
    Manager,
    RateLimiter,
    Retry,
    Timeout,
)  # fmt: skip
from seawall.backoff import Constant
from seawall.core.clock import SYSTEM_CLOCK
from seawall.testing import Scripted, run_async, virtual_time


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def pause(base=1.0):
    return Retry(3, backoff=Constant(base=base, jitter="none"))


def test_a_call_is_kept_with_its_attempts_and_waits(tmp_path):
    """R-PL3"""
    with virtual_time() as clock:
        manager = Manager()
        pipeline = manager.add("db", pause(), CircuitBreaker(9))
        with manager.record(tmp_path / "r") as recording:
            clock.advance(2.0)
            pipeline.call(Scripted([(0.5, ConnectionError("secret")), (0.25, "fine")]), "secret")
    header, call, last = lines(tmp_path / "r")
    assert (header["seawall_recording"], header["monotonic"]) == (1, 0.0)
    assert [one["kind"] for one in header["pipelines"]["db"]] == ["retry", "circuit_breaker"]
    assert (call["n"], call["pipeline"], call["at"], call["took"], call["wait"]) == (1, "db", 2.0, 1.75, 0.0)
    assert call["wall"] == header["wall"] + 2.0
    assert call["attempts"] == [
        {"at": 0.0, "took": 0.5, "verdict": "failure", "cause": "ConnectionError"},
        {"at": 1.5, "took": 0.25, "verdict": "success"},
    ]
    assert call["outcome"] == "success"
    assert last == {"end": "stopped", "lines": 1, "dropped": 0}
    assert (recording.state, recording.written, recording.dropped) == ("stopped", 1, 0)
    assert "secret" not in (tmp_path / "r").read_text()
    assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == 0o600


def test_refusals_fallbacks_and_moves_of_circuits_are_kept(tmp_path):
    """R-PL3"""
    with virtual_time():
        manager = Manager()
        safe = manager.add("safe", Fallback("x"), CircuitBreaker(1, name="one"))
        bare = manager.add("bare", RateLimiter("1/second", burst=1))
        with manager.record(tmp_path / "r"):
            safe.call(Scripted([ConnectionError]))
            safe.call(int)
            bare.call(int)
            bare.call_outcome(int)
    told = [line for line in lines(tmp_path / "r")[1:-1] if "pipeline" in line]
    assert [(line["outcome"], line.get("cause"), line.get("refused", False)) for line in told] == [
        ("degraded", "ConnectionError", False),
        ("degraded", "circuit_breaker:open", True),
        ("success", None, False),
        ("rejected", "rate_limiter:empty", True),
    ]
    [move] = [line for line in lines(tmp_path / "r")[1:-1] if "circuit" in line]
    assert (move["circuit"], move["to"], move["why"]) == ("one", "CircuitOpened", "a call failed (1 × ConnectionError)")


def test_keys_are_hashed_anew_for_every_recording(tmp_path):
    """R-PL3"""
    found = []
    for name in ("a", "b"):
        with virtual_time():
            manager = Manager()
            pipeline = manager.add("db", Bulkhead(1, key=lambda tenant: tenant))
            with manager.record(tmp_path / name):
                for tenant in ("ann@example.org", "ann@example.org", "bob"):
                    pipeline.call(lambda who: who, tenant)
        found.append([line["key"] for line in lines(tmp_path / name)[1:-1]])
        assert "ann" not in (tmp_path / name).read_text()
    assert all(keys[0] == keys[1] != keys[2] for keys in found)
    assert found[0][0] != found[1][0]


def test_an_attempt_that_was_cut_is_marked(tmp_path):
    """R-PL3"""
    with virtual_time():
        manager = Manager()
        pipeline = manager.add("db", Timeout(1.0, mode="thread"))
        with manager.record(tmp_path / "r"):
            pipeline.call_outcome(Scripted([(5.0, "late")]))
            run_async(pipeline.acall_outcome(Scripted([(5.0, "late")]).acall))
    for call in lines(tmp_path / "r")[1:-1]:
        [attempt] = call["attempts"]
        assert (call["outcome"], attempt["took"], attempt["cut"]) == ("failure", 1.0, True)


def test_the_length_is_kept_and_the_end_is_told(tmp_path):
    """R-PL3"""
    with virtual_time():
        manager = Manager()
        pipeline = manager.add("db", CircuitBreaker(9))
        recording = manager.record(tmp_path / "r", max_bytes=10_000)
        for _ in range(500):
            pipeline.call(int)
        recording.stop()
    assert (tmp_path / "r").stat().st_size <= 10_000
    *_, last = lines(tmp_path / "r")
    assert last["end"] == "full"
    assert last["dropped"] > 0
    assert recording.state == "full"


def test_what_a_slow_disk_cannot_take_is_dropped_and_told(tmp_path, monkeypatch):
    """R-PL3"""
    monkeypatch.setattr("seawall.pipeline.record._WAITING", 5)
    gate = threading.Event()
    write = os.write

    def slow(file, data):
        gate.wait(10)
        return write(file, data)

    manager = Manager()
    pipeline = manager.add("db", CircuitBreaker(9))
    recording = manager.record(tmp_path / "r")
    monkeypatch.setattr(os, "write", slow)
    began = SYSTEM_CLOCK.now()
    for _ in range(100):
        pipeline.call(int)
    took = SYSTEM_CLOCK.now() - began
    gate.set()
    recording.stop()
    assert took < 1.0, "no call waited for the disk"
    assert recording.dropped >= 80
    *told, last = lines(tmp_path / "r")
    assert last == {"end": "stopped", "lines": 100, "dropped": recording.dropped}
    assert len(told) - 1 == recording.written == 100 - recording.dropped


def test_a_full_disk_ends_the_recording_with_one_warning_and_no_call(tmp_path, monkeypatch, caplog):
    """R-PL3"""
    manager = Manager()
    pipeline = manager.add("db", CircuitBreaker(9))
    recording = manager.record(tmp_path / "r")

    def full(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with caplog.at_level(logging.WARNING, "seawall"):
        assert pipeline.call(int) == 0
        recording._thread.join(10)
        assert pipeline.call(int) == 0
    recording.stop()
    [said] = [one.getMessage() for one in caplog.records if "Recording" in one.getMessage()]
    assert said.startswith(f'Recording to "{tmp_path / "r"}" ended: No space left on device. Calls go on as before;')
    assert recording.state == "failed"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_child_of_a_fork_writes_nothing_and_the_parent_goes_on(tmp_path):
    """R-PL3"""
    manager = Manager()
    pipeline = manager.add("db", CircuitBreaker(9))
    recording = manager.record(tmp_path / "r")
    pipeline.call(int)
    child = os.fork()
    if child == 0:
        pipeline.call(int)
        recording.stop()
        os._exit(0 if recording.state == "forked" else 1)
    assert os.waitpid(child, 0)[1] == 0
    pipeline.call(int)
    recording.stop()
    *told, last = lines(tmp_path / "r")
    assert [line["n"] for line in told[1:]] == [1, 2]
    assert last["end"] == "stopped"


def test_a_second_recording_an_old_file_and_a_bound_too_small_are_refused(tmp_path):
    """R-PL3"""
    manager = Manager()
    (tmp_path / "old").write_text("")
    with pytest.raises(ConfigurationError, match="exists already"):
        manager.record(tmp_path / "old")
    with pytest.raises(ConfigurationError, match="max_bytes"):
        manager.record(tmp_path / "small", max_bytes=9_999)
    with pytest.raises(ConfigurationError, match="cannot be made"):
        manager.record(tmp_path / "nowhere" / "r")
    running = pytest.raises(ConfigurationError, match="another recording is running")
    with manager.record(tmp_path / "one") as recording, running:
        manager.record(tmp_path / "two")
    recording.stop()
    with manager.record(tmp_path / "two"):
        pass


def test_without_a_recording_a_call_keeps_nothing_of_its_attempts():
    """R-PL3"""
    with virtual_time():
        manager = Manager()
        pipeline = manager.add("db", CircuitBreaker(9))
        call = pipeline._made(int, (), {})
        pipeline._run(call)
    assert (call.log, call.mark, call.asked) == (None, None, None)
