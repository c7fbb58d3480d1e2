"""The daemon as a real process: started, asked, killed, stopped (R-CF1, R-HC, R-OP1)."""

import json
import os
import signal
import socket
import stat
import time
from pathlib import Path

import pytest

from tests.support.daemon import SERVICE, Up, alive, get, seawall

pytestmark = pytest.mark.integration

CONFIG = """\
[daemon]
name = "shop"
hints = ["kill -9 {payments.pid}", "open http://{server.address}/ and http://{payments.address}/"]

[server]
listen = "127.0.0.1:0"

[processes.payments]
command = ["{python}", "payments.py"]
listen = "127.0.0.1:0"
backoff_base = 20
start_seconds = 0.1
stop_timeout = 5

[checks.payments]
kind = "http"
url = "http://{payments.address}/health"
interval = 0.2
fall = 1
"""

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("started", "w").close()
time.sleep(600)
"""

CALLER = """
import random, time
import seawall
from seawall import CircuitBreaker, Fallback, Pipeline

pipeline = Pipeline("stock", Fallback("none left"), CircuitBreaker(3, recovery_timeout=30.0))

def call(number):
    if number % 20 > 16:
        raise ConnectionError("down")
    return "42 left"

for number in range(10**9):
    pipeline.call(call, number)
    time.sleep(0.01)
"""


@pytest.fixture
def shop(tmp_path):
    """A folder with a configuration and a service."""
    (tmp_path / "seawall.toml").write_text(CONFIG)
    (tmp_path / "payments.py").write_text(SERVICE)
    return tmp_path / "seawall.toml"


def until(condition, timeout=20.0):
    """Wait for a condition."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def mode(path):
    """The permission bits of a file."""
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_it_runs_what_the_file_describes_and_stops_in_order(shop):
    with Up(shop) as up:
        payments = up.pid_of("payments")
        where = up.ready["processes"]["payments"]["addresses"][0]
        assert up.ready["hints"] == [f"kill -9 {payments}", f"open http://{up.address}/ and http://{where}/"]
        assert get(where, "/health") == (200, "ok")
        assert get(up.address, "/livez") == (200, "ok\n")
        assert get(up.address, "/readyz")[0] == 200
        assert json.loads(get(up.address, "/health")[1]) == {"status": "healthy", "name": "shop"}
        assert "seawall_" in get(up.address, "/metrics")[1]

        status = until(
            lambda: (found := seawall("status", str(shop))).stdout.startswith("shop: healthy. All") and found
        )
        assert (status.returncode, status.stderr) == (0, "")
        assert "● payments" in status.stdout

        up.send(signal.SIGINT)
        assert up.end() == 0
        assert "Stopping: waiting up to 5 s for payments. Ctrl-C again ends them at once." in up.errors
        until(lambda: not alive(payments))
    assert not (shop.parent / ".seawall" / "daemon.json").exists()
    after = seawall("status", str(shop))
    assert after.returncode == 3
    assert "the daemon was stopped at" in after.stdout
    assert "● payments" in after.stdout


def test_its_folder_is_private(shop):
    with Up(shop) as up:
        folder = shop.parent / ".seawall"
        assert mode(folder) == 0o700
        for name in ("token", "daemon.json", "seawall.sock", "snapshot.json"):
            until((folder / name).exists)
            assert mode(folder / name) == 0o600, name
        record = json.loads((folder / "daemon.json").read_text())
        assert (record["pid"], record["address"]) == (up.process.pid, up.address)
        token = (folder / "token").read_text().strip()
        assert token not in json.dumps(up.ready)
        assert token not in get(up.address, "/api/v1/state")[1]


def test_killed_it_leaves_no_process_and_its_last_state(shop):
    with Up(shop) as up:
        payments = up.pid_of("payments")
        snapshot = shop.parent / ".seawall" / "snapshot.json"
        until(lambda: snapshot.exists() and "All is well" in snapshot.read_text())
        up.send(signal.SIGKILL)
        up.process.wait(10)
        until(lambda: not alive(payments))
        status = seawall("status", str(shop))
        assert status.returncode == 3
        assert f"Unknown: the daemon (pid {up.process.pid}) is dead" in status.stdout
        assert "This is its last state" in status.stdout
        assert "● payments" in status.stdout
        assert json.loads(seawall("status", str(shop), "--json").stdout)["answered"] is False
    with Up(shop) as again:  # what a dead daemon left is in nobody's way
        assert again.process.pid != up.process.pid
        assert get(again.address, "/livez")[0] == 200


def test_a_second_one_is_refused_and_the_first_goes_on(shop):
    with Up(shop) as up:
        second = seawall("up", str(shop))
        assert second.returncode == 2
        assert second.stderr.startswith(f"A daemon already runs for this file (pid {up.process.pid}, {up.address})")
        assert second.stdout == ""
        assert get(up.address, "/livez")[0] == 200
        assert alive(up.pid_of("payments"))


def test_asked_twice_it_ends_at_once_and_takes_everything_with_it(shop):
    shop.write_text(CONFIG.replace("stop_timeout = 5", "stop_timeout = 60"))
    (shop.parent / "payments.py").write_text(STUBBORN)
    with Up(shop) as up:
        payments = up.pid_of("payments")
        until((shop.parent / "started").exists)
        up.send(signal.SIGINT)
        until(lambda: any("waiting up to 60 s for payments" in line for line in up.errors))
        until(lambda: any(line.startswith("waiting for the processes to end, 2") for line in up.errors))
        assert alive(payments)
        assert get(up.address, "/readyz")[0] == 503
        assert get(up.address, "/livez")[0] == 200
        began = time.monotonic()
        up.send(signal.SIGINT)
        assert up.end() == 1
        assert time.monotonic() - began < 5
        until(lambda: not alive(payments))


def test_a_port_in_use_is_said_and_nothing_is_started(shop):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        shop.write_text(CONFIG.replace('[server]\nlisten = "127.0.0.1:0"', f'[server]\nlisten = "127.0.0.1:{port}"'))
        (shop.parent / "payments.py").write_text("open('started', 'w').close()")
        refused = seawall("up", str(shop))
    assert refused.returncode == 2
    assert refused.stderr == (
        f'server.listen = "127.0.0.1:{port}": the port is in use by another program. '
        'Choose another, or "127.0.0.1:0" for any free one.\n'
    )
    assert refused.stdout == ""
    assert not (shop.parent / "started").exists()
    assert not (shop.parent / ".seawall" / "daemon.json").exists()


BROKEN = Path(__file__).parent.parent / "unit" / "config" / "broken"


@pytest.mark.parametrize("kind", sorted(path.stem for path in BROKEN.glob("*.toml")))
def test_a_broken_file_starts_nothing(kind, tmp_path):
    """R-CF1: the mistakes are listed, and there is no half-configured daemon."""
    text = (BROKEN / f"{kind}.toml").read_text()
    started = tmp_path / "started"
    (tmp_path / "seawall.toml").write_text(
        f'{text}\n[processes.witness]\ncommand = ["/bin/sh", "-c", "touch {started}"]\nstart_seconds = 0\n'
    )
    refused = seawall("up", "seawall.toml", "--for", "5", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stdout == ""
    expected = (BROKEN / f"{kind}.expected").read_text().splitlines()
    assert refused.stderr.splitlines()[0] == expected[0]
    assert len(refused.stderr.splitlines()) == len(expected)
    assert "Traceback" not in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seawall.toml"]


def test_what_this_machine_lacks_is_said_before_anything_starts(tmp_path):
    file = tmp_path / "seawall.toml"
    file.write_text(
        '[processes.a]\ncommand = ["no-such-program-4711"]\n[processes.b]\ncommand = ["{python}"]\ncwd = "nowhere"\n'
    )
    refused = seawall("up", str(file))
    assert refused.returncode == 2
    first, second = refused.stderr.splitlines()
    assert first.startswith(f'{file}:2: processes.a.command[0] = "no-such-program-4711": there is no such program: ')
    assert second.startswith(
        f'{file}:5: processes.b.cwd = "nowhere": there is no such folder ({tmp_path / "nowhere"}): '
    )
    assert not (tmp_path / ".seawall").exists()


def test_with_a_time_it_ends_by_itself_with_the_numbers_of_the_run(tmp_path):
    file = tmp_path / "seawall.toml"
    file.write_text('[server]\nlisten = "127.0.0.1:0"\n[processes.caller]\ncommand = ["{python}", "caller.py"]\n')
    (tmp_path / "caller.py").write_text(CALLER)
    with Up(file, "--for", "4s") as up:
        opened = up.wait_for("event", event="CircuitOpened")
        assert opened["name"] == "stock"
        assert opened["text"].startswith('Circuit "stock" opened: 3 calls in a row failed (3 × ConnectionError)')
        assert opened["source"] == f"caller/{up.pid_of('caller')}"
        assert up.end() == 0
    summary = next(line for line in up.lines if line["type"] == "summary")
    (pipeline,) = summary["pipelines"]
    assert pipeline["name"] == "stock"
    assert pipeline["answered"] > 0
    assert pipeline["degraded"] > 0
    assert (pipeline["rejected"], pipeline["failed"]) == (0, 0)
    assert 0 < pipeline["p50"] <= pipeline["p99"]
    assert summary["circuits"] == [{"name": "stock", "state": "open", "transitions": {"closed to open": 1}}]
    assert 3.5 < summary["seconds"] < 8


def test_the_exit_code_of_status_says_how_it_is(shop):
    """R-OP1: 0 healthy, 1 degraded, 2 failed."""
    with Up(shop) as up:
        assert seawall("status", str(shop)).returncode == 0
        os.kill(up.pid_of("payments"), signal.SIGKILL)
        up.wait_for("event", event="ProcessExited")
        status = until(lambda: (found := seawall("status", str(shop))).returncode == 1 and found)
        assert "payments is down: killed by SIGKILL" in status.stdout
        assert "next start in" in status.stdout
    shop.write_text(CONFIG.replace("interval = 0.2", "interval = 0.2\ncritical = true"))
    (shop.parent / "payments.py").write_text(STUBBORN)  # listens to nobody
    with Up(shop):
        until(lambda: seawall("status", str(shop)).returncode == 2)


def test_a_circuit_is_held_and_released_from_another_terminal(tmp_path):
    """R-OP1: reason, expiry, dry run, undo."""
    file = tmp_path / "seawall.toml"
    file.write_text('[server]\nlisten = "127.0.0.1:0"\n[processes.caller]\ncommand = ["{python}", "caller.py"]\n')
    (tmp_path / "caller.py").write_text(CALLER.replace("number % 20 > 16", "False"))
    with Up(file) as up:
        up.wait_for("event", event="ProgramLinked")
        until(lambda: "stock" in seawall("status", str(file)).stdout)
        plan = seawall("breaker", "open", "stock", "--reason", "a test", "--dry-run", "--file", str(file))
        assert plan.returncode == 0
        assert f"of caller (pid {up.pid_of('caller')})" in plan.stdout
        assert "Nothing was done (--dry-run)." in plan.stdout
        unasked = seawall("breaker", "open", "stock", "--reason", "a test", "--file", str(file))
        assert (unasked.returncode, unasked.stdout) == (2, "")
        assert "--yes does it without asking" in unasked.stderr

        done = seawall("breaker", "open", "stock", "--reason", "a test", "--for", "5min", "--yes", "--file", str(file))
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == f"Undo: seawall breaker release stock --file {file}"
        assert up.wait_for("event", event="CircuitForced")["reason"] == "a test"
        status = until(lambda: (found := seawall("status", str(file))).returncode == 1 and found)
        assert "stock is held open by" in status.stdout

        wrong = seawall("breaker", "open", "stok", "--reason", "a test", "--yes", "--file", str(file))
        assert (wrong.returncode, wrong.stderr) == (2, 'There is no circuit "stok": did you mean "stock"?\n')
        assert seawall("breaker", "release", "stock", "--file", str(file)).returncode == 0
        up.wait_for("event", event="CircuitReleased")
        until(lambda: seawall("status", str(file)).returncode == 0)

        watched = seawall("breaker", "observe", "stock", "--reason", "a look", "--yes", "--file", str(file))
        assert (watched.returncode, watched.stdout.splitlines()[0]) == (0, 'Circuit "stock" observed only for 10 min.')
        until(lambda: "stock is only observed by" in seawall("status", str(file)).stdout)
        assert seawall("breaker", "release", "stock", "--file", str(file)).returncode == 0
    gone = seawall("breaker", "release", "stock", "--file", str(file))
    assert (gone.returncode, gone.stderr) == (3, "Nothing was done: no daemon runs for this file.\n")


def test_a_path_too_long_for_a_socket_gets_one_elsewhere(shop, tmp_path):
    deep = tmp_path / ("deep" * 20) / ("er" * 20)
    deep.mkdir(parents=True)
    shop.rename(deep / "seawall.toml")
    (tmp_path / "payments.py").rename(deep / "payments.py")
    with Up(deep / "seawall.toml") as up:
        record = json.loads((deep / ".seawall" / "daemon.json").read_text())
        path = Path(record["socket"])
        assert len(os.fsencode(path)) < 104
        assert (mode(path), mode(path.parent)) == (0o600, 0o700)
        assert seawall("status", str(deep / "seawall.toml")).returncode == 0
        assert up.end_in_order() == 0
    assert not path.exists()
    path.parent.rmdir()


def test_a_part_that_fails_does_not_stop_the_rest(shop):
    with Up(shop) as up:
        snapshot = shop.parent / ".seawall" / "snapshot.json"
        until(snapshot.exists)
        snapshot.unlink()
        snapshot.mkdir()  # no state can be saved any more
        (snapshot / "in the way").touch()
        until(lambda: any("The state could not be saved" in line for line in up.errors))
        assert get(up.address, "/livez")[0] == 200
        time.sleep(2.5)
        assert sum("could not be saved" in line for line in up.errors) == 1
        assert up.end_in_order() == 0
