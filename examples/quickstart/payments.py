"""payments: charges a card. The dependency that will fail.

It keeps a receipt of each charge in its folder and refuses to charge without room for one: fill the folder past its
quota and every charge fails with 507 until there is room again.
"""

import json
import os
import uuid
from pathlib import Path

from serve import serve
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

FOLDER = Path(os.environ.get("PAYMENTS_FOLDER", "payments-data"))
QUOTA_BYTES = 4_000_000
RECEIPTS_KEPT = 200


def used_bytes() -> int:
    return sum(entry.stat().st_size for entry in os.scandir(FOLDER) if entry.is_file())


def write_receipt(key: str, charge: dict[str, object]) -> bool:
    """Write one receipt, once per idempotency key; False when the folder is full."""
    if used_bytes() > QUOTA_BYTES:
        return False
    (FOLDER / f"{key}.json").write_text(json.dumps(charge))
    receipts = sorted(FOLDER.glob("*.json"), key=lambda path: path.stat().st_mtime)
    for old in receipts[:-RECEIPTS_KEPT]:
        old.unlink(missing_ok=True)
    return True


async def charge(request: Request) -> JSONResponse:
    body = await request.json()
    key = str(uuid.UUID(request.headers["idempotency-key"]))
    if not await run_in_threadpool(write_receipt, key, {"order": body["order"], "amount": body["amount"]}):
        return JSONResponse({"error": "no room for a receipt"}, status_code=507)
    return JSONResponse({"charged": body["amount"], "receipt": key})


async def healthz(_request: Request) -> JSONResponse:
    full = await run_in_threadpool(used_bytes) > QUOTA_BYTES
    return JSONResponse({"folder": "full" if full else "has room"}, status_code=507 if full else 200)


app = Starlette(routes=[Route("/charge", charge, methods=["POST"]), Route("/healthz", healthz)])

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    serve(app)
