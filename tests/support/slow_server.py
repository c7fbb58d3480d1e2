"""An HTTP server over raw sockets that misbehaves as its paths say, on a port of the kernel's choice."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, urlsplit

MOST = 256  # connections at once; more are closed at once
PACE = 1.0  # seconds between two bytes of a drip


@dataclass
class Received:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query: dict[str, str] = field(default_factory=dict)


class SlowServer:
    """Serves until it is closed.

    Paths: `/ok`, `/echo`, `/silent`, `/drip-body`, `/drip-headers`, `/reset`, `/reset-body`, `/half-closed`,
    `/status/NNN` (query: headers to add), `/flaky/NNN/TIMES` (that status so many times, then 200),
    `/big/NNN` (a large body with that status), `/sse/ITEMS/END` with END one of `end`, `cut`, `silence`.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.received: list[Received] = []
        self.opened = 0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._live: set[socket.socket] = set()
        self._times: dict[str, int] = {}

    @property
    def live(self) -> int:
        """Connections that are open now."""
        with self._lock:
            return len(self._live)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            live = list(self._live)
        for one in live:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                full = len(self._live) >= MOST
                if not full:
                    self._live.add(connection)
                    self.opened += 1
            if full:
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        try:
            while not self._closing.is_set():
                request = self._read(reader)
                if request is None:
                    return
                with self._lock:
                    self.received.append(request)
                if not self._answer(connection, request):
                    return
        except OSError:
            pass  # the client went away, which is what many of the tests are about
        finally:
            with self._lock:
                self._live.discard(connection)
            connection.close()
            reader.close()

    def _read(self, reader) -> Received | None:
        line = reader.readline(65_536).decode("latin-1").split()
        if len(line) < 2:
            return None
        headers = {}
        while (header := reader.readline(65_536).strip()) != b"":
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while (size := int(reader.readline().strip() or b"0", 16)) > 0:
                body += reader.read(size)
                reader.readline()
            reader.readline()
        else:
            body = reader.read(int(headers.get("content-length", 0)))
        parts = urlsplit(line[1])
        return Received(line[0], parts.path, headers, body, dict(parse_qsl(parts.query)))

    def _answer(self, connection: socket.socket, request: Received) -> bool:
        """Answer; False to close the connection."""
        word, *rest = request.path.strip("/").split("/")
        match word:
            case "echo":
                seen = {"method": request.method, "headers": request.headers, "body": request.body.decode("latin-1")}
                return self._send(connection, 200, json.dumps(seen).encode())
            case "status":
                return self._send(connection, int(rest[0]), b"as asked", request.query)
            case "flaky":
                return self._send(connection, self._flaky(request.path, int(rest[0]), int(rest[1])), b"flaky")
            case "big":
                return self._send(connection, int(rest[0]), b"x" * 300_000)
            case "sse":
                return self._events(connection, int(rest[0]), rest[1])
            case "ok":
                return self._send(connection, 200, b"ok")
        self._misbehave(connection, word)
        return False

    def _misbehave(self, connection: socket.socket, word: str) -> None:
        """What no server should do; the connection is closed after it."""
        match word:
            case "silent":
                self._closing.wait(30)
            case "drip-body":
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
                self._drip(connection, b"x" * 1000)
            case "drip-headers":
                self._drip(connection, b"HTTP/1.1 200 OK\r\nx-slow: " + b"x" * 1000)
            case "reset" | "reset-body":
                if word == "reset-body":
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nsome")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case "half-closed":
                connection.shutdown(socket.SHUT_WR)
                self._closing.wait(0.5)

    def _flaky(self, path: str, status: int, times: int) -> int:
        with self._lock:
            count = self._times[path] = self._times.get(path, 0) + 1
        return status if count <= times else 200

    def _send(self, connection, status: int, body: bytes, headers: dict[str, str] | None = None) -> bool:
        bodiless = status < 200 or status in {204, 304}
        lines = [f"HTTP/1.1 {status} Made-Up", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        if not bodiless:
            lines.append(f"content-length: {len(body)}")
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + (b"" if bodiless else body))
        return True

    def _events(self, connection, items: int, end: str) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number in range(items):
            data = f"data: {number}\n\n".encode()
            connection.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self._closing.wait(0.01)
        if end == "end":
            connection.sendall(b"0\r\n\r\n")
            return True
        if end == "silence":
            self._closing.wait(30)
        return False

    def _drip(self, connection, data: bytes) -> None:
        for at in range(len(data)):
            connection.sendall(data[at : at + 1])
            if self._closing.wait(PACE):
                break
