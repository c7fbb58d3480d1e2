"""The program's socket to the daemon: lines out and in, never blocking, bounded both ways."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING

from seawall.report.protocol import MAX_SMALL_LINE_BYTES, Message, ProtocolError, decode, is_trusted, peer_of

if TYPE_CHECKING:
    from seawall.core.clock import Clock

_CHUNK = 64 * 1024


class Wire:
    """One connection after another to the same socket, and a way for other threads to wake the one that waits on it."""

    def __init__(self) -> None:
        self.woken = False  #: something should be said soon
        self.welcomed = False
        self._sock: socket.socket | None = None
        self._out = bytearray()
        self._in = bytearray()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)

    @property
    def idle(self) -> bool:
        """Whether everything queued has gone out."""
        return not self._out

    def wake(self) -> None:
        """Have the waiting thread look; called from any thread, never blocks, never raises."""
        if self.woken:
            return
        self.poke()

    def poke(self) -> None:
        """Wake the waiting thread, even if it was woken before."""
        self.woken = True
        try:
            self._wake_out.send(b"w")
        except OSError:
            return  # full: it is being woken anyway; closed: nobody waits

    def connect(self, path: str) -> None:
        """Connect to the daemon.

        Raises:
            OSError: it is not there, or busy.
            ConnectionError: it belongs to another user.
        """
        self._out.clear()
        self._in.clear()
        self.welcomed = False
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock = sock
        sock.setblocking(False)
        # NB: a unix socket connects at once or fails at once, also when not blocking
        sock.connect(os.fsencode(path))
        if not is_trusted(peer_of(sock)):
            raise ConnectionError("the socket belongs to another user")

    def queue(self, line: bytes) -> None:
        """Add a line to what goes out."""
        self._out += line

    def wait(self, timeout: float) -> tuple[bool, list[Message]]:
        """Send and receive until something happens, somebody calls `wake`, or `timeout` seconds have passed.

        Returns:
            Whether bytes went out, and the messages that came in.

        Raises:
            ProtocolError: if what came in is none.
            OSError: if the connection broke.
        """
        sock = self._sock
        if sock is None:
            raise ConnectionError("not connected")
        waiting = select.poll()
        waiting.register(self._wake_in, select.POLLIN)
        waiting.register(sock, select.POLLIN | (select.POLLOUT if self._out else 0))
        ready = dict(waiting.poll(timeout * 1000))
        if self._wake_in.fileno() in ready:
            try:
                self._wake_in.recv(_CHUNK)
            except BlockingIOError:
                pass
        state = ready.get(sock.fileno(), 0)
        progress = bool(state & select.POLLOUT) and self._send(sock)
        if state & (select.POLLIN | select.POLLHUP | select.POLLERR):
            return progress, self._receive(sock)
        return progress, []

    def flush(self, clock: Clock, until: float) -> None:
        """Send what is queued, as far as that is possible before `until` on `clock`."""
        while self._out and (left := until - clock.now()) > 0:
            self.wait(left)

    def disconnect(self) -> None:
        """End the connection, if there is one."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def discard(self) -> None:
        """Give back everything; in the child of a fork too, where it leaves the parent's connection alone."""
        self.disconnect()
        self._wake_in.close()
        self._wake_out.close()

    def _send(self, sock: socket.socket) -> bool:
        """Send what the kernel takes."""
        try:
            count = sock.send(memoryview(self._out)[:_CHUNK])
        except BlockingIOError:
            return False
        del self._out[:count]
        return count > 0

    def _receive(self, sock: socket.socket) -> list[Message]:
        """Read what is there, and cut it into messages."""
        try:
            data = sock.recv(_CHUNK)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionResetError("the daemon hung up")
        self._in += data
        *lines, rest = bytes(self._in).split(b"\n")
        if len(rest) > MAX_SMALL_LINE_BYTES:
            raise ProtocolError("a line that is too long")
        self._in = bytearray(rest)
        return [decode(line) for line in lines]
