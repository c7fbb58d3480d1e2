"""`/api/v1`: the state, the stream, and the hands on the circuits."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from seawall.core.errors import ConfigurationError
from seawall.errors.text import safe_text
from seawall.events.words import seconds
from seawall.server.explain import routes as explain_routes
from seawall.server.guard import has_token, may_read, read_json, require
from seawall.server.live import Live
from seawall.server.parts import Parts

_STATES = {"open": "forced open", "closed": "forced closed", "disabled": "disabled", "observe": "observed only"}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 7 * 86400.0


def routes(parts: Parts, live: Live) -> Sequence[BaseRoute]:
    """The routes of this file."""
    views = Views(parts, live)
    return (
        Route("/api/v1/state", views.state),
        Route("/api/v1/events", views.events),
        *explain_routes(parts),
        Route("/api/v1/circuits/{name:path}/force", views.force, methods=["POST"]),
        Route("/api/v1/circuits/{name:path}/release", views.release, methods=["POST", "DELETE"]),
    )


class Views:
    """The answers."""

    def __init__(self, parts: Parts, live: Live) -> None:
        self._parts = parts
        self._live = live

    async def state(self, request: Request) -> Response:
        """Everything the page shows."""
        require(may_read(request, self._parts.token))
        return _json(await self._live.state())

    async def events(self, request: Request) -> Response:
        """Server-sent events: `state` once, then a `delta` each second, `bye` when the daemon stops."""
        require(may_read(request, self._parts.token))
        stream = self._live.events(request.headers.get("last-event-id", ""))
        try:
            first = await anext(stream, "")
        except OverflowError as full:
            raise HTTPException(503, f"{full}.") from None

        async def all_of_it() -> AsyncIterator[str]:
            """The stream with its first piece, which had to be seen before the status could be sent."""
            try:
                yield first
                async for piece in stream:
                    yield piece
            finally:
                await stream.aclose()

        return StreamingResponse(all_of_it(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def force(self, request: Request) -> Response:
        """Pin a circuit: `{"state": "open", "for": "10m", "reason": "…", "owner": "…"}`."""
        require(has_token(request, self._parts.token))
        body = await read_json(request)
        name = self._known(request.path_params["name"])
        state = body.get("state")
        if state not in _STATES:
            raise HTTPException(400, f"state = {state!r}: must be one of {', '.join(_STATES)}.")
        reason, owner = _said(body, "reason"), _said(body, "owner", "page")
        expires_in = duration(body.get("for", "10m"))
        try:
            acks = await self._parts.hub.force(name, state, owner=owner, reason=reason, expires_in=expires_in)
        except ConfigurationError as error:
            raise HTTPException(400, str(error)) from None
        return _outcome(
            acks,
            f'Circuit "{name}" {_STATES[state]} for {seconds(expires_in)}.',
            f"seawall breaker release {name}",
        )

    async def release(self, request: Request) -> Response:
        """End a pin: `{"reason": "…", "owner": "…"}`."""
        require(has_token(request, self._parts.token))
        body = await read_json(request)
        name = self._known(request.path_params["name"])
        try:
            acks = await self._parts.hub.release(
                name, owner=_said(body, "owner", "page"), reason=_said(body, "reason", "released by hand")
            )
        except ConfigurationError as error:
            raise HTTPException(400, str(error)) from None
        return _outcome(acks, f'Circuit "{name}" released.', "")

    def _known(self, name: str) -> str:
        """The name, if there is such a circuit."""
        known = sorted(one.name for one in self._parts.hub.snapshot().policies if one.kind == "circuit_breaker")
        if name in known:
            return name
        near = difflib.get_close_matches(name, known, n=1)
        hint = f' Did you mean "{near[0]}"?' if near else f" Known are: {', '.join(known[:20]) or 'none'}."
        raise HTTPException(404, f'There is no circuit "{safe_text(name, 80)}".{hint}')


def duration(value: Any) -> float:
    """Seconds from a number of them, or from text such as "90s", "10m", "1h30m".

    Raises:
        HTTPException: 400 if it is neither, or not between 1 s and 7 days: a pin is never for ever.
    """
    total = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        total = float(value)
    elif isinstance(value, str) and re.fullmatch(r"(\d{1,9}(\.\d{1,3})?[smhd])+", value):
        total = sum(float(count) * _UNITS[unit] for count, unit in re.findall(r"([\d.]+)([smhd])", value))
    if not 1 <= total <= _LONGEST:
        raise HTTPException(400, f'for = {value!r}: must be a duration from 1 s to 7 d, such as "10m".')
    return total


def _said(body: dict[str, Any], field: str, default: str = "") -> str:
    """A text of the body, on one line.

    Raises:
        HTTPException: 400 if it is not given and has no default.
    """
    value = body.get(field) or default
    if not isinstance(value, str) or not value.strip():
        raise HTTPException(400, f"{field} is missing: say in a few words what for.")
    return safe_text(value.strip(), 200)


def _outcome(acks: Sequence[Any], text: str, undo: str) -> Response:
    """What the programs answered; 409 if none did as asked."""
    plain = [ack._asdict() if hasattr(ack, "_asdict") else dict(vars(ack)) for ack in acks]
    done = [ack for ack in plain if ack.get("ok", True)]
    if not done:
        return _json({"error": "No linked program took it: none is live, or all refused.", "acks": plain}, 409)
    return _json({"text": text, "undo": undo, "acks": plain})


def _json(body: dict[str, Any], code: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(body, separators=(",", ":"), default=str), code, media_type="application/json")
