"""Protects every request of a requests session: an adapter that sends through a pipeline.

    session = requests.Session()
    session.mount("https://", SeawallAdapter(pipeline))

Needs the extra `seawall[requests]`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from seawall.core.errors import ConfigurationError
from seawall.integrations._common import clamped, missing, time_is_up
from seawall.integrations._sockets import ClampedSocket
from seawall.integrations.http import (
    KEY_HEADER,
    SMALL_ANSWER_BYTES,
    HttpRules,
    UnwantedAnswer,
    authority_of,
    hand_over,
)

try:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.exceptions import MaxRetryError
    from urllib3.exceptions import NewConnectionError as Urllib3NewConnectionError
    from urllib3.exceptions import TimeoutError as Urllib3Timeout
    from urllib3.util import parse_url
except ImportError as error:
    raise missing("requests", error) from error

if TYPE_CHECKING:
    from seawall.pipeline.compose import Pipeline

__all__ = ["NewConnectionError", "SeawallAdapter"]


class NewConnectionError(requests.exceptions.ConnectionError):
    """No connection could be made, so nothing was sent; requests itself does not tell this from a lost answer."""


class SeawallAdapter(HTTPAdapter):
    """Sends every request of a session through a pipeline.

    Verdicts, repetition, idempotency keys and streamed answers are as for the `SeawallTransport` of httpx.
    Every wait for a socket ends with the deadline, however slowly the answer drips in. A fallback gives a
    `requests.Response`. Plain code needs `Timeout(…, mode=…)`.

    Args:
        pipeline: what requests go through.
        key: for policies that keep a state for each key: "host" (default) is host and port, a function takes the
            prepared request, None leaves it to the policies.
        peers: hosts, with a port if it is not the usual one, that are told in the header `deadline-left-ms` how long
            the caller still waits; nobody by default.
        **options: of `requests.adapters.HTTPAdapter`; `max_retries` must be 0, its default.

    Raises:
        ConfigurationError: if `max_retries` is not 0, or the pipeline cannot act on requests.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        key: str | Callable[[requests.PreparedRequest], Hashable] | None = "host",
        peers: Collection[str] = (),
        **options: Any,
    ) -> None:
        retries = options.pop("max_retries", 0)
        if retries != 0:
            raise ConfigurationError(
                f"SeawallAdapter(max_retries={retries!r}): retries inside the pipeline's multiply and are not seen by "
                "its budget; leave it out and use Retry in the pipeline"
            )
        self._rules = HttpRules(pipeline, key=key, peers=peers)
        pipeline._check_sync()
        super().__init__(max_retries=0, **options)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Have connections made whose waits end with the deadline."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        """The same behind a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002  # as requests calls it
        timeout: Any = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002  # the same
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send one request; called by the session.

        Raises:
            RejectedError: it was refused and never sent.
            TimedOutError: it was cut short by a limit of the pipeline or the deadline, and may have been executed.
            requests.RequestException: what sending raised last.
        """

        def wire(attempt: requests.PreparedRequest) -> requests.Response:
            return super(SeawallAdapter, self).send(attempt, True, _limits(timeout), verify, cert, proxies)

        exchange = _Exchange(self._rules, request, wire)
        keyed = KEY_HEADER in request.headers
        replayable = request.body is None or isinstance(request.body, bytes | str)
        calls = self._rules.calls(request.method or "", exchange.authority, request, keyed=keyed, replayable=replayable)
        items = calls._stream(exchange.run, (), {})
        try:
            first: requests.Response = next(items)
        except UnwantedAnswer as unwanted:
            answer: requests.Response = unwanted.response
            return answer
        except StopIteration:
            raise ConfigurationError(f'"{self._rules.pipeline.name}": a fallback gave no response') from None
        if first is not exchange.head:
            for _ in items:  # a fallback's: the only one
                pass
            return first
        hand_over(items, first)
        first.raw = _Raw(first.raw, items)
        return first


class _Exchange:
    """The attempts of one request."""

    def __init__(
        self, rules: HttpRules, request: requests.PreparedRequest, wire: Callable[[Any], requests.Response]
    ) -> None:
        self._rules = rules
        self._request = request
        self._wire = wire
        self._open: requests.Response | None = None  # a failed answer too large to be read at once
        url = parse_url(request.url or "")
        self._host = (url.host or "").strip("[]")
        self.authority = authority_of(url.scheme or "http", self._host, url.port)
        self._what = f"{request.method} {self._host}"
        self.head: requests.Response | None = None

    def run(self) -> Generator[Any, Callable[[], Any], None]:
        """The answer, and then what is asked for of its body."""
        if self._open is not None:
            self._open.close()
            self._open = None
        response = self._attempt()
        kept = False
        raw = response.raw
        try:
            unwanted = self._rules.unwanted(response)
            if unwanted is not None:
                kept = self._keep(response)
                raise unwanted
            self.head = response
            ask = yield response
            while (chunk := self._in_time(ask)) is not None:
                ask = yield chunk
                if time_is_up():
                    raise self._rules.timed_out(self._what)
        finally:
            if not kept:
                # NB: a body read to its end has given its connection back; any other closes it
                raw.close()
                raw.release_conn()

    def _attempt(self) -> requests.Response:
        """Send it once."""
        self._rules.check_time(self._what)
        attempt = self._request.copy()
        added = self._rules.headers(attempt.method or "", self._host, self.authority, attempt.headers)
        attempt.headers.update(added)
        try:
            return self._wire(attempt)
        except requests.exceptions.Timeout as error:
            if time_is_up():
                raise self._rules.timed_out(self._what) from error
            raise
        except requests.exceptions.ConnectionError as error:
            if time_is_up():
                raise self._rules.timed_out(self._what) from error
            reason = error.args[0] if error.args else None
            if isinstance(reason, MaxRetryError) and isinstance(reason.reason, Urllib3NewConnectionError):
                raise NewConnectionError(*error.args, request=error.request) from error
            raise

    def _in_time(self, ask: Callable[[], Any]) -> Any:
        """What `ask` gives, or the error for a body that the deadline cut short."""
        try:
            return ask()
        except (Urllib3Timeout, TimeoutError) as error:
            if time_is_up():
                raise self._rules.timed_out(self._what) from error
            raise

    def _keep(self, response: requests.Response) -> bool:
        """Read a small failed answer, which frees its connection; True: its body is still to be read."""
        length = getattr(response.raw, "length_remaining", None)
        if length is not None and length <= SMALL_ANSWER_BYTES:
            _ = response.content
        else:
            self._open = response
        return True


class _Raw:
    """The body of an answer as requests reads it: its permit goes when it is exhausted, closed or collected."""

    def __init__(self, raw: Any, items: Any) -> None:
        self._raw = raw
        self._items = items

    def _ask(self, ask: Callable[[], Any]) -> Any:
        """What the policies let `ask` give; None at the end."""
        try:
            return self._items.send(ask)
        except StopIteration:
            return None

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        """Some of the body, or all of it; empty at its end."""
        return self._ask(lambda: self._raw.read(*args, **kwargs) or None) or b""

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        """The body in pieces."""
        pieces = self._raw.stream(*args, **kwargs)
        while (piece := self._ask(lambda: next(pieces, None))) is not None:
            yield piece

    def close(self) -> None:
        """Give everything back."""
        self._items.close()

    def release_conn(self) -> None:
        """Give everything back; requests calls it after the last byte."""
        self._items.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _limits(timeout: Any) -> Any:
    """The timeouts of one attempt, in any form requests knows, cut to what remains."""
    if isinstance(timeout, Timeout):
        return Timeout(connect=clamped(_seconds(timeout.connect_timeout)), read=clamped(_seconds(timeout.read_timeout)))
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return clamped(connect), clamped(read)


def _seconds(limit: Any) -> float | None:
    """A limit of urllib3's as seconds; None for its marks of "none" and "the default"."""
    return float(limit) if isinstance(limit, int | float) else None


class _Connection(HTTPConnection):
    """A connection whose waits end with the deadline."""

    def connect(self) -> None:
        """Connect, and cut every wait from here on."""
        super().connect()
        self.sock: Any = ClampedSocket(self.sock)


class _SecureConnection(HTTPSConnection):
    """The same, encrypted."""

    def connect(self) -> None:
        """Connect, and cut every wait from here on."""
        super().connect()
        self.sock: Any = ClampedSocket(self.sock)


class _Pool(HTTPConnectionPool):
    """Makes such connections."""

    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    """The same, encrypted."""

    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}
