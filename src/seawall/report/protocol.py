"""What goes over the link: one JSON object a line, version 1.

Up (program to daemon):

| type | fields |
| --- | --- |
| hello | v, program, pid, worker: always first |
| snapshot | taken_at, pipelines, policies: all after the hello, then those that changed; once a second at least |
| events | entries: journal entries in their JSON form |
| aggregate | since the last one: suppressed {kind: count} left out by the rate bound, dropped: lost to a full queue |
| ack | id, ok, message |
| bye | the program ends |

Down (daemon to program):

| type | fields |
| --- | --- |
| welcome | v |
| refused | reason: the daemon hangs up after it |
| force | id, name, state, owner, reason, expires_in, sent_at (wall) |
| release | id, name, owner, reason |

Counters are cumulative since the program began, so a lost line loses nothing for good.
"""

from __future__ import annotations

import json
import math
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from seawall.core.snapshot import Snapshot
    from seawall.events.bus import Bus

VERSION = 1
#: Longest line the daemon takes, bytes. Programs end their lines far below it; more is a broken peer.
MAX_LINE_BYTES = 1024 * 1024
#: Longest line before the hello was accepted, and of anything that goes down, bytes.
MAX_SMALL_LINE_BYTES = 64 * 1024
#: Environment variables by which a supervised program finds its daemon and learns its name.
SOCKET_VARIABLE = "SEAWALL_SOCKET"
PROGRAM_VARIABLE = "SEAWALL_PROGRAM"

ForcedState = Literal["open", "closed", "disabled", "observe"]
FORCED_STATES: tuple[str, ...] = ("open", "closed", "disabled", "observe")

Message = dict[str, Any]


class ProtocolError(Exception):
    """The peer sent something that is no message of this protocol."""


class LinkedRegistry(Protocol):
    """What the link needs of a program's registry."""

    @property
    def bus(self) -> Bus:
        """Where its events are published."""

    def snapshot(self) -> Snapshot:
        """Everything it protects, now."""

    def force_circuit(
        self, name: str, state: ForcedState, *, owner: str, reason: str, expires_in: float | None
    ) -> object:
        """Pin a circuit; ConfigurationError if there is none of that name."""

    def release_circuit(self, name: str, *, owner: str, reason: str) -> object:
        """End a pin; ConfigurationError if there is no circuit of that name."""


class Credentials(NamedTuple):
    """Who is at the other end of a unix socket."""

    pid: int
    uid: int


def encode(message: Message) -> bytes:
    """A message as a line; what JSON has no form for becomes text, what is not finite becomes null."""
    try:
        text = json.dumps(message, separators=(",", ":"), default=str, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(message), separators=(",", ":"), default=str, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def decode(line: bytes) -> Message:
    """The message in a line.

    Raises:
        ProtocolError: if it holds no JSON object with a "type".
    """
    try:
        message = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON ({type(error).__name__})") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError('not an object with a "type"')
    return message


def number(message: Message, key: str, *, low: float = 0.0) -> float:
    """A finite number of a message, at least `low`.

    Raises:
        ProtocolError: if it is anything else.
    """
    value = message.get(key)
    # NB: comparing comes first: an int may be too large for a float, and NaN fails every comparison
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < 2**63:
        raise ProtocolError(f"{key!r} is no number of at least {low:g}")
    return float(value)


def text(message: Message, key: str, limit: int = 1000) -> str:
    """A text of a message, not empty and not longer than `limit` characters.

    Raises:
        ProtocolError: if it is anything else.
    """
    value = message.get(key)
    if not isinstance(value, str) or not value or len(value) > limit:
        raise ProtocolError(f"{key!r} is no text of 1 to {limit} characters")
    return value


def peer_of(sock: socket.socket) -> Credentials | None:
    """Who is at the other end, as the kernel knows it; None where the system does not tell (macOS)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    size = struct.calcsize("3i")
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, option, size))
    return Credentials(pid, uid)


def is_trusted(peer: Credentials | None) -> bool:
    """Whether a peer is this user or root; an unknown one is left to the modes of socket and folder."""
    return peer is None or peer.uid in {os.geteuid(), 0}


def _finite(value: Any) -> Any:
    """A copy in which numbers that are not finite are None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _refuse_constant(name: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(name)
