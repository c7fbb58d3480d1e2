"""The program's end of the link, on its own."""

import threading
from pathlib import Path

import pytest

from seawall.core.chance import seeded_chance
from seawall.pipeline.registry import Registry
from seawall.report.link import Link, start


def test_without_a_socket_no_thread_is_started(monkeypatch):
    monkeypatch.delenv("SEAWALL_SOCKET", raising=False)
    before = threading.active_count()
    link = start(Registry())
    assert link.path is None
    assert threading.active_count() == before
    link.stop()


def test_a_second_start_gives_the_link_there_is(tmp_path):
    registry = Registry()
    first = start(registry, tmp_path / "s")
    assert start(registry, str(tmp_path / "s")) is first
    other = start(registry, tmp_path / "t")
    assert other is not first
    other.stop()
    assert start(registry, tmp_path / "t") is not other
    start(registry, tmp_path / "t").stop()


def test_stop_ends_the_thread_and_gives_the_descriptors_back(tmp_path):
    registry = Registry()
    before = len(list(Path("/dev/fd").iterdir()))
    link = Link(registry, tmp_path / "none", program="p", chance=seeded_chance(1))
    link.stop(5.0)
    assert link._thread is not None
    assert not link._thread.is_alive()
    assert len(list(Path("/dev/fd").iterdir())) == before
    assert link.errors == 0


def test_a_path_that_is_too_long_harms_nobody(tmp_path):
    link = Link(Registry(), tmp_path / ("x" * 200), program="p")
    while not link.last_error:
        pass
    assert "too long" in link.last_error
    link.stop(5.0)


def test_a_system_without_threads_to_give_leaves_the_program_alone(monkeypatch, tmp_path):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    link = start(Registry(), tmp_path / "s")
    assert "can't start new thread" in link.last_error
    link.stop()


@pytest.mark.parametrize(
    "message, says",
    [
        ({"type": "force"}, "'name' is no text"),
        ({"type": "force", "name": "c", "owner": "o", "reason": "r", "state": "x"}, "no state 'x'"),
        (
            {"type": "force", "name": "c", "owner": "o", "reason": "r", "state": "open", "expires_in": 5, "sent_at": 1},
            "it had expired before it arrived",
        ),
        (
            {"type": "force", "name": "c", "owner": "o", "reason": "r", "state": "open", "expires_in": None},
            "No circuit is named",
        ),
        ({"type": "release", "name": "c", "owner": "o", "reason": "r"}, "No circuit is named"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_answered_with_why(message, says):
    assert says in Link(Registry(), None, program="p")._command(message)
