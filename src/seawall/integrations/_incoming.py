"""What the server middlewares share: whose deadline counts, what is refused, what a refusal looks like, draining."""

from __future__ import annotations

import hmac
import ipaddress
import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal

from seawall.core.clock import current_clock
from seawall.core.context import deadline
from seawall.core.errors import ConfigurationError, RateLimitedError, RejectedError
from seawall.core.fork import renew_after_fork
from seawall.errors.reading import usable

if TYPE_CHECKING:
    from seawall.core.drain import Drain

Expired = Literal["observe", "refuse", "strict"]
Headers = list[tuple[str, str]]

HEALTH = ("/livez", "/readyz", "/startupz", "/health", "/healthz")
TOKEN_HEADER = "x-seawall-peer"  # noqa: S105  # the name of a header
_GRPC = re.compile(r"(\d{1,8})([HMSmun])")
_GRPC_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_WINDOW = 10  # seconds, in buckets of one
_MOST_REFUSED = 0.2  # of the requests of a window; source: Finagle's DeadlineFilter


class Answer(ValueError):  # noqa: N818  # no error: what is sent in place of the application's answer
    """A refusal as status and headers; its body is the status in words and says nothing else."""

    def __init__(self, status: int, headers: Headers) -> None:
        super().__init__(status)
        self.status = status
        self.phrase = {429: "Too Many Requests"}.get(status, "Service Unavailable")
        self.body = f"{self.phrase}\n".encode()
        self.headers = [
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(self.body))),
            *headers,
        ]


class Incoming:
    """The rules of one middleware.

    Args:
        peers: addresses and networks ("10.0.0.0/8") whose deadlines count; "unix" for callers over a unix socket.
        token: a shared secret that makes a caller a peer, whatever its address, in the header `x-seawall-peer`.
        expired: what becomes of a peer's request whose deadline has passed: "observe" counts it, "refuse" answers 503
            to at most a fifth of all requests in 10 seconds, "strict" to all of them.
        health: paths that are served while draining.
        readiness: the path that answers 503 as soon as draining is announced; None to leave that to the application.
        drains: what is told that the program is going away, so that retries that only wait end at once.
    """

    def __init__(
        self,
        *,
        peers: Collection[str],
        token: str | None,
        expired: Expired,
        health: Collection[str],
        readiness: str | None,
        drains: Drain | None,
    ) -> None:
        if isinstance(peers, str):
            raise ConfigurationError(f"peers = {peers!r}: must be a list of addresses")
        if expired not in {"observe", "refuse", "strict"}:
            raise ConfigurationError(f'expired = {expired!r}: must be "observe", "refuse" or "strict"')
        if token is not None and len(token) < 16:
            raise ConfigurationError("token: must be at least 16 characters long; the one given can be guessed")
        self._unix = "unix" in peers
        self._networks = [_network(peer) for peer in peers if peer != "unix"]
        self._token = None if token is None else token.encode()
        self._expired = expired
        self._health = frozenset(health)
        self._readiness = readiness
        self._drains = drains
        self._clock = current_clock()
        self.ready = True
        self.draining = False
        self._lock = threading.Lock()
        # Guarded by _lock
        self.in_flight = 0
        self.counts: Counter[str] = Counter()
        self._seen = [0] * _WINDOW
        self._refused = [0] * _WINDOW
        self._second = 0
        self._idle: list[Callable[[], object]] = []
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A new lock in the child, where nothing is in flight."""
        self._lock = threading.Lock()
        self.in_flight = 0
        self._idle = []

    # ------------------------------------------------------------- deadlines

    def is_peer(self, client: str | None, header: Callable[[str], str | None]) -> bool:
        """Whether the caller's deadline counts; `client` is its address, None over a unix socket."""
        given = header(TOKEN_HEADER)
        if self._token is not None and given is not None:
            return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)
        if client is None:
            return self._unix
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)

    def admit(self, path: str, client: str | None, header: Callable[[str], str | None]) -> float | None:
        """Let a request in, which must `leave`: seconds that it may take, or None for no limit.

        Raises:
            Answer: it is refused.
        """
        healthy = path in self._health
        if not self.ready and path == self._readiness:
            raise Answer(503, [])
        left = left_of(header) if not healthy and self.is_peer(client, header) else None
        now = int(self._clock.now())
        with self._lock:
            # NB: looked at and entered in one step, or a request could slip in after `drain` saw nothing in flight
            if self.draining and not healthy:
                self.counts["drained"] += 1
                raise Answer(503, [("connection", "close"), ("retry-after", "1")])
            if self._late(left, now):
                raise Answer(503, [("retry-after", "1")])
            self.in_flight += 1
        return left or None

    def _late(self, left: float | None, now: int) -> bool:
        """Count a request, and say whether it is refused because its deadline has passed; needs the lock."""
        for second in range(max(self._second + 1, now - _WINDOW + 1), now + 1):
            self._seen[second % _WINDOW] = self._refused[second % _WINDOW] = 0
        self._second = max(now, self._second)
        at = self._second % _WINDOW
        self._seen[at] += 1
        if left is None or left > 0:
            return False
        self.counts["expired"] += 1
        room = sum(self._refused) + 1 <= _MOST_REFUSED * sum(self._seen)
        if self._expired == "observe" or (self._expired == "refuse" and not room):
            return False
        self._refused[at] += 1
        self.counts["refused"] += 1
        return True

    # ------------------------------------------------------------- in flight

    def leave(self) -> None:
        """It has ended; whoever waits for the last one is told."""
        with self._lock:
            self.in_flight -= 1
            told: list[Callable[[], object]] = []
            if self.in_flight == 0:
                told, self._idle = self._idle, []
        for tell in told:
            tell()

    def drain(self, when_idle: Callable[[], object]) -> None:
        """Refuse what is new; call `when_idle` once nothing is in flight."""
        self.ready = False
        if self._drains is not None:
            self._drains.begin()
        with self._lock:
            self.draining = True
            busy = self.in_flight > 0
            if busy:
                self._idle.append(when_idle)
        if not busy:
            when_idle()

    def resume(self) -> None:
        """Serve as before."""
        self.ready, self.draining = True, False
        if self._drains is not None:
            self._drains.end()


def _network(peer: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """An address or a network."""
    try:
        return ipaddress.ip_network(peer, strict=False)
    except ValueError:
        raise ConfigurationError(
            f'peers: {peer!r} is no address, no network such as "10.0.0.0/8", and not "unix"'
        ) from (None)


def left_of(header: Callable[[str], str | None]) -> float | None:
    """Seconds the caller still waits: the smallest of the headers that say so; None if none does in a usable way."""
    # to Envoy 0 is no timeout at all
    found = [_milliseconds(header("deadline-left-ms")), _milliseconds(header("x-envoy-expected-rq-timeout-ms")) or None]
    matched = _GRPC.fullmatch((header("grpc-timeout") or "").strip())
    if matched is not None:
        found.append(int(matched[1]) * _GRPC_UNITS[matched[2]])
    # what would shorten nothing in a year is no deadline
    usual = [left for left in found if left is not None and left < 31_536_000.0]
    return min(usual, default=None)


def _milliseconds(text: str | None) -> float | None:
    """A number of milliseconds as seconds."""
    number = usable(text)
    return None if number is None else number / 1000


@contextmanager
def within(left: float | None) -> Iterator[None]:
    """The ambient deadline of a request."""
    with nullcontext() if left is None else deadline(left):
        yield


def refusal(error: RejectedError) -> Answer:
    """What a caller is told of a refusal of ours: when to come back, and nothing of the inside.

    `Retry-After` is in whole seconds, rounded up, so that it always suffices.
    """
    status = 429 if isinstance(error, RateLimitedError) else 503
    after = usable(error.retry_after)
    return Answer(status, [("retry-after", str(max(1, math.ceil(1.0 if after is None else after))))])
