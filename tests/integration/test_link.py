"""Real programs linked to a real hub over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seawall.core.errors import ConfigurationError
from seawall.events.bus import Bus
from seawall.events.types import CircuitForced, CircuitOpened, CircuitReleased, ProgramLinked, ProgramLost
from seawall.recovery.keeper import is_alive
from seawall.recovery.supervisor import ProcessOptions, Supervisor
from seawall.report import hub as hub_module
from seawall.report.hub import Hub
from tests.support.waiting import until

if TYPE_CHECKING:
    from seawall.core.snapshot import PolicySnapshot
    from seawall.events.journal import Entry

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


def counted(hub: Hub, count: int):
    return lambda: successes(hub) == count


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
    heard: list[Entry] = []
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
        await until(counted(hub, 7 * round_))
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


async def test_a_circuit_is_observed_in_the_program_and_says_so(hub, launch):
    """R-CB1"""
    program = await launch()
    await until(lambda: hub.snapshot().policies)
    [ack] = await hub.force("catalogue", "observe", owner="ada", reason="too strict?", expires_in=60)
    assert ack.ok, ack
    await until(lambda: circuit(hub).state == "observe")
    assert circuit(hub).details["forced"]["reason"] == "too strict?"
    assert (await program.do("state"))[0] == "observe"


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


async def test_supervised_workers_link_by_themselves_and_counts_outlive_their_crashes(hub, path, tmp_path):
    code = """
import seawall, time
catalogue = seawall.Pipeline("catalogue", seawall.Retry(attempts=1), seawall.CircuitBreaker(failure_threshold=3))
while True:
    catalogue.call_outcome(int)
    time.sleep(0.002)
"""
    options = [
        ProcessOptions(f"worker{n}", ("{python}", "-c", code), backoff_base=0.05, max_restarts=100) for n in range(3)
    ]
    env = {"SEAWALL_SOCKET": str(path), "PYTHONPATH": os.pathsep.join(sys.path)}
    supervisor = Supervisor(options, bus=Bus(), log_dir=tmp_path / "logs", env=env)
    await supervisor.start()
    try:
        await until(live(hub, 3))
        seen = []
        for round_ in range(3):
            os.kill(supervisor.pid(f"worker{round_}") or 0, signal.SIGKILL)
            before = kinds(hub).count(ProgramLinked)
            while kinds(hub).count(ProgramLinked) == before:
                seen.append(successes(hub))
                await asyncio.sleep(0.01)
        await until(lambda: circuit(hub).details["workers"] == {"closed": 3})
        assert seen == sorted(seen)
        assert {p.name for p in hub.programs()} == {"worker0", "worker1", "worker2"}
        acks = await hub.force("catalogue", "open", owner="ada", reason="drill", expires_in=1.0)
        assert [ack.ok for ack in acks] == [True] * 3
        await until(lambda: circuit(hub).details["workers"] == {"forced-open": 3}, within=0.9)
        refused = circuit(hub).counters["requests.rejected"]
        await until(lambda: circuit(hub).details["workers"] == {"closed": 3})
        assert circuit(hub).counters["requests.rejected"] > refused
    finally:
        await supervisor.stop()
    assert [p.live for p in hub.programs()] == [False] * 6


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
