"""Real processes under a real supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seawall.core.errors import ConfigurationError
from seawall.events.bus import Bus
from seawall.events.types import ProcessExited, ProcessStarted
from seawall.recovery.keeper import is_alive, read_stat
from seawall.recovery.supervisor import ProcessOptions, Supervisor
from tests.support.waiting import until

pytestmark = pytest.mark.integration

SLEEP = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
# writes the pid of a grandchild to the file given
WITH_GRANDCHILD = """
import subprocess, sys, time
one = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session={session})
open(sys.argv[1], "w").write(str(one.pid))
{then}
"""
DAEMON = Path(__file__).with_name("supervised_daemon.py")


def python(name, code, *arguments, **options):
    return ProcessOptions(name, ("{python}", "-c", code, *map(str, arguments)), **options)


def read_pid(path):
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def stat_of(pid):
    stat = read_stat(pid)
    assert stat is not None
    return stat


def log_of(process):
    return Path(process.log).read_text()


def events(supervisor, kind):
    return [e.event for e in supervisor._house.bus.journal if isinstance(e.event, kind)]


def state(supervisor, name):
    return next(p for p in supervisor.processes() if p.name == name)


@pytest.fixture
async def supervise(tmp_path):
    made = []

    async def supervise(*options, **more):
        supervisor = Supervisor(options, bus=Bus(), log_dir=tmp_path / "logs", **more)
        made.append(supervisor)
        await supervisor.start()
        return supervisor

    yield supervise
    for one in made:
        one.kill()
        await one.stop()
        assert [p.pid for p in one.processes()] == [None] * len(one.processes())


async def test_a_process_runs_in_its_own_session_with_its_environment_and_a_log(supervise, tmp_path):
    code = "import os; print(os.environ['A'], os.environ['B'], os.environ['SEAWALL_PROGRAM'], os.getcwd(), flush=True);"
    one = python("one", code + SLEEP, env={"B": "{python}"}, cwd=tmp_path)
    supervisor = await supervise(one, env={"A": "from the daemon"})
    await until(lambda: "daemon" in (tmp_path / "logs/one.log").read_text())
    assert (tmp_path / "logs/one.log").read_text() == f"from the daemon {sys.executable} one {tmp_path}\n"
    pid = state(supervisor, "one").pid
    stat = stat_of(pid)
    assert (stat.group, stat.session) == (pid, pid)
    assert state(supervisor, "one").state == "starting"
    assert supervisor.pid("one") == pid


async def test_sockets_are_handed_on_in_order_and_outlive_the_process(supervise):
    code = """
import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid())
assert os.environ["LISTEN_FDNAMES"] == "web:web"
first, second = (socket.socket(fileno=3 + i) for i in range(int(os.environ["LISTEN_FDS"])))
assert sorted(os.listdir("/proc/self/fd"))[:5] == ["0", "1", "2", "3", "4"]
while True:
    one, _ = first.accept()
    one.sendall(f"{os.getpid()} {second.getsockname()[1]}".encode())
    one.close()
    os._exit(1)
"""
    web = python(
        "web", code, listen=("127.0.0.1:0", "127.0.0.1:0"), backoff_base=0.05, start_seconds=0, max_restarts=50
    )
    supervisor = await supervise(web)
    address, other = state(supervisor, "web").addresses
    assert supervisor.address("web") == address
    assert supervisor.expand("http://{web.address}/{x}") == f"http://{address}/{{x}}"
    pids = set()
    for _ in range(3):  # each connection ends the process; the next one waits in the socket meanwhile
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        pid, second = (await asyncio.wait_for(reader.read(), 10)).decode().split()
        writer.close()
        pids.add(pid)
        assert other.endswith(f":{second}")
    assert len(pids) == 3


async def test_a_child_that_exits_at_once_is_restarted_with_growing_delays_then_given_up(supervise):
    bad = python("bad", "raise SystemExit(3)", backoff_base=0.05, backoff_cap=30.0, max_restarts=3)
    supervisor = await supervise(bad, chance=lambda: 0.0)
    await until(lambda: state(supervisor, "bad").state == "gave-up")
    exits = events(supervisor, ProcessExited)
    assert [e.restart_in for e in exits] == [0.05, 0.1, 0.2, 30.0]
    assert {e.how for e in exits} == {"exit code 3"}
    assert [e.attempt for e in events(supervisor, ProcessStarted)] == [1, 2, 3, 4]
    one = state(supervisor, "bad")
    assert (one.pid, one.restarts, one.last_exit) == (None, 3, "exit code 3")
    assert 25 < one.restart_in <= 30


async def test_code_0_inside_start_seconds_is_a_failure_and_after_them_an_end(supervise):
    quick = python("quick", "", restart="on-failure", backoff_base=20)
    done = python("done", "", restart="on-failure", start_seconds=0)
    supervisor = await supervise(quick, done)
    await until(lambda: len(events(supervisor, ProcessExited)) == 2)
    assert state(supervisor, "quick").state == "backing-off"
    assert state(supervisor, "done").state == "stopped"


async def test_a_command_or_folder_that_is_missing_is_said_in_words_and_tried_again(supervise, tmp_path):
    supervisor = await supervise(
        ProcessOptions("a", ("no-such-program",)),
        ProcessOptions("b", ("./no-such-file",)),
        python("c", SLEEP, cwd=tmp_path / "nowhere"),
    )
    await until(lambda: all(p.state == "backing-off" for p in supervisor.processes()))
    a, b, c = supervisor.processes()
    assert a.last_exit == 'could not be started: "no-such-program" was not found on PATH'
    assert b.last_exit == "exit code 127"
    assert "cannot start './no-such-file'" in log_of(b)
    assert c.last_exit.startswith("could not be started: No such file or directory")


async def test_a_killed_process_comes_back_and_the_event_says_how_it_ended(supervise):
    supervisor = await supervise(python("one", SLEEP, backoff_base=0.05))
    first = state(supervisor, "one").pid or await wait_pid(supervisor, "one")
    os.kill(first, signal.SIGKILL)
    await until(lambda: state(supervisor, "one").pid not in {first, None})
    [ended] = events(supervisor, ProcessExited)
    assert ended.how == "killed by SIGKILL"
    assert ended.pid == first


async def wait_pid(supervisor, name):
    await until(lambda: state(supervisor, name).pid is not None)
    return state(supervisor, name).pid


async def test_a_child_that_ignores_sigterm_is_killed_after_its_time(supervise):
    supervisor = await supervise(python("deaf", DEAF, stop_timeout=0.5))
    pid = await wait_pid(supervisor, "deaf")
    await until(lambda: "deaf" in log_of(state(supervisor, "deaf")))
    began = time.monotonic()
    await supervisor.stop()
    assert 0.4 < time.monotonic() - began < 3
    assert not is_alive(pid)
    assert state(supervisor, "deaf").last_exit == "killed by SIGKILL"


async def test_a_stopped_child_is_woken_to_end_by_itself(supervise):
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('up', flush=True);"
    supervisor = await supervise(python("one", code + "time.sleep(600)"))
    pid = await wait_pid(supervisor, "one")
    await until(lambda: "up" in log_of(state(supervisor, "one")))
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: stat_of(pid).state == "T")
    began = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - began < 3
    assert state(supervisor, "one").last_exit == "exit code 7"


@pytest.mark.parametrize("session", [False, True], ids=["same-group", "own-session"])
async def test_grandchildren_end_with_their_child_at_a_stop(supervise, tmp_path, session):
    code = WITH_GRANDCHILD.format(session=session, then="time.sleep(600)")
    supervisor = await supervise(python("one", code, tmp_path / "pid"))
    await until(lambda: read_pid(tmp_path / "pid"))
    await supervisor.stop()
    assert not is_alive(read_pid(tmp_path / "pid"))


async def test_what_a_crashed_child_left_behind_ends_before_it_is_started_anew(supervise, tmp_path):
    code = WITH_GRANDCHILD.format(session=False, then="raise SystemExit(1)")
    supervisor = await supervise(python("one", code, tmp_path / "pid", backoff_base=20))
    await until(lambda: state(supervisor, "one").state == "backing-off")
    assert not is_alive(read_pid(tmp_path / "pid"))


async def test_restart_ends_the_process_and_starts_it_anew_whatever_its_state(supervise):
    supervisor = await supervise(python("one", SLEEP), python("bad", "raise SystemExit(1)", backoff_base=50))
    first = await wait_pid(supervisor, "one")
    await supervisor.restart("one")
    assert state(supervisor, "one").pid not in {first, None}
    assert not is_alive(first)
    await until(lambda: state(supervisor, "bad").state == "backing-off")
    await supervisor.restart("bad")
    assert len([e for e in events(supervisor, ProcessStarted) if e.name == "bad"]) == 2
    with pytest.raises(ConfigurationError, match="known are one, bad"):
        await supervisor.restart("none")


async def test_twenty_children_are_stopped_in_reverse_order_within_the_grace_time(supervise):
    slow = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.02), sys.exit(0)));"
    slow += "print('up', flush=True);"
    options = [python(f"p{n:02}", slow + "time.sleep(600)", stop_timeout=10) for n in range(20)]
    supervisor = await supervise(*options)
    await until(lambda: all("up" in log_of(p) for p in supervisor.processes()), within=30)
    began = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - began < 10
    exits = events(supervisor, ProcessExited)
    assert [e.name for e in exits] == [one.name for one in reversed(options)]
    assert {e.how for e in exits} == {"stopped as asked"}


async def test_deaf_children_among_many_do_not_use_up_the_time_of_the_others(supervise):
    options = [python(f"p{n}", DEAF if n % 2 else SLEEP, stop_timeout=2) for n in range(8)]
    supervisor = await supervise(*options)
    await until(lambda: all("deaf" in log_of(p) for p in supervisor.processes() if int(p.name[1]) % 2), within=20)
    began = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - began < 5
    how = {e.name: e.how for e in events(supervisor, ProcessExited)}
    assert how == {f"p{n}": "killed by SIGKILL" if n % 2 else "stopped as asked" for n in range(8)}


async def test_kill_ends_a_stop_that_takes_too_long(supervise):
    supervisor = await supervise(python("deaf", DEAF, stop_timeout=60))
    await until(lambda: "deaf" in log_of(state(supervisor, "deaf")))
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0.2)
    supervisor.kill()
    await asyncio.wait_for(stopping, 3)


async def test_a_lost_keeper_is_replaced_and_told_of_everything(supervise):
    supervisor = await supervise(python("one", SLEEP))
    await wait_pid(supervisor, "one")
    keeper = supervisor._keeper
    first = keeper.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: keeper.started == 2)
    assert keeper.pid != first
    assert is_alive(keeper.pid)


async def test_the_keeper_ends_with_the_supervisor_and_nothing_is_left_to_reap(supervise):
    supervisor = await supervise(python("one", SLEEP))
    pid, keeper = await wait_pid(supervisor, "one"), supervisor._keeper.pid
    await supervisor.stop()
    for one in (pid, keeper):
        with pytest.raises(ProcessLookupError):
            os.kill(one, 0)


async def test_no_thread_is_spent_on_a_child(supervise):
    import threading

    supervisor = await supervise(*[python(f"p{n}", SLEEP) for n in range(10)])
    await until(lambda: all(p.pid for p in supervisor.processes()))
    assert [t.name for t in threading.enumerate() if "seawall" in t.name] == ["seawall-logs"]


@pytest.fixture
def daemon(tmp_path):
    started = []

    def daemon(mode, **commands):
        process = subprocess.Popen(
            [sys.executable, str(DAEMON), str(tmp_path / "logs"), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(commands).encode())
        process.stdin.close()
        told = json.loads(process.stdout.readline())
        process.stdout.close()
        started.append((process, told))
        return process, told

    yield daemon
    for process, told in started:
        process.kill()
        process.wait()
        for pid in told["pids"]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


@pytest.mark.parametrize("session", [False, True], ids=["same-group", "own-session"])
async def test_sigkill_of_the_daemon_leaves_no_process_behind(daemon, tmp_path, session):
    with_grandchild = WITH_GRANDCHILD.format(session=session, then="time.sleep(600)")
    process, told = daemon(
        "stop",
        plain=[sys.executable, "-c", SLEEP],
        deaf=[sys.executable, "-c", DEAF],
        family=[sys.executable, "-c", with_grandchild, str(tmp_path / "pid")],
    )
    await until(lambda: read_pid(tmp_path / "pid") and "deaf" in (tmp_path / "logs/deaf.log").read_text())
    everyone = [*told["pids"], told["keeper"], read_pid(tmp_path / "pid")]
    assert all(map(is_alive, everyone))
    process.kill()
    process.wait()
    began = time.monotonic()
    await until(lambda: not any(map(is_alive, everyone)))
    assert time.monotonic() - began < 3


async def test_with_the_keeper_dead_too_the_kernel_still_ends_the_direct_children(daemon):
    process, told = daemon("stop", plain=[sys.executable, "-c", SLEEP])
    process.send_signal(signal.SIGSTOP)  # it cannot start another keeper
    os.kill(told["keeper"], signal.SIGKILL)
    process.kill()
    process.wait()
    await until(lambda: not is_alive(told["pids"][0]))


async def test_kept_children_live_on_when_the_daemon_is_killed(daemon):
    process, told = daemon("keep", plain=[sys.executable, "-c", SLEEP])
    assert told["keeper"] is None
    process.kill()
    process.wait()
    await asyncio.sleep(1.5)
    assert is_alive(told["pids"][0])


async def test_addresses_in_use_and_unknown_placeholders_are_refused_before_anything_starts(tmp_path):
    def supervisor(*options):
        return Supervisor(options, bus=Bus(), log_dir=tmp_path)

    first = supervisor(python("a", SLEEP, listen=("127.0.0.1:0",)))
    first.bind()
    with pytest.raises(ConfigurationError, match=r"processes\.b\.listen = .*Address already in use"):
        supervisor(python("b", SLEEP, listen=(first.address("a"),))).bind()
    with pytest.raises(ConfigurationError, match=r"processes\.c: \{x\.address\}: .*those that listen are none"):
        supervisor(python("c", SLEEP, env={"X": "{x.address}"})).bind()
    with pytest.raises(ConfigurationError, match="there are two of this name"):
        supervisor(python("d", SLEEP), python("d", SLEEP))
    await first.stop()


async def test_a_log_that_cannot_be_written_is_no_reason_not_to_start(supervise, tmp_path):
    (tmp_path / "logs").write_text("a file in the way")
    supervisor = await supervise(python("one", SLEEP))
    assert await wait_pid(supervisor, "one")
    assert supervisor._logs.errors == 1
