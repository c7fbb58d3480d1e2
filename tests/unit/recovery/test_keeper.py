import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seawall.recovery import keeper
from seawall.recovery.keeper import Family, is_alive, living, read_stat

# other processes of the same test run have children of their own
MARK = f"test/mark-{os.getpid()}"

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@pytest.fixture
def child():
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        start_new_session=True,
        env={**os.environ, "SEAWALL_PROCESS": MARK},
    )
    # right after the start the kernel may still show no environment
    while MARK.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes():
        time.sleep(0.01)  # noqa: TID251 - a moment of real time, until the kernel is ready
    yield process
    process.kill()
    process.wait()


def stat_of(pid):
    stat = read_stat(pid)
    assert stat is not None
    return stat


def ignores(pid, number):
    """Whether a process ignores a signal."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return bool(int(status.partition("SigIgn:")[2].split()[0], 16) & (1 << (number - 1)))


@linux
def test_a_family_is_found_by_group_or_by_mark_alone(child):
    started = stat_of(child.pid).started
    assert living([Family(child.pid, started, MARK)]) == {child.pid: [child.pid]}
    assert living([Family(child.pid, started, "")]) == {child.pid: [child.pid]}
    assert living([Family(999_999_999, 1, MARK)]) == {999_999_999: [child.pid]}


@linux
def test_a_number_that_another_process_has_now_is_no_family(child):
    started = stat_of(child.pid).started
    assert living([Family(child.pid, started + 1, "another/mark")]) == {child.pid: []}


@linux
def test_a_dead_process_that_is_not_reaped_yet_does_not_live(child):
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(child.pid)
    assert living([Family(child.pid, 0, "")]) == {child.pid: []}


@linux
def test_half_a_line_and_nonsense_do_not_keep_the_keeper_from_its_work(child):
    stat = stat_of(child.pid)
    guard = subprocess.Popen([sys.executable, "-I", "-S", keeper.__file__], stdin=subprocess.PIPE)
    lines = "nonsense\nadd x y\n\nadd 999999999 5 other/mark\ngone 999999999\n"
    lines += f"add {child.pid} {stat.started} {MARK}\nadd 12"
    guard.communicate(lines.encode(), timeout=20)
    assert guard.returncode == 0
    assert child.wait(5) == -signal.SIGTERM


@linux
def test_a_keeper_told_of_nothing_ends_at_once_and_ignores_polite_signals():
    guard = subprocess.Popen([sys.executable, "-I", "-S", keeper.__file__], stdin=subprocess.PIPE)
    assert guard.stdin is not None
    guard.stdin.write(b"add 999999999 5 x\ngone 999999999\n")
    guard.stdin.flush()
    polite = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # some may be ignored here, and inherited
    while not all(ignores(guard.pid, number) for number in polite):
        assert guard.poll() is None
    guard.send_signal(signal.SIGTERM)
    guard.send_signal(signal.SIGINT)
    assert guard.poll() is None
    guard.communicate(timeout=5)
    assert guard.returncode == 0
