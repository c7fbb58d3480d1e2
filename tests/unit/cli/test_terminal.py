"""Lines for people: bounded, never waited for, coloured only where it is welcome."""

import io
import os
import threading

import pytest

from seawall.cli.show import Json, Plain
from seawall.cli.terminal import Writer, paint, wants_colour
from seawall.daemon.audience import Facts
from seawall.daemon.summary import CircuitLine, PipelineLine, Summary
from seawall.events.journal import Entry
from seawall.events.types import CheckChanged, CircuitOpened
from seawall.events.words import describe

EVIDENCE = {"rule": "consecutive_failures", "failures": 5, "causes": {}}
OPENED = CircuitOpened(1, 0.0, "payments", "tripped", 30.0, EVIDENCE)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


class Lines:
    """Collects what a `Writer` would write."""

    def __init__(self):
        self.stdout: list[str] = []
        self.stderr: list[str] = []

    def out(self, text: str) -> None:
        self.stdout.append(text)

    def err(self, text: str) -> None:
        self.stderr.append(text)


def test_colour_is_for_terminals_whose_user_has_not_refused_it(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_colour(Terminal())
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Terminal())
    assert paint("x", "red", colour=True) == "\x1b[31mx\x1b[0m"
    assert paint("x", "red", colour=False) == "x"


def test_a_reader_that_stops_reading_holds_up_nobody(monkeypatch):
    """A paused terminal or pager must not hold up the daemon: lines are left out, and it is said how many."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", buffering=1) as stream:
        monkeypatch.setattr("sys.stdout", stream)
        writer = Writer()
        for number in range(10_000):
            writer.out(f"{number} " + "x" * 100)  # a pipe holds 64 kB, and nobody reads
        received = bytearray()
        reader = threading.Thread(target=lambda: received.extend(_drain(reading)))
        reader.start()
        writer.out("last")
        writer.close()
    reader.join(10)
    os.close(reading)
    assert received.startswith(b"0 xxx")
    assert 1000 < received.count(b"\n") < 10_000


def _drain(descriptor):
    """Everything until the end."""
    while part := os.read(descriptor, 65536):
        yield from part


def test_a_stream_that_has_gone_is_no_error(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    monkeypatch.setattr("sys.stdout", stream)
    writer = Writer()
    writer.out("nobody hears this")
    writer.close()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_people_get_addresses_hints_and_events_in_the_words_of_the_journal():
    lines = Lines()
    plain = Plain(lines)
    plain.ready(
        Facts("shop", 7, "127.0.0.1:8900", (("payments", 8, ("127.0.0.1:43121",)), ("job", None, ())), ("hint",))
    )
    assert lines.stdout[0].splitlines() == [
        '"shop" runs (pid 7). Ctrl-C stops it.',
        "  page      http://127.0.0.1:8900/",
        "  health    http://127.0.0.1:8900/health",
        "  metrics   http://127.0.0.1:8900/metrics",
        "  payments  http://127.0.0.1:43121  (pid 8)",
        "  job       listens nowhere  (not running)",
        "",
        "hint",
    ]
    plain.event(Entry(0.0, "orders/12", OPENED))
    plain.event(Entry(0.0, "", CheckChanged(1, 0.0, "disk", "healthy", "critical", "full")))
    assert lines.stdout[1].endswith(f" ○ {describe(OPENED)}  [orders/12]")
    assert lines.stdout[2].endswith(' ✕ Check "disk" went from healthy to critical: full.')
    plain.progress("starting the processes", 2.04)
    plain.notice("Stopping.")
    assert lines.stderr == ["  … starting the processes, 2 s", "Stopping."]


def test_the_summary_is_a_table_of_pipelines_and_a_sentence_for_each_circuit():
    lines = Lines()
    Plain(lines).summary(
        Summary(
            30.0,
            (PipelineLine("payments", 1200, 45, 30, 2, 0.012, 0.9), PipelineLine("idle", 0, 0, 0, 0, None, None)),
            (
                CircuitLine("payments", "closed", {"closed to open": 2, "open to half-open": 2}),
                CircuitLine("b", "closed", {}),
            ),
            {"payments": 1},
        )
    )
    assert lines.stdout[0].splitlines() == [
        "",
        "Ran for 30 s.",
        "",
        "pipeline  answered  degraded  rejected  failed    p50    p99",
        "payments     1,200        45        30       2  12 ms  0.9 s",
        "idle             0         0         0       0      –      –",
        "",
        'Circuit "payments": 2 × closed to open, 2 × open to half-open; closed at the end.',
        'Circuit "b": no transition; closed at the end.',
        'Process "payments" was started again 1 time.',
    ]


def test_programs_get_one_object_a_line():
    import json

    lines = Lines()
    shown = Json(lines)
    shown.ready(Facts("shop", 7, "127.0.0.1:8900"))
    shown.event(Entry(1.5, "orders/12", OPENED))
    shown.summary(Summary(1.0))
    ready, event, summary = (json.loads(line) for line in lines.stdout)
    assert (ready["type"], ready["page"], ready["pid"]) == ("ready", "http://127.0.0.1:8900/", 7)
    assert (event["type"], event["event"], event["name"]) == ("event", "CircuitOpened", "payments")
    assert event["text"] == describe(OPENED)
    assert summary == {"type": "summary", "seconds": 1.0, "pipelines": [], "circuits": [], "restarts": {}}
