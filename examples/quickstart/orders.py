"""orders: takes orders, keeps them in SQLite, and charges them through payments.

Every call to payments goes through one pipeline. When payments cannot be reached in time the order is taken all the
same, marked as unpaid, and the answer says so in the header `X-Degraded`.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from serve import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import seawall
from seawall import Bulkhead, CircuitBreaker, ConsecutiveFailures, Deadline, Fallback, Pipeline, Retry, Timeout
from seawall.backoff import Exponential

PAYMENTS = os.environ.get("PAYMENTS_URL", "http://127.0.0.1:8001")
DATABASE = os.environ.get("ORDERS_DATABASE", "orders.sqlite")
KEPT = 10_000


async def charge_later(_order: int, _amount: int) -> str:
    """What stands in for a charge: the order stays unpaid, and whoever settles accounts will find it."""
    return "unpaid"


payments = Pipeline(
    "payments",
    Fallback(charge_later),
    Deadline(1.0),
    Retry(2, backoff=Exponential(base=0.05, cap=0.2), idempotent="key"),
    CircuitBreaker(trip=[ConsecutiveFailures(5)], recovery_timeout=3.0, half_open_max_calls=2, success_threshold=2),
    Bulkhead(32, queue=32, max_wait=0.5),
    Timeout(0.4),
)


class Store:
    """The orders, in SQLite."""

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, amount INTEGER, state TEXT)")
        self._one_at_a_time = asyncio.Lock()

    async def run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement, away from the event loop."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(lambda: self._db.execute(sql, values).fetchall())

    def close(self) -> None:
        """Close the file."""
        self._db.close()


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.store = Store(DATABASE)
    async with httpx2.AsyncClient(base_url=PAYMENTS, timeout=5.0) as client:
        app.state.client = client
        yield
    app.state.store.close()


async def create(request: Request) -> JSONResponse:
    store: Store = request.app.state.store
    client: httpx2.AsyncClient = request.app.state.client
    amount = int((await request.json())["amount"])
    [(order,)] = await store.run("INSERT INTO orders (amount, state) VALUES (?, 'new') RETURNING id", amount)
    await store.run("DELETE FROM orders WHERE id <= ? - ?", order, KEPT)

    async def charge(number: int, cents: int) -> str:
        # one key for all attempts of this charge: payments knows a repeated one
        headers = {"idempotency-key": seawall.idempotency_key() or ""}
        answer = await client.post("/charge", json={"order": number, "amount": cents}, headers=headers)
        answer.raise_for_status()
        return "paid"

    outcome = await payments.acall_outcome(charge, order, amount)
    state = outcome.unwrap()
    await store.run("UPDATE orders SET state = ? WHERE id = ?", state, order)
    headers = {"x-degraded": "payments"} if outcome.degraded else {}
    return JSONResponse({"order": order, "state": state}, status_code=201, headers=headers)


async def show(request: Request) -> JSONResponse:
    rows = await request.app.state.store.run("SELECT amount, state FROM orders WHERE id = ?", request.path_params["id"])
    if not rows:
        return JSONResponse({"error": "no such order"}, status_code=404)
    return JSONResponse({"order": request.path_params["id"], "amount": rows[0][0], "state": rows[0][1]})


async def healthz(_request: Request) -> JSONResponse:
    circuit = seawall.default_registry.circuit("payments")
    return JSONResponse({"orders": "open for business", "circuit to payments": circuit.state})


app = Starlette(
    routes=[
        Route("/orders", create, methods=["POST"]),
        Route("/orders/{id:int}", show),
        Route("/healthz", healthz),
    ],
    lifespan=lifespan,
)

if __name__ == "__main__":
    serve(app)
