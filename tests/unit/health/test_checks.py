"""Checks against real files, processes and sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from seawall.core.errors import ConfigurationError
from seawall.health import DiskCheck, HttpCheck, MemoryCheck, ProcessCheck, Status, TcpCheck
from seawall.health.host import group_memory, size
from seawall.health.offload import Offload, StillBusyError


@asynccontextmanager
async def answering(reply: bytes | None):
    """A server that sends `reply` to whoever connects, or never answers."""

    async def serve(reader, writer):
        if reply is None:
            await reader.read()
        else:
            await reader.readline()
            writer.write(reply)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        # those that are being accepted too; they end when their client has hung up
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=5)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nall fit"


async def test_a_disk_with_room_is_healthy_and_says_how_much(tmp_path):
    result = await DiskCheck(name="disk", path=tmp_path, degraded_below=0.0, critical_below=0.0).run()
    assert result.status is Status.HEALTHY
    assert 0 <= result.details["free_ratio"] <= 1
    assert result.error_message == ""
    assert result.response_time_ms >= 0


async def test_a_full_disk_is_critical_and_says_where_the_limit_is(tmp_path):
    result = await DiskCheck(name="disk", path=tmp_path, degraded_below=1.0, critical_below=1.0).run()
    assert result.status is Status.CRITICAL
    assert "critical below 100%" in result.error_message


async def test_a_folder_that_is_not_there_is_unhealthy():
    result = await DiskCheck(name="disk", path="/does/not/exist").run()
    assert result.status is Status.UNHEALTHY
    assert "No such file" in result.error_message


async def test_memory_is_a_share_of_what_there_is():
    result = await MemoryCheck(name="memory", degraded_above=1.0, critical_above=1.0).run()
    assert result.status is Status.HEALTHY
    assert 0 < result.details["used_ratio"] < 1
    tight = await MemoryCheck(name="memory", degraded_above=0.0, critical_above=0.0).run()
    assert tight.status is Status.CRITICAL


def test_the_limit_of_a_control_group_is_read_in_both_versions(tmp_path):
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 200\n")
    assert group_memory(tmp_path) == (500.0, 1000.0)
    old = tmp_path / "v1" / "memory"
    old.mkdir(parents=True)
    (old / "memory.usage_in_bytes").write_text("90\n")
    (old / "memory.limit_in_bytes").write_text("100\n")
    (old / "memory.stat").write_text("total_inactive_file 40\n")
    assert group_memory(tmp_path / "v1") == (50.0, 100.0)
    (tmp_path / "memory.max").write_text("max\n")
    assert group_memory(tmp_path) is None


async def test_a_living_process_is_healthy():
    result = await ProcessCheck(name="me", pid=os.getpid).run()
    assert result.status is Status.HEALTHY
    assert result.details["pid"] == os.getpid()


@pytest.fixture
def child():
    """A process that waits for input."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield process
    process.kill()
    process.communicate()


async def test_a_stopped_process_is_unhealthy_and_the_way_out_is_named(child):
    child.send_signal(signal.SIGSTOP)
    await asyncio.to_thread(os.waitid, os.P_PID, child.pid, os.WSTOPPED)
    result = await ProcessCheck(name="child", pid=lambda: child.pid).run()
    assert result.status is Status.UNHEALTHY
    assert f"kill -CONT {child.pid}" in result.error_message


async def test_a_process_that_ended_but_was_not_reaped_is_dead(child):
    child.kill()
    await asyncio.to_thread(os.waitid, os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    result = await ProcessCheck(name="child", pid=lambda: child.pid).run()
    assert result.status is Status.UNHEALTHY
    assert "dead" in result.error_message


@pytest.mark.parametrize(
    "content,said", [(None, "does not exist"), ("abc", "holds no process id"), ("4194999", "does not exist")]
)
async def test_a_pid_file_that_leads_nowhere_is_unhealthy(tmp_path, content, said):
    path = tmp_path / "pid"
    if content is not None:
        path.write_text(content)
    result = await ProcessCheck(name="child", pid_file=path).run()
    assert result.status is Status.UNHEALTHY
    assert said in result.error_message


async def test_no_process_at_present_is_unhealthy():
    result = await ProcessCheck(name="child", pid=lambda: None).run()
    assert (result.status, result.error_message) == (Status.UNHEALTHY, "no such process is running")


async def test_an_expected_answer_is_healthy():
    async with answering(OK) as address:
        result = await HttpCheck(name="web", url=f"http://{address}/", expect_text="all fit").run()
    assert result.status is Status.HEALTHY
    assert result.details["status_code"] == 200


@pytest.mark.parametrize(
    "reply,options,said",
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", {}, "answered 503, 200 to 399 was expected"),
        (OK, {"expect_status": (204, 205)}, "answered 200, 204 or 205 was expected"),
        (OK, {"expect_text": "fine"}, "without the expected text"),
        (b"SSH-2.0-nonsense\r\n", {}, ""),
        (b"", {}, ""),
    ],
)
async def test_an_unexpected_answer_is_unhealthy(reply, options, said):
    async with answering(reply) as address:
        result = await HttpCheck(name="web", url=f"http://{address}/", **options).run()
    assert result.status is Status.UNHEALTHY
    assert said in result.error_message
    assert result.error_message


async def test_a_slow_answer_is_degraded():
    async with answering(OK) as address:
        result = await HttpCheck(name="web", url=f"http://{address}/", degraded_above=0.0).run()
    assert result.status is Status.DEGRADED


async def test_a_server_that_never_answers_is_unhealthy_after_the_timeout():
    async with answering(None) as address:
        result = await HttpCheck(name="web", url=f"http://{address}/", timeout=0.1).run()
    assert (result.status, result.error_message) == (Status.UNHEALTHY, "no answer within 0.1 s")


async def test_credentials_in_an_address_are_never_shown():
    result = await HttpCheck(name="web", url="http://me:secret@127.0.0.1:1/x?key=hidden").run()
    assert result.status is Status.UNHEALTHY
    assert "refused" in result.error_message
    assert "secret" not in str(result)
    assert "hidden" not in str(result)


async def test_a_port_that_accepts_is_healthy_and_one_that_does_not_is_refused():
    async with answering(None) as address:
        assert (await TcpCheck(name="port", address=address).run()).status is Status.HEALTHY
    result = await TcpCheck(name="port", address=address).run()
    assert (result.status, result.error_message) == (Status.UNHEALTHY, f"{address}: connection refused")


@pytest.mark.parametrize(
    "make,said",
    [
        (lambda: TcpCheck(name="", address="a:1"), "name is empty"),
        (lambda: TcpCheck(name="x", address="a:1", interval=0), "interval = 0: must be more than 0 seconds"),
        (lambda: TcpCheck(name="x", address="a:1", interval=1), "timeout = 5.0: must be at most the interval of 1 s"),
        (lambda: TcpCheck(name="x", address="a:1", fall=0), "fall = 0: must be at least 1"),
        (lambda: TcpCheck(name="x", address="a:1", stale_after=3), "stale_after = 3"),
        (lambda: TcpCheck(name="x", address="a"), 'must be "host:port"'),
        (lambda: TcpCheck(name="x", address="a:99999"), 'must be "host:port"'),
        (lambda: HttpCheck(name="x", url="ftp://a/"), "must be an absolute http or https address"),
        (lambda: HttpCheck(name="x", url="http://a/", expect_status=(20,)), "status codes from 100 to 599"),
        (lambda: DiskCheck(name="x", path="/", degraded_below=1.5), "must be a share from 0 to 1"),
        (lambda: DiskCheck(name="x", path="/", critical_below=0.5), "must not exceed degraded_below (0.1)"),
        (lambda: MemoryCheck(name="x", critical_above=0.5), "must not be below degraded_above (0.9)"),
        (lambda: ProcessCheck(name="x"), "give either a process to look at or a pid_file"),
    ],
)
def test_a_check_that_cannot_work_is_refused_with_the_remedy(make, said):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert said in str(caught.value)


def test_a_check_speaks_about_itself_unless_told_otherwise():
    assert TcpCheck(name="x", address="a:1").dependency == "x"
    assert TcpCheck(name="x", address="a:1", dependency="y").dependency == "y"
    assert TcpCheck(name="x", address="a:1").options.stale_after == 35.0


async def test_a_blocking_call_that_hangs_keeps_its_only_place_and_is_not_begun_twice():
    import threading

    release, offload, begun = threading.Event(), Offload(), []

    def hang():
        begun.append(1)
        release.wait(10)
        return "late"

    first = asyncio.ensure_future(offload.run(hang, "mount"))
    while not begun:
        await asyncio.wait({first}, timeout=0.01)
    with pytest.raises(StillBusyError, match="mount still hangs"):
        await offload.run(hang, "mount")
    release.set()
    assert await first == "late"
    assert await offload.run(lambda: 1, "mount") == 1
    assert len(begun) == 1


def test_sizes_read_as_people_write_them():
    assert [size(n) for n in (0, 999, 1500, 2.5e9, 3e18)] == ["0 B", "999 B", "1.5 kB", "2.5 GB", "3e+03 PB"]
