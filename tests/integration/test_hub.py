"""A real hub, and peers that are not what they should be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat

import pytest

from seawall.core.errors import ConfigurationError
from seawall.events.bus import Bus
from seawall.events.types import ProgramLinked, ProgramLost
from seawall.report import hub as hub_module
from seawall.report.hub import Hub
from tests.support.waiting import until

pytestmark = pytest.mark.integration

HELLO = b'{"type":"hello","v":1,"program":"evil","pid":1,"worker":"w"}\n'
EVENT = '{{"type":"events","entries":[{{"wall":1.0,"event":"{}","number":1,"at":1.0,"name":"n"{}}}]}}\n'
POLICY = (
    '{{"type":"snapshot","taken_at":1.0,"pipelines":[],"policies":[{{"kind":"circuit_breaker","name":"c",'
    '"pipelines":[],"state":"open","counters":{},"gauges":{},"histograms":{},"details":{{}}}}]}}\n'
)


def kinds(hub: Hub) -> list[type]:
    return [type(entry.event) for entry in hub.journal]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s"


@pytest.fixture
async def hub(path):
    hub = Hub(path, bus=Bus())
    await hub.start()
    yield hub
    await hub.stop()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00\xff" * 500 + b"\n",
        b"[" * 100_000 + b"\n",
        b'{"type":"hello","v":99,"program":"x","pid":1,"worker":"w"}\n',
        b'{"type":"hello","v":1,"program":"","pid":1,"worker":"w"}\n',
        b'{"type":"snapshot"}\n',
        b"x" * 3_000_000,
    ],
    ids=["http", "binary", "deep", "version", "no-name", "no-hello", "endless"],
)
async def test_garbage_closes_only_that_connection(hub, path, garbage):
    _, good = await asyncio.open_unix_connection(str(path))
    good.write(HELLO.replace(b"evil", b"good").replace(b'"w"', b'"v"'))
    await until(hub.programs)
    await send_and_expect_close(path, garbage)
    good.write(POLICY.format('{"requests.success":3}', "{}", "{}").encode())
    await until(lambda: hub.snapshot().policies)
    assert hub.refused == 1
    assert [(p.name, p.live) for p in hub.programs()] == [("good", True)]
    good.close()


@pytest.mark.parametrize(
    "line",
    [
        EVENT.format("ProcessStarted", ',"pid":1,"attempt":1'),
        EVENT.format("Nonsense", ""),
        EVENT.format("CircuitOpened", ',"reason":"tripped","retry_after":"soon","evidence":{}'),
        EVENT.format("CircuitOpened", ',"reason":"tripped","retry_after":1.0,"evidence":[1]'),
        EVENT.format("CircuitOpened", ',"reason":"tripped","retry_after":1.0,"evidence":{"rule":"failure_rate"}'),
        EVENT.format("CircuitOpened", ',"reason":"tripped","retry_after":1' + "0" * 400 + ',"evidence":{}'),
        POLICY.format('{"a":-1}', "{}", "{}"),
        POLICY.format('{"a":1' + "0" * 400 + "}", "{}", "{}"),
        POLICY.format('{"a\\n":1}', "{}", "{}"),
        POLICY.format("{}", '{"g":1e999}', "{}"),
        POLICY.format("{}", '{"g":NaN}', "{}"),
        POLICY.format("{}", "{}", '{"h":[[1.0],[1],1.0]}'),
        POLICY.format("[]", "{}", "{}"),
        '{"type":"aggregate","suppressed":{"CallFailed":"x"},"dropped":0}\n',
        '{"type":5}\n',
        "x" * 2_000_000 + "\n",
    ],
)
async def test_a_linked_program_that_sends_nonsense_is_hung_up_on(hub, path, line):
    await send_and_expect_close(path, HELLO + line.encode())
    assert hub.refused == 1
    assert hub.snapshot().policies == ()
    assert kinds(hub) == [ProgramLinked, ProgramLost]


async def send_and_expect_close(path, data):
    reader, writer = await asyncio.open_unix_connection(str(path))
    with contextlib.suppress(ConnectionError):
        writer.write(data)
        await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_who_says_nothing_is_hung_up_on(hub, path, monkeypatch):
    monkeypatch.setattr("seawall.report.peer.GREET_WITHIN", 0.2)
    reader, writer = await asyncio.open_unix_connection(str(path))
    assert b"said nothing" in await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_more_connections_than_allowed_are_refused(hub, path, monkeypatch):
    monkeypatch.setattr(hub_module, "MOST_PEERS", 3)
    connections = [await asyncio.open_unix_connection(str(path)) for _ in range(4)]
    await until(lambda: hub.refused == 1)
    assert len(hub._peers) == 3
    for _, writer in connections:
        writer.close()


async def test_texts_of_programs_are_made_safe_to_show(hub, path):
    _, writer = await asyncio.open_unix_connection(str(path))
    name = "a\\u001b[2J http://user:secret@host/"
    writer.write(HELLO + EVENT.format("CallFailed", f',"verdict":"failure","cause":"{name}","duration":1.0').encode())
    await until(lambda: len(hub.journal) == 2)
    entry = list(hub.journal)[-1]
    assert entry.source == f"evil/{os.getpid()}"  # the kernel's word for the pid, not the program's
    assert "secret" not in entry.event.cause
    assert "\x1b" not in entry.event.cause
    writer.close()


async def test_the_socket_is_for_this_user_only(hub, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(path.stat().st_mode)


async def test_a_peer_of_another_user_is_not_let_in(hub, path, monkeypatch):
    monkeypatch.setattr(hub_module, "is_trusted", lambda peer: False)
    reader, writer = await asyncio.open_unix_connection(str(path))
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert hub.refused == 1


async def test_stop_removes_the_socket_and_a_second_daemon_is_refused(hub, path):
    with pytest.raises(ConfigurationError, match="listening there already"):
        await Hub(path, bus=Bus()).start()
    await hub.stop()
    assert not path.exists()


async def test_a_socket_left_by_a_killed_daemon_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    hub = Hub(path, bus=Bus())
    await hub.start()
    await hub.stop()


async def test_a_file_in_the_way_and_an_open_folder_are_refused_and_left_alone(tmp_path):
    (tmp_path / "s").write_text("precious")
    with pytest.raises(ConfigurationError, match="no socket"):
        await Hub(tmp_path / "s", bus=Bus()).start()
    assert (tmp_path / "s").read_text() == "precious"
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        await Hub(tmp_path / "open" / "s", bus=Bus()).start()
    with pytest.raises(ConfigurationError, match="103 bytes"):
        await Hub(tmp_path / ("x" * 100), bus=Bus()).start()
