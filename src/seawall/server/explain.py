"""`GET /api/v1/explain?what=…`: why a call was refused, a circuit moved, or a moment was as it was."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from seawall.errors.text import safe_text
from seawall.pipeline.why import explain
from seawall.pipeline.why_known import Known, known_of
from seawall.server.guard import may_read, require
from seawall.server.parts import Parts

_LONGEST = 200  # characters of what is asked for
_WIDEST = 3600.0  # seconds around it


def known_to(parts: Parts) -> Known:
    """Everything the daemon knows now: its own journal, and what programs reported, left out and lost."""
    suppressed: Counter[str] = Counter()
    dropped = 0
    for program in parts.hub.programs():
        suppressed.update(getattr(program, "suppressed", {}))
        dropped += getattr(program, "dropped", 0)
    now = parts.clock.wall()
    return known_of(parts.journal, parts.hub.snapshot(), now, suppressed=dict(suppressed), dropped=dropped)


def routes(parts: Parts) -> Sequence[BaseRoute]:
    """The route of this file."""

    async def view(request: Request) -> Response:
        """200 with the explanation, or 404 with what to do instead."""
        require(may_read(request, parts.token))
        what = request.query_params.get("what", "").strip()
        if not what or len(what) > _LONGEST:
            raise HTTPException(
                400, f"what: must be an id, a name or a moment in seconds, of 1 to {_LONGEST} characters."
            )
        around = _around(request.query_params.get("around", "60"))
        known = known_to(parts)
        found = await run_in_threadpool(explain, what, known, around)
        body = json.dumps(found.as_json(), separators=(",", ":"), default=str)
        return Response(body, 200 if found.found else 404, media_type="application/json")

    return (Route("/api/v1/explain", view),)


def _around(text: str) -> float:
    """Seconds looked at around something.

    Raises:
        HTTPException: 400 if it is no number, or out of range.
    """
    try:
        around = float(text)
    except ValueError:
        around = math.nan
    if not 0 < around <= _WIDEST:
        raise HTTPException(
            400, f"around = {safe_text(text, 40)}: must be a number of seconds above 0, at most {_WIDEST:g}."
        )
    return around
