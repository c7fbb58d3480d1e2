"""Serves an ASGI app on the socket the supervisor holds, so that a restart loses no connection that waits."""

import os
import socket

import uvicorn
from starlette.applications import Starlette


def serve(app: Starlette) -> None:
    """Run `app` on the socket passed on as file descriptor 3, or on a free port of 127.0.0.1 without a supervisor."""
    if int(os.environ.get("LISTEN_FDS", "0")) > 0:
        listener = socket.socket(fileno=3)
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2))
    server.run(sockets=[listener])
