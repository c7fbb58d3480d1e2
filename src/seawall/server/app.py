"""Puts the routes together."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from seawall.server.parts import Parts


def build_app(parts: Parts) -> Starlette:
    """The ASGI application over `parts`.

    It must be run with lifespan support: the page's history is sampled while it runs.
    """
    app = Starlette(routes=[Route("/livez", _livez)])
    app.state.parts = parts
    return app


async def _livez(request: Request) -> PlainTextResponse:
    """Alive: the loop answers."""
    del request
    return PlainTextResponse("ok\n")
