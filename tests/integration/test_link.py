"""Real programs linked to a real hub over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import sys
import time
from pathlib import Path

import pytest

from seawall.core.errors import ConfigurationError
from seawall.core.snapshot import PolicySnapshot
from seawall.events.bus import Bus
from seawall.events.types import CircuitForced, CircuitOpened, CircuitReleased, ProgramLinked, ProgramLost
from seawall.recovery.keeper import is_alive
from seawall.report import hub as hub_module
from seawall.report.hub import Hub

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).with_name("linked_program.py")


class Program:
    """A linked program under the control of a test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.pid = process.pid

    async def do(self, command: str) -> object:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n".encode())
        line = await asyncio.wait_for(self.process.stdout.readline(), 10)
        return json.loads(line)

    async def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        await self.process.wait()


async def until(condition, within=10.0):
    """Wait for something that real processes bring about."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"not within {within} s: {condition.__code__.co_consts}"
        await asyncio.sleep(0.02)


def circuit(hub: Hub) -> PolicySnapshot:
    return next(p for p in hub.snapshot().policies if p.kind == "circuit_breaker")


def successes(hub: Hub) -> int:
    return sum(p.counters.get("requests.success", 0) for p in hub.snapshot().policies if p.kind == "circuit_breaker")


@pytest.fixture
def path(tmp_path):
    # tmp_path of pytest is 0700, but may be too long for a socket
    return tmp_path / "s"


@pytest.fixture
async def hub(path):
    hub = Hub(path, bus=Bus())
    await hub.start()
    yield hub
    await hub.stop()


@pytest.fixture
async def launch(path):
    programs = []

    async def launch(name="shop", **env):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            str(path),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "SEAWALL_PROGRAM": name, "PYTHONPATH": os.pathsep.join(sys.path), **env},
        )
        program = Program(process)
        programs.append(program)
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 10)
        return program

    yield launch
    for one in programs:
        with contextlib.suppress(ProcessLookupError):
            one.process.kill()
        await one.process.wait()


def live(hub: Hub, count: int):
    return lambda: sum(p.live for p in hub.programs()) == count


def kinds(hub: Hub) -> list[type]:
    return [type(entry.event) for entry in hub.journal]


async def test_a_linked_program_is_listed_with_name_pid_and_what_it_protects(hub, launch):
    program = await launch("orders")
    await until(lambda: hub.snapshot().policies)
    [one] = hub.programs()
    assert (one.name, one.pid, one.live) == ("orders", program.pid, True)
    assert circuit(hub).name == "catalogue"
    assert circuit(hub).details["workers"] == {"closed": 1}
    assert [p.name for p in hub.snapshot().pipelines] == ["catalogue"]
    assert kinds(hub) == [ProgramLinked]


async def test_a_transition_reaches_the_daemon_at_once_and_names_its_source(hub, launch):
    heard = []
    hub.listen(heard.append)
    program = await launch("orders")
    await until(lambda: hub.snapshot().policies)
    began = time.monotonic()
    await program.do("fail 3")
    await until(lambda: circuit(hub).state == "open")
    assert time.monotonic() - began < 0.9  # sooner than the next regular snapshot
    await until(lambda: any(isinstance(e.event, CircuitOpened) for e in heard))
    [opened] = [e for e in heard if isinstance(e.event, CircuitOpened)]
    assert opened.source == f"orders/{program.pid}"
    assert opened in list(hub.journal)


async def test_the_counts_of_several_workers_are_summed(hub, launch):
    programs = [await launch() for _ in range(3)]
    for count, program in enumerate(programs, 1):
        await program.do(f"ok {count * 10}")
    await until(lambda: successes(hub) == 60)
    assert circuit(hub).details["workers"] == {"closed": 3}
    await programs[0].do("fail 3")
    await until(lambda: circuit(hub).state == "open")
    assert circuit(hub).details["workers"] == {"closed": 2, "open": 1}


async def test_counts_never_go_back_when_workers_are_killed_and_started_anew(hub, launch):
    seen = []

    def look():
        seen.append(successes(hub))
        return True

    first, second = await launch(), await launch()
    await first.do("ok 100")
    await second.do("ok 10")
    await until(lambda: look() and successes(hub) == 110)
    await first.kill()
    await until(lambda: look() and live(hub, 1)())
    third = await launch()
    await third.do("ok 1")
    await until(lambda: look() and successes(hub) == 111)
    assert seen == sorted(seen)
    assert [p.live for p in hub.programs()].count(False) == 1
    assert kinds(hub).count(ProgramLost) == 1


async def test_what_hundreds_of_dead_workers_counted_stays(hub, launch, monkeypatch):
    monkeypatch.setattr("seawall.report.fleet.MOST_DEAD", 1)
    for round_ in range(1, 4):
        program = await launch()
        await program.do("ok 7")
        await until(lambda wanted=7 * round_: successes(hub) == wanted)
        await program.kill()
        await until(live(hub, 0))
    assert successes(hub) == 21
    assert len(hub.programs()) == 1
    assert circuit(hub).state == ""  # nobody is there to be open or closed


async def test_a_force_reaches_all_workers_and_expires_by_itself(hub, launch):
    programs = [await launch(), await launch(), await launch("other")]
    await until(live(hub, 3))
    await until(lambda: circuit(hub).details["workers"] == {"closed": 3})
    acks = await hub.force("catalogue", "open", owner="ada", reason="drill", expires_in=1.5)
    assert sorted(ack.pid for ack in acks) == sorted(p.pid for p in programs)
    assert all(ack.ok for ack in acks), acks
    for program in programs:
        assert (await program.do("call"))[0] == "CircuitOpenError"
    await until(lambda: circuit(hub).details["workers"] == {"forced-open": 3})
    assert circuit(hub).details["forced"]["owner"] == "ada"
    await until(lambda: circuit(hub).details["workers"] == {"closed": 3}, within=5)
    for program in programs:
        assert (await program.do("call"))[0] == "ok"
    assert kinds(hub).count(CircuitForced) == 3


async def test_a_force_ends_in_the_program_although_the_daemon_is_gone(hub, launch):
    program = await launch()
    await until(lambda: hub.snapshot().policies)
    await hub.force("catalogue", "open", owner="ada", reason="drill", expires_in=0.8)
    await hub.stop()
    assert (await program.do("call"))[0] == "CircuitOpenError"
    await asyncio.sleep(0.9)
    assert (await program.do("call"))[0] == "ok"


async def test_release_ends_a_force_everywhere(hub, launch):
    program = await launch()
    await until(lambda: hub.snapshot().policies)
    await hub.force("catalogue", "disabled", owner="ada", reason="drill", expires_in=60)
    await until(lambda: circuit(hub).state == "disabled")
    [ack] = await hub.release("catalogue", owner="ada", reason="over")
    assert ack.ok, ack
    await until(lambda: circuit(hub).state == "closed")
    assert CircuitReleased in kinds(hub)
    assert (await program.do("state"))[0] == "closed"


async def test_a_worker_that_links_while_a_force_lasts_is_forced_too(hub, launch):
    await launch()
    await until(lambda: hub.snapshot().policies)
    await hub.force("catalogue", "open", owner="ada", reason="drill", expires_in=60)
    late = await launch()
    await until(lambda: circuit(hub).details["workers"] == {"forced-open": 2})
    assert (await late.do("call"))[0] == "CircuitOpenError"


async def test_a_force_of_an_unknown_circuit_names_those_there_are(hub, launch):
    await launch()
    await until(lambda: hub.snapshot().policies)
    with pytest.raises(ConfigurationError, match="did you mean 'catalogue'"):
        await hub.force("catalog", "open", owner="ada", reason="drill", expires_in=1)


async def test_a_stopped_worker_is_no_obstacle_and_does_not_prolong_a_force(hub, launch):
    well, hung = await launch(), await launch()
    await until(lambda: hub.snapshot().policies and circuit(hub).details["workers"] == {"closed": 2})
    hung.process.send_signal(signal.SIGSTOP)
    acks = {ack.pid: ack for ack in await hub.force("catalogue", "open", owner="a", reason="b", expires_in=2.2)}
    assert acks[well.pid].ok
    assert not acks[hung.pid].ok
    assert "no answer" in acks[hung.pid].message
    await asyncio.sleep(0.5)
    hung.process.send_signal(signal.SIGCONT)
    assert (await hung.do("call"))[0] == "ok"
    await asyncio.sleep(0.2)
    assert (await hung.do("state"))[0] == "closed"


async def test_a_worker_that_says_nothing_for_long_is_not_live(hub, launch, monkeypatch):
    monkeypatch.setattr(hub_module, "SILENT_AFTER", 1.5)
    program = await launch()
    await until(lambda: hub.snapshot().policies)
    program.process.send_signal(signal.SIGSTOP)
    await until(lambda: circuit(hub).state == "")
    assert not hub.programs()[0].live
    program.process.send_signal(signal.SIGCONT)
    await until(lambda: circuit(hub).state == "closed")


async def test_a_program_goes_on_untouched_without_a_daemon_and_links_when_it_comes(path, launch):
    program = await launch()
    await program.do("ok 5")
    state, linked, error, errors = await program.do("state")
    assert (state, linked, errors) == ("closed", False, 0)
    assert "FileNotFoundError" in error
    hub = Hub(path, bus=Bus())
    await hub.start()
    await until(lambda: successes(hub) == 5)
    await hub.stop()
    await program.do("ok 5")
    again = Hub(path, bus=Bus())
    await again.start()
    await until(lambda: successes(again) == 10)
    await again.stop()
    assert (await program.do("state"))[3] == 0


async def test_a_worker_that_links_again_is_not_counted_twice(hub, launch):
    program = await launch()
    await program.do("ok 5")
    await until(lambda: successes(hub) == 5)
    for peer in list(hub._peers):
        peer.close("by the test")
    await until(lambda: kinds(hub).count(ProgramLinked) == 2)
    await program.do("ok 1")
    await until(lambda: successes(hub) == 6)
    assert len(hub.programs()) == 1


async def test_the_end_of_a_program_sends_its_last_counts(hub, launch):
    program = await launch()
    await until(lambda: hub.snapshot().policies)
    await program.do("ok 9")
    assert program.process.stdin is not None
    program.process.stdin.write(b"exit\n")
    await program.process.wait()
    await until(live(hub, 0))
    assert successes(hub) == 9
    assert [e.event.reason for e in hub.journal if isinstance(e.event, ProgramLost)] == ["it ended"]


async def test_a_fork_becomes_a_worker_of_its_own_that_counts_from_the_fork_on(hub, launch):
    program = await launch("pre")
    await program.do("ok 50")
    child = await program.do("fork 7")
    try:
        await until(live(hub, 2))
        assert {p.pid for p in hub.programs()} == {program.pid, child}
        assert len({p.worker for p in hub.programs()}) == 2
        await program.do("ok 1")
        await until(lambda: successes(hub) == 58)
        acks = await hub.force("catalogue", "open", owner="a", reason="b", expires_in=5)
        assert [ack.ok for ack in acks] == [True, True]
        assert (await program.do("state"))[1] is True  # the parent's link was not disturbed
    finally:
        os.kill(child, signal.SIGKILL)


async def test_a_daemon_that_hangs_holds_up_no_call(path, launch):
    # a listener that never reads
    path.parent.chmod(0o700)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen(1)
        program = await launch()
        await program.do("fail 3")
        worst = max([(await program.do("call"))[1] for _ in range(50)])
        assert worst < 0.1
        assert (await program.do("state"))[3] == 0


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
async def test_garbage_closes_only_that_connection(hub, launch, path, garbage):
    program = await launch()
    await until(lambda: hub.snapshot().policies)
    await send_and_expect_close(path, garbage)
    await program.do("ok 3")
    await until(lambda: successes(hub) == 3)
    assert hub.refused == 1
    assert [p.name for p in hub.programs()] == ["shop"]


HELLO = b'{"type":"hello","v":1,"program":"evil","pid":1,"worker":"w"}\n'
EVENT = '{{"type":"events","entries":[{{"wall":1.0,"event":"{}","number":1,"at":1.0,"name":"n"{}}}]}}\n'
POLICY = (
    '{{"type":"snapshot","taken_at":1.0,"pipelines":[],"policies":[{{"kind":"circuit_breaker","name":"c",'
    '"pipelines":[],"state":"open","counters":{},"gauges":{},"histograms":{},"details":{{}}}}]}}\n'
)


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


async def test_a_listener_that_fails_is_counted_and_disturbs_nobody(hub, launch):
    def broken(entry):
        raise RuntimeError

    subscription = hub.listen(broken)
    program = await launch()
    await program.do("fail 3")
    await until(lambda: hub.snapshot().policies and circuit(hub).state == "open")
    assert hub.listener_errors > 0
    subscription.cancel()
    subscription.cancel()
    assert is_alive(program.pid)
