"""Runs the web server on a socket of our own, in the daemon's loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import uvicorn

from seawall.config.values import Address, address_of
from seawall.core.errors import ConfigurationError
from seawall.daemon.logs import logger

if TYPE_CHECKING:
    from starlette.applications import Starlette

_BACKLOG = 256
_LAST_ANSWERS = 2  # seconds for answers under way when it stops
_STARTING = 0.01


def bind(listen: str) -> tuple[socket.socket, Address]:
    """Listen on "host:port"; gives the socket and the address, with the port the system chose for 0.

    Raises:
        ConfigurationError: saying why not, and what to do.
    """
    wanted = address_of(listen)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigurationError(
            f'server.listen = "{listen}": no such host here ({error.strerror or error}).'
        ) from None
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f'server.listen = "{listen}": the port is in use by another program. '
                f'Choose another, or "{wanted.host}:0" for any free one.'
            ) from None
        raise ConfigurationError(f'server.listen = "{listen}": cannot listen there: {error.strerror}.') from None
    return sock, Address(wanted.host, int(sock.getsockname()[1]))


class _Uvicorn(uvicorn.Server):
    """uvicorn without its hands on the signals: the daemon has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


class WebServer:
    """Serves an application until stopped.

    Args:
        app: what is served.
        sock: where; it is closed in the end.
    """

    def __init__(self, app: Starlette, sock: socket.socket) -> None:
        self._sock = sock
        options: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False, "lifespan": "on"}
        self._server = _Uvicorn(
            uvicorn.Config(app, ws="none", timeout_graceful_shutdown=_LAST_ANSWERS, timeout_keep_alive=30, **options)
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve; returns once requests are answered.

        Raises:
            RuntimeError: if the application did not start.
        """
        self._task = asyncio.create_task(self._server.serve(sockets=[self._sock]), name="seawall-web")
        self._task.add_done_callback(self._ended)
        while not self._server.started:
            await asyncio.wait({self._task}, timeout=_STARTING)
            if self._task.done():
                self._task.result()
                raise RuntimeError("the web application did not start")

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Say so if it ended without having been asked: everything else goes on without it."""
        if not self._server.should_exit:
            error = None if task.cancelled() else task.exception()
            logger.error("The web server has ended; everything else goes on without the page.", exc_info=error)

    async def stop(self) -> None:
        """Take no more requests, end those under way, and close the socket."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_LAST_ANSWERS + 2)
            if not self._task.done():
                self._server.force_exit = True
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=1)
        self._sock.close()
