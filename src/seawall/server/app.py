"""Puts the routes together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seawall.server import api, health, metrics, page
from seawall.server.guard import Guard
from seawall.server.live import Live
from seawall.server.parts import Parts


def build_app(parts: Parts) -> Starlette:
    """The ASGI application over `parts`.

    It must be run with lifespan support: the page's history is sampled while it runs.
    """
    live = Live(parts)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        """Sample the history while the application runs."""
        await live.start()
        try:
            yield
        finally:
            await live.stop()

    app = Starlette(
        routes=[
            *health.routes(parts),
            *metrics.routes(parts),
            *api.routes(parts, live),
            *page.routes(),
        ],
        middleware=[Middleware(Guard, allowed_hosts=parts.allowed_hosts)],
        exception_handlers={HTTPException: _refused},
        lifespan=lifespan,
    )
    app.state.parts = parts
    app.state.live = live
    return app


async def _refused(request: Request, error: Exception) -> Response:
    """An HTTP error as JSON with its sentence."""
    del request
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
