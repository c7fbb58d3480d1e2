"""The stream: one whole state, then what changed, and catching up."""

from __future__ import annotations

import asyncio
import json

import pytest

from seawall.events.types import CallRejected, CircuitClosed, CircuitHalfOpened, CircuitOpened
from seawall.server.live import Live
from seawall.server.timeline import Timeline
from tests.support.ops import circuit
from tests.unit.server.test_http import make_parts


def parse(text):
    """Server-sent events as (id, kind, data)."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
    return found


async def piece(stream):
    async with asyncio.timeout(10):
        return parse(await anext(stream))


async def test_first_the_whole_state_then_what_changed():
    parts = make_parts()
    parts.hub.policies = [circuit("payments", good=1), circuit("search", good=1)]
    live = Live(parts)
    stream = live.events()
    ((first_id, kind, state),) = await piece(stream)
    assert kind == "state"
    assert [row["id"] for row in state["rows"]] == ["payments", "search"]
    parts.clock.at += 1
    parts.hub.policies = [circuit("payments", "open", good=1, since=parts.clock.wall(), retry_after=30.0)]
    await live.state()
    ((next_id, kind, delta),) = await piece(stream)
    assert kind == "delta"
    assert delta["gone"] == ["search"]
    (row,) = delta["rows"]
    assert (row["id"], row["word"], row["level"]) == ("payments", "open", 2)
    assert "calls_per_minute" not in row
    assert delta["story"]["headline"] == "Calls to payments are stopped."
    await stream.aclose()
    # somebody who saw the first and lost the line gets only the second
    again = live.events(first_id)
    assert await piece(again) == [(next_id, "delta", delta)]
    await again.aclose()
    for unknown in ("", "0-1", "x", f"{first_id}9"):
        other = live.events(unknown)
        assert (await piece(other))[0][1] == "state"
        await other.aclose()


async def test_when_nothing_changes_only_the_time_is_sent():
    parts = make_parts()
    parts.hub.policies = [circuit("payments", "open", since=parts.clock.wall(), retry_after=30.0)]
    live = Live(parts)
    stream = live.events()
    await piece(stream)
    parts.clock.at += 1
    parts.hub.policies = [circuit("payments", "open", since=parts.clock.wall() - 1.01, retry_after=28.98)]
    await live.state()
    ((_, _, delta),) = await piece(stream)
    assert set(delta) == {"now"}
    await stream.aclose()


async def test_the_stream_runs_by_itself_and_ends_with_the_daemon():
    parts = make_parts()
    live = Live(parts)
    await live.start()
    stream = live.events()
    assert (await piece(stream))[0][1] == "state"
    assert (await piece(stream))[0][1] == "delta"
    parts.stopping = True
    kinds = []
    async for text in stream:
        kinds += [kind for _, kind, _ in parse(text)]
    assert kinds[-1] == "bye"
    await live.stop()


async def test_a_reader_who_is_too_slow_gets_the_whole_again():
    live = Live(make_parts())
    stream = live.events()
    await piece(stream)
    for _ in range(130):
        await live.state()
    assert (await piece(stream))[0][1] == "state"
    await stream.aclose()


async def test_too_many_viewers_are_refused():
    live = Live(make_parts())
    streams = [live.events() for _ in range(64)]
    for stream in streams:
        await anext(stream)
    with pytest.raises(OverflowError):
        await anext(live.events())
    await streams.pop().aclose()
    await anext(last := live.events())
    for stream in (*streams, last):
        await stream.aclose()


async def test_a_part_that_fails_does_not_end_the_sampling(caplog):
    parts = make_parts()
    live = Live(parts)
    whole, parts.hub.snapshot = parts.hub.snapshot, None
    await live.start()
    async with asyncio.timeout(5):
        while not live.errors:
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(asyncio.to_thread(lambda: None))), 1)
    assert "could not be brought up to date" in caplog.text
    parts.hub.snapshot = whole
    stream = live.events()
    assert (await piece(stream))[0][1] == "state"
    await stream.aclose()
    await live.stop()


def rejected(number, name="payments"):
    return (CallRejected, number, 0.0, name, "circuit_breaker", "open", 5.0, {})


def test_repetitions_are_counted_and_changes_stand_alone():
    parts = make_parts()
    timeline = Timeline(parts.journal)
    for number in range(40):
        parts.journal.append(100.0 + number, rejected(number), "orders/7")
    parts.journal.append(140.0, (CircuitOpened, 41, 0.0, "payments", "manual", 30.0, {}), "orders/7")
    parts.journal.append(141.0, rejected(42), "orders/7")
    lines = timeline.follow()
    assert [(line["count"], line["change"], line["mark"]) for line in lines] == [
        (40, False, ""),
        (1, True, "bad"),
        (1, False, ""),
    ]
    assert (lines[0]["wall"], lines[0]["last"]) == (100.0, 139.0)
    assert lines[1]["text"] == 'Circuit "payments" opened: opened by hand. Next trial in 30 s.'
    assert timeline.follow() == []
    parts.journal.append(142.0, rejected(43), "orders/7")
    parts.journal.append(143.0, rejected(44, "search"), "orders/7")
    parts.journal.append(144.0, (CircuitClosed, 45, 0.0, "payments", "trial", 30.0), "orders/7")
    assert [(line["id"], line["count"]) for line in timeline.follow()] == [(3, 2), (4, 1), (5, 1)]
    assert len(timeline.lines()) == 5
    for turn in range(6):  # trials that fail again and again
        parts.journal.append(150.0 + 30 * turn, (CircuitHalfOpened, 50, 0.0, "payments", "waited", 1), "orders/7")
        failed: tuple = (CircuitOpened, 51, 0.0, "payments", "trial_failed", 30.0, {})
        parts.journal.append(151.0 + 30 * turn, failed, "orders/7")
    assert [(line["count"], line["change"], line["last"]) for line in timeline.follow()] == [
        (6, True, 300.0),
        (6, True, 301.0),
    ]
    assert [change.text for change in timeline.changes()][-3].startswith('Circuit "payments" closed')
