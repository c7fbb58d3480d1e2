"""shoppers: a bounded stream of orders, so that there is something to protect.

Sends SHOPPERS_PER_SECOND orders a second, one after the other on a schedule and never more than 50 at once, until
SHOPPERS_LIMIT orders are sent. Says every ten seconds how it went.
"""

import asyncio
import os
import random
import time

import httpx2

from seawall import Pipeline, RejectedError, Timeout

ORDERS = os.environ.get("ORDERS_URL", "http://127.0.0.1:8002")
PER_SECOND = float(os.environ.get("SHOPPERS_PER_SECOND", "20"))
LIMIT = int(os.environ.get("SHOPPERS_LIMIT", "100000"))

orders = Pipeline("orders", Timeout(2.5))


async def main() -> None:
    counts = {"answered": 0, "degraded": 0, "failed": 0}
    slowest = 0.0
    places = asyncio.Semaphore(50)

    async with httpx2.AsyncClient(base_url=ORDERS, timeout=5.0) as client:

        async def post() -> httpx2.Response:
            return await client.post("/orders", json={"amount": random.randint(100, 9_900)})

        async def order() -> None:
            nonlocal slowest
            began = time.monotonic()
            try:
                answer = await orders.acall(post)
                answer.raise_for_status()
            except (httpx2.HTTPError, TimeoutError, RejectedError):
                counts["failed"] += 1
            else:
                counts["answered"] += 1
                counts["degraded"] += "x-degraded" in answer.headers
            finally:
                slowest = max(slowest, time.monotonic() - began)
                places.release()

        began = said = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(LIMIT):
                await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
                await places.acquire()
                group.create_task(order())
                if time.monotonic() - said >= 10:
                    print(f"{counts} slowest {slowest * 1000:.0f} ms", flush=True)
                    said, slowest = time.monotonic(), 0.0
        print(f"done: {counts}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
