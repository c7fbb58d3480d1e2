"""Who may ask: host allow-list, origin, bearer token, size of bodies; and the headers every answer carries."""

from __future__ import annotations

import hmac
import ipaddress
import json
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BODY_LIMIT = 8 * 1024

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Refuses requests addressed to a foreign name or sent by a foreign site; sets the headers of every answer.

    A web page elsewhere can make a browser send requests here under a name of its own that points to this machine. So a
    name must be on the list; an address in digits cannot be forged that way.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: tuple[str, ...]) -> None:
        self._app = app
        self._allowed = frozenset(host.lower().strip("[]") for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(scope["method"], headers)
        if refusal is None:
            await self._app(scope, receive, sending)
        else:
            status, text = refusal
            await PlainTextResponse(text + "\n", status)(scope, receive, sending)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        """Why this request is not answered, if so."""
        host = headers.get("host", "")
        name = _host(host)
        if name not in self._allowed and not _digits(name):
            return 421, "This host name is not served here. Add it to server.allowed_hosts in seawall.toml."
        origin = headers.get("origin")
        if method not in {"GET", "HEAD", "OPTIONS"}:
            if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
                return 403, "This request comes from another site."
            if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
                return 403, "This request comes from another site."
        return None


def _host(header: str) -> str:
    """The name in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _digits(name: str) -> bool:
    """True for an IP address written in digits."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_local(request: Request) -> bool:
    """True if the client is on this machine."""
    host = request.client.host if request.client else ""
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return host == ""  # a unix socket has no address, and only this machine reaches it


def has_token(request: Request, token: str) -> bool:
    """True if the request carries the token; compared in constant time."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return (
        bool(token)
        and scheme.lower() == "bearer"
        and hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode())
    )


def may_read(request: Request, token: str) -> bool:
    """True if this client may see details: it is on this machine, or has the token."""
    return is_local(request) or has_token(request, token)


def require(allowed: bool) -> None:  # noqa: FBT001 - reads as "require(may_read(…))"
    """Refuse a request that may not have what it asks for.

    Raises:
        HTTPException: 401.
    """
    if not allowed:
        raise HTTPException(
            401,
            "This needs the token of the daemon: Authorization: Bearer … (it lies in state_dir/token).",
            {"WWW-Authenticate": "Bearer"},
        )


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object of at most 8 kB.

    Raises:
        HTTPException: 413, 415 or 400.
    """
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise HTTPException(415, "The body must be application/json.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BODY_LIMIT:
            raise HTTPException(413, f"The body is larger than {_BODY_LIMIT} bytes.")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not valid JSON.") from None
    if not isinstance(data, dict):
        raise HTTPException(400, "The body must be a JSON object.")
    return data
