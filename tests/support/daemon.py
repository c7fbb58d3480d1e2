"""A real `seawall up` as a process of its own, for tests: started, read line by line, and always ended."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

#: Serves HTTP on the socket the daemon hands on: 200 for every path; `/stop` ends it with code 3.
SERVICE = """\
import os, socket, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/stop":
            os._exit(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
server.serve_forever()
"""


def command(*arguments: str) -> list[str]:
    """The command line of `seawall`."""
    return [sys.executable, "-m", "seawall.cli", *arguments]


def seawall(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def get(address: str, path: str) -> tuple[int, str]:
    """Status and body of a GET."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def alive(pid: int) -> bool:
    """True while a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


class Up:
    """`seawall up --json` for a file; a context manager that leaves nothing running."""

    def __init__(self, file: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            command("up", str(file), "--json", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=file.parent,
            start_new_session=True,
        )
        self.lines: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.ready: dict[str, Any] = {}
        self._news: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read_out, daemon=True),
            threading.Thread(target=self._read_err, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._news.put(json.loads(line))
        self._news.put(None)

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line.rstrip("\n"))

    def wait_for(self, kind: str, timeout: float = 30.0, **fields: Any) -> dict[str, Any]:
        """The next line of a type with these fields."""
        while True:
            try:
                line = self._news.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError(f"no {kind} {fields} within {timeout} s: {self.lines} {self.errors}") from None
            if line is None:
                raise AssertionError(f"it ended without {kind} {fields}: {self.lines} {self.errors}")
            self.lines.append(line)
            if line["type"] == kind and all(line.get(key) == value for key, value in fields.items()):
                return line

    @property
    def address(self) -> str:
        """Where its web server listens."""
        return str(self.ready["page"]).removeprefix("http://").removesuffix("/")

    def pid_of(self, name: str) -> int:
        """The process id a process had when everything ran."""
        return int(self.ready["processes"][name]["pid"])

    def send(self, number: int) -> None:
        """Send the daemon itself a signal."""
        self.process.send_signal(number)

    def end(self, timeout: float = 30.0) -> int:
        """Wait for its end; its exit code."""
        code = self.process.wait(timeout)
        for thread in self._threads:
            thread.join(10)
        while not self._news.empty():
            line = self._news.get()
            if line is not None:
                self.lines.append(line)
        return code

    def end_in_order(self) -> int:
        """Ask it to stop, and wait; its exit code."""
        self.send(signal.SIGTERM)
        return self.end()

    def __enter__(self) -> Self:
        try:
            self.ready = self.wait_for("ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()  # its keeper ends the processes
                self.process.wait(10)
        for thread in self._threads:
            thread.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
