"""What kind of trouble an error is, in one word, and whether the call was sent at all."""

from __future__ import annotations

import errno
from typing import Any, Final, Literal

from seawall.core.errors import RejectedError
from seawall.errors.status import status_of

Kind = Literal[
    "cancelled", "rejected", "bug", "timeout", "rate_limit", "overload", "server_error", "auth", "not_found",
    "conflict", "invalid", "network", "disk_full", "io_error", "resource", "other",
]  # fmt: skip
Category = Literal["transient", "permanent", "resource", "timeout", "io_error"]

KINDS: Final[dict[str, Category | None]] = {
    "cancelled": None,
    "rejected": None,
    "bug": "permanent",
    "timeout": "timeout",
    "rate_limit": "transient",
    "overload": "transient",
    "server_error": "transient",
    "auth": "permanent",
    "not_found": "permanent",
    "conflict": "permanent",
    "invalid": "permanent",
    "network": "transient",
    "disk_full": "resource",
    "io_error": "io_error",
    "resource": "resource",
    "other": None,
}
CATEGORIES: Final = frozenset(category for category in KINDS.values() if category is not None)

#: Errors that say the program is wrong, not the dependency: doing it again cannot help.
BUGS: tuple[type[BaseException], ...] = (
    TypeError,
    AttributeError,
    NameError,
    AssertionError,
    NotImplementedError,
    ImportError,
    SyntaxError,
)

_TIMEOUT_NAMES = frozenset({"TimeoutException", "Timeout", "TimeoutError"})  # httpx, requests, older SDKs
_NETWORK_NAMES = frozenset({
    "TransportError", "ConnectError", "NetworkError", "ConnectionError", "APIConnectionError", "ClientConnectionError",
    "RemoteProtocolError", "ProtocolError", "SSLError", "OperationalError", "InterfaceError",
})  # fmt: skip
_NETWORK_ERRNO = frozenset({
    errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.EHOSTUNREACH, errno.ENETUNREACH,
    errno.ENETDOWN, errno.ENOTCONN, errno.EADDRNOTAVAIL, errno.EHOSTDOWN,
})  # fmt: skip
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_RESOURCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_STATUSES: dict[int, Kind] = {
    401: "auth", 403: "auth", 407: "auth", 404: "not_found", 410: "not_found", 408: "timeout", 409: "conflict",
    412: "conflict", 429: "rate_limit", 503: "overload", 529: "overload", 504: "timeout",
}  # fmt: skip

_TYPES: tuple[tuple[Kind, tuple[type[BaseException], ...]], ...] = (
    ("rejected", (RejectedError,)),
    ("timeout", (TimeoutError,)),
    ("resource", (MemoryError, RecursionError)),
    ("bug", BUGS),
)

#: Errors raised before anything was sent, by the names of their classes: httpx, httpx2, requests, urllib3, aiohttp.
_UNSENT_NAMES = frozenset({
    "ConnectError", "ConnectTimeout", "PoolTimeout", "NewConnectionError", "NameResolutionError", "EmptyPoolError",
    "ClientConnectorError", "ConnectTimeoutError", "gaierror",
})  # fmt: skip


def kind_of(thing: Any) -> Kind:
    """The kind of an exception, or of a response by its status ("other" if it is a success)."""
    status = status_of(thing)
    if isinstance(thing, BaseException):
        own = _of_error(thing, status)
        if own is not None:
            return own
    if status is None or status < 400:
        return "other"
    return _STATUSES.get(status, "server_error" if status >= 500 else "invalid")


def _of_error(error: BaseException, status: int | None) -> Kind | None:
    """The kind that follows from the class of an error; None to look at its status."""
    if not isinstance(error, Exception):
        return "cancelled"
    for kind, types in _TYPES:
        if isinstance(error, types):
            return kind
    if status is not None:
        return None
    if isinstance(error, OSError):
        return _of_os_error(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _TIMEOUT_NAMES:
        return "timeout"
    return "network" if names & _NETWORK_NAMES else None


def _of_os_error(error: OSError) -> Kind:
    """The kind of an error of the operating system, or of a library that derives its own from it."""
    if isinstance(error, ConnectionError) or error.errno in _NETWORK_ERRNO:
        return "network"
    if error.errno in _FULL:
        return "disk_full"
    if error.errno in _RESOURCE:
        return "resource"
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _TIMEOUT_NAMES:
        return "timeout"
    if names & _NETWORK_NAMES or type(error).__module__.partition(".")[0] in {"socket", "ssl"}:
        return "network"
    if isinstance(error, FileNotFoundError):
        return "not_found"
    return "auth" if isinstance(error, PermissionError) else "io_error"


def unsent(error: BaseException) -> bool:
    """True if the call was certainly not sent: refused by us, or no connection could be made, or an adapter says so."""
    if isinstance(error, RejectedError | ConnectionRefusedError) or getattr(error, "__seawall_unsent__", False):
        return True
    return any(kind.__name__ in _UNSENT_NAMES for kind in type(error).__mro__)
