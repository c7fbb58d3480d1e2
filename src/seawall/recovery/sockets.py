"""Listening sockets that the supervisor holds, so that they stay open while a process is restarted."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from seawall.core.errors import ConfigurationError
from seawall.recovery.options import split_address

#: Connections the kernel keeps while nobody accepts, such as during a restart; Linux cuts it to net.core.somaxconn.
BACKLOG = 1024


class Listener(NamedTuple):
    """An open listening socket, and its address as "host:port" with the port the kernel chose."""

    socket: socket.socket
    address: str


def open_listener(address: str, place: str) -> Listener:
    """Listen on `address`, "host:port".

    Raises:
        ConfigurationError: naming `place`, if that is impossible.
    """
    host, port = split_address(address, place)
    sock = None
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(target)
        sock.listen(BACKLOG)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise ConfigurationError(
            f"{place} = {address!r}: cannot listen there: {_reason(error)}. "
            f"Choose another port (0 lets the kernel choose), or end what uses it."
        ) from error
    bound = sock.getsockname()
    shown = f"[{bound[0]}]" if family == socket.AF_INET6 else bound[0]
    return Listener(sock, f"{shown}:{bound[1]}")


def _reason(error: OSError) -> str:
    """An error in words, without Python's number in brackets."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return str(error.args[-1])
    return os.strerror(error.errno)
