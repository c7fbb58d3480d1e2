"""The page: files of the committed build, read once, served from memory."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

_FOLDER = Path(__file__).parent / "static"

#: What the build gives; the machine's own table of types may lack or bend any of it.
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def routes(folder: Path = _FOLDER) -> Sequence[BaseRoute]:
    """The routes of this file: one per file, so nothing else can be asked for."""
    if not (folder / "index.html").is_file():

        async def missing(request: Request) -> Response:
            """Say what is missing."""
            del request
            return PlainTextResponse("The page is not built: npm --prefix web ci && npm --prefix web run build\n", 404)

        return (Route("/", missing),)
    return tuple(
        _route("/" if path.name == "index.html" else f"/{path.relative_to(folder).as_posix()}", path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def _route(address: str, path: Path) -> Route:
    """The route of one file."""
    body = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    # names of assets change with their content; the page itself must be asked for each time
    caching = "public, max-age=31536000, immutable" if path.parent.name == "assets" else "no-cache"

    async def serve(request: Request) -> Response:
        """The file."""
        del request
        return Response(body, media_type=media_type, headers={"Cache-Control": caching})

    return Route(address, serve)
