"""Checks over the network: HTTP and TCP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

import httpx2

from seawall.errors.text import safe_text
from seawall.events.words import seconds
from seawall.health.base import BaseCheck, Finding
from seawall.machines.health import Status

_BODY_LIMIT = 64 * 1024


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """The system's certificates; loading them takes longer than most checks, so it is done once."""
    return ssl.create_default_context()


@dataclass(frozen=True, kw_only=True)
class HttpCheck(BaseCheck):
    """An HTTP request over a connection of its own, as a new caller would make it.

    Redirects are not followed: a 3xx is an answer. Proxies of the environment are not used.

    Args:
        url: absolute, http or https.
        method: "GET" by default.
        expect_status: codes that count as healthy; any from 200 to 399 if empty.
        expect_text: text that must appear in the first 64 kB of the body; "" asks for none.
        headers: sent along; their values are never shown.
        degraded_above: seconds above which a good answer is degraded; None: never.
    """

    url: str
    method: str = "GET"
    expect_status: tuple[int, ...] = ()
    expect_text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    degraded_above: float | None = None

    kind = "http"

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            good = False
        if not good:
            raise self._wrong("url", safe_text(self.url), "must be an absolute http or https address")
        if any(not 100 <= code <= 599 for code in self.expect_status):
            raise self._wrong("expect_status", self.expect_status, "must be status codes from 100 to 599")

    async def probe(self) -> Finding:
        """Ask once."""
        shown = safe_text(self.url)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with (
                httpx2.AsyncClient(verify=_trust(), trust_env=False, timeout=self.timeout) as client,
                client.stream(self.method, self.url, headers={"User-Agent": "seawall", **self.headers}) as answer,
            ):
                body = await self._body(answer)
        except httpx2.TimeoutException:
            raise TimeoutError from None
        except httpx2.HTTPError as error:
            return Finding(Status.UNHEALTHY, f"{shown}: {_plain(error)}", {"url": shown})
        took = loop.time() - began
        details = {"url": shown, "status_code": answer.status_code}
        code = answer.status_code
        if not (code in self.expect_status if self.expect_status else 200 <= code < 400):
            return Finding(Status.UNHEALTHY, f"{shown} answered {code}, {self._wanted()} was expected", details)
        if self.expect_text and self.expect_text.encode() not in body:
            return Finding(Status.UNHEALTHY, f"{shown} answered {code} without the expected text", details)
        if self.degraded_above is not None and took > self.degraded_above:
            slow = f"{shown} took {seconds(took)}, degraded above {seconds(self.degraded_above)}"
            return Finding(Status.DEGRADED, slow, details)
        return Finding(Status.HEALTHY, "", details)

    async def _body(self, answer: httpx2.Response) -> bytes:
        """The beginning of the body, if anybody asked for a text in it."""
        body = b""
        if self.expect_text:
            async for part in answer.aiter_bytes():
                body += part
                if len(body) >= _BODY_LIMIT:
                    break
        return body[:_BODY_LIMIT]

    def _wanted(self) -> str:
        """The expected codes in words."""
        return " or ".join(str(code) for code in self.expect_status) if self.expect_status else "200 to 399"


@dataclass(frozen=True, kw_only=True)
class TcpCheck(BaseCheck):
    """That something accepts a TCP connection.

    Args:
        address: "host:port", IPv6 as "[::1]:80".
    """

    address: str

    kind = "tcp"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._target()

    def _target(self) -> tuple[str, int]:
        """Host and port."""
        try:
            parts = urlsplit(f"//{self.address}")
            host, port = parts.hostname, parts.port
            clean = not parts.path and "@" not in self.address
        except ValueError:
            host, port, clean = None, None, False
        if not host or not port or not clean:
            raise self._wrong("address", safe_text(self.address), 'must be "host:port" with a port from 1 to 65535')
        return host, port

    async def probe(self) -> Finding:
        """Connect and hang up."""
        host, port = self._target()
        details = {"address": self.address}
        try:
            _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            raise
        except OSError as error:
            return Finding(Status.UNHEALTHY, f"{self.address}: {_plain(error)}", details)
        writer.close()
        return Finding(Status.HEALTHY, "", details)


def _plain(error: BaseException) -> str:
    """What went wrong with a connection, as people say it."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            break
        if isinstance(seen, ConnectionRefusedError):
            return "connection refused"
        if isinstance(seen, ConnectionResetError):
            return "connection reset"
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"certificate not accepted: {safe_text(seen.verify_message)}"
        seen = seen.__cause__ or seen.__context__
    text = safe_text(error)
    if "onnect call failed" in text or "onnection attempts failed" in text:
        return "connection refused or unreachable"
    return text or type(error).__name__
