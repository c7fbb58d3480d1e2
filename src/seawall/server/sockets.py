"""The listening socket of the server."""

from __future__ import annotations

import socket


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `host` and `port` (0: the kernel chooses), for `uvicorn.Server.serve([…])`.

    NB: it says TCP by its number. asyncio switches delays of small packets off only then, and a server that sends the
    head and the body of an answer apart would take 40 ms for each without.

    Raises:
        OSError: if the address is taken or is not of this machine.
    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(512)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening
