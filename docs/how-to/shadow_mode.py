"""A stricter limit, tried on real calls before it may refuse any."""

from seawall import Bulkhead, CircuitBreaker, Pipeline, RateLimiter
from seawall.testing import virtual_time

with virtual_time():
    stricter = RateLimiter("5/second", burst=5)
    catalogue = Pipeline(
        "catalogue",
        CircuitBreaker(failure_threshold=5),
        Bulkhead(100),
        shadow=[stricter],
    )
    answers = [catalogue.call(lambda: "fine") for _ in range(8)]
    counts = stricter.snapshot().counters

print(answers.count("fine"), "of 8 answered")
print(counts["requests.shadow_rejected"], "would have been rejected by", stricter.name)
print(catalogue.snapshot().counters["shadow.errors"], "errors in candidates")
