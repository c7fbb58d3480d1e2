"""Real servers for ASGI and WSGI applications, on ports of the kernel's choice."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import uvicorn


class Running:
    """A uvicorn in a thread."""

    def __init__(self, app) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on", ws="none"))
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        end = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < end, "uvicorn did not start within 10 s"
            time.sleep(0.01)

    def _run(self) -> None:
        try:
            self.loop.run_until_complete(self._server.serve(sockets=[self._socket]))
        finally:
            self.loop.close()

    def close(self) -> None:
        """End it, and wait for what is in flight for a while only."""
        self._server.should_exit = True
        self._thread.join(5)
        self._server.force_exit = True
        self._thread.join(5)
        self._socket.close()


@contextmanager
def asgi(app) -> Iterator[Running]:
    """`app` under uvicorn."""
    running = Running(app)
    try:
        yield running
    finally:
        running.close()


class _Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args) -> None:
        """Says nothing."""


@contextmanager
def wsgi(app) -> Iterator[str]:
    """`app` under the server of the standard library, a thread for each request; gives its address."""
    server = _Threaded(("127.0.0.1", 0), _Quiet)
    server.set_app(app)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
