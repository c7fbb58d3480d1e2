"""An ASGI application behind the middleware; run it with `python web_framework.py`."""

import asyncio

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import seawall
from seawall import Pipeline, RateLimiter
from seawall.integrations.starlette import SeawallMiddleware

stock = Pipeline("stock", RateLimiter("1/minute", burst=1))


async def level(_: Request) -> PlainTextResponse:
    """Refused by the rate limit the second time."""
    left = await stock.acall(asyncio.to_thread, seawall.remaining)
    return PlainTextResponse("no deadline" if left is None else f"about {left:.0f} s left")


app = SeawallMiddleware(Starlette(routes=[Route("/", level)]), peers=["10.0.0.0/8"])


async def main() -> None:
    """Two requests of a peer, and one while the program goes away."""
    transport = httpx.ASGITransport(app=app, client=("10.1.2.3", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://stock") as client:
        print((await client.get("/", headers={"deadline-left-ms": "3000"})).text)
        refused = await client.get("/")
        print(refused.status_code, "come back in", refused.headers["retry-after"], "s")
        print("drained:", await app.drain(timeout=5.0), (await client.get("/")).status_code)


asyncio.run(main())
