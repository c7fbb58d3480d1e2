"""`/metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from seawall.server.parts import Parts
from seawall.telemetry.prometheus import Exposed, negotiate, render


def routes(parts: Parts) -> Sequence[BaseRoute]:
    """The routes of this file."""

    async def metrics(request: Request) -> Response:
        """One scrape. Written in a thread: with a thousand policies it takes long enough for a probe to notice."""
        openmetrics = negotiate(request.headers.get("accept", ""))
        text, content_type = await run_in_threadpool(render, expose(parts), openmetrics=openmetrics)
        return Response(text, headers={"Content-Type": content_type})

    return (Route("/metrics", metrics),)


def expose(parts: Parts) -> Exposed:
    """What the metrics are made from, taken on the loop."""
    workers = Counter[str]()
    for program in parts.hub.programs():
        workers[program.name] += program.live
    return Exposed(
        snapshot=parts.hub.snapshot(),
        checks=parts.monitor.states(),
        processes=parts.supervisor.processes() if parts.supervisor else (),
        programs=workers,
        version=parts.version,
        namespace=parts.namespace,
    )
