"""Sockets whose every wait is cut to what remains of the ambient deadline at that moment.

HTTP clients apply a timeout to each read, so an answer that drips in, headers included, never times out. Where a socket
is read with the deadline in context, cutting every single read is enough and needs no second thread.
"""

from __future__ import annotations

import io
from typing import Any

from seawall.integrations._common import clamped

_PIECE = 65_536  # bytes written at a time: each piece looks at the deadline anew


class ClampedStream:
    """A network stream of httpcore or httpcore2."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, or wait for it until the deadline."""
        data: bytes = self._stream.read(max_bytes, clamped(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it, until the deadline."""
        for at in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[at : at + _PIECE], clamped(timeout))

    def close(self) -> None:
        """Close the socket."""
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        """Encrypt from here on."""
        return ClampedStream(self._stream.start_tls(ssl_context, server_hostname, clamped(timeout)))

    def get_extra_info(self, info: str) -> Any:
        """What the stream itself says."""
        return self._stream.get_extra_info(info)


class ClampedBackend:
    """Opens network streams for httpcore or httpcore2."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:
        """A connection to a host."""
        return ClampedStream(self._backend.connect_tcp(host, port, timeout=clamped(timeout), **options))

    def connect_unix_socket(self, path: str, timeout: float | None = None, **options: Any) -> Any:
        """A connection to a socket of this machine."""
        return ClampedStream(self._backend.connect_unix_socket(path, timeout=clamped(timeout), **options))

    def sleep(self, seconds: float) -> None:
        """Used by the client's own retries only, which are refused."""
        self._backend.sleep(seconds)


class ClampedSocket:
    """A socket as `http.client` and redis-py use it, plain or encrypted."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._limit: float | None = sock.gettimeout()

    def settimeout(self, limit: float | None) -> None:
        """What a single wait may take if no deadline is nearer."""
        self._limit = limit
        self._sock.settimeout(limit)

    def clamp(self) -> None:
        """Cut the next wait to what remains."""
        self._sock.settimeout(clamped(self._limit))

    @property
    def limit(self) -> float | None:
        """What a single wait may take if no deadline is nearer."""
        return self._limit

    def recv(self, *args: Any) -> bytes:
        """Read what is there, or wait for it until the deadline."""
        self.clamp()
        data: bytes = self._sock.recv(*args)
        return data

    def recv_into(self, *args: Any) -> int:
        """The same, into a buffer."""
        self.clamp()
        count: int = self._sock.recv_into(*args)
        return count

    def sendall(self, data: Any, *args: Any) -> None:
        """Write all of it, until the deadline."""
        view = memoryview(data).cast("B")
        for at in range(0, len(view), _PIECE):
            self.clamp()
            self._sock.sendall(view[at : at + _PIECE], *args)

    def makefile(self, mode: str = "r", buffering: int | None = None, **options: Any) -> Any:
        """A reader of this socket; only the kind that `http.client` asks for is cut to the deadline."""
        if mode != "rb":
            return self._sock.makefile(mode, buffering, **options)
        size = io.DEFAULT_BUFFER_SIZE if buffering is None or buffering < 1 else buffering
        return io.BufferedReader(_Reader(self, self._sock.makefile("rb", 0)), size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Reader(io.RawIOBase):
    """Reads of a `ClampedSocket`."""

    def __init__(self, owner: ClampedSocket, raw: Any) -> None:
        self._owner = owner
        self._raw = raw

    def readable(self) -> bool:
        """Yes."""
        return True

    def fileno(self) -> int:
        """That of the socket."""
        number: int = self._raw.fileno()
        return number

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there, or wait for it until the deadline."""
        self._owner.clamp()
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        """Let go of the socket, which closes when its last user does."""
        self._raw.close()
        super().close()
