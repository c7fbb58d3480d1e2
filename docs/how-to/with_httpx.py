"""An httpx client whose requests go through a pipeline; run it with `python with_httpx.py`."""

import httpx

from seawall import CircuitBreaker, Deadline, Pipeline, Retry, Timeout
from seawall.backoff import Exponential
from seawall.integrations.httpx import SeawallTransport

catalogue = Pipeline(
    "catalogue",
    Deadline(5.0),
    Retry(attempts=3, idempotent="key", backoff=Exponential(base=0.01)),
    CircuitBreaker(failure_threshold=5, key="host"),
    Timeout(2.0, mode="cooperative"),
)
keys = []


def play(request: httpx.Request) -> httpx.Response:
    """Stands in for the network: the first two orders fail."""
    keys.append(request.headers["Idempotency-Key"])
    return httpx.Response(503 if len(keys) < 3 else 201)


with httpx.Client(transport=SeawallTransport(catalogue, httpx.MockTransport(play))) as client:
    answer = client.post("http://catalogue.internal/orders", json={"sku": "A-100"})
    print(answer.status_code, "after", len(keys), "attempts with", len(set(keys)), "key")
