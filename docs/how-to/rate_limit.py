"""Every kind of rate limit on one page; run it with `python rate_limit.py`."""

from seawall import Limit, Pipeline, RateLimitedError, RateLimiter
from seawall.testing import virtual_time

with virtual_time() as clock:
    # so many at a rate, after a burst; the rest is refused and told when to come back
    api = Pipeline("api", RateLimiter("60/minute", burst=2))
    for number in range(3):
        try:
            print(api.call("call {} went".format, number))
        except RateLimitedError as refused:
            print(f"call {number} may go in {refused.retry_after:g} s")

    # the same, but callers wait in line for at most ten seconds
    patient = Pipeline("patient", RateLimiter("1/second", max_wait=10))
    for _ in range(3):
        patient.call(int)
    print(f"three patient calls took {clock.now():g} s")

    # what the other side counts: exactly so many in every ten seconds, and no more than 100 in an hour of the clock
    strict = RateLimiter(["5 per 10 seconds", Limit("100/hour", algorithm="fixed_window")], algorithm="sliding_log")
    print("strict:", [strict.try_acquire() for _ in range(6)].count(True), "of 6; next in", strict.retry_after(), "s")

    # a limit for each tenant, paid in tokens; the argument names are those of the protected function
    fair = Pipeline("fair", RateLimiter("100/second", key="tenant", cost=lambda tenant, tokens: tokens))

    def answer(tenant: str, tokens: int) -> str:
        return f"{tenant} got {tokens} tokens"

    print(fair.call(answer, "ann", 90))
    print(fair.call(answer, "bob", 90))
    print("ann again:", type(fair.call_outcome(answer, "ann", 90).error).__name__)

    # other numbers while the program runs
    strict.update(["50 per 10 seconds", Limit("100/hour", algorithm="fixed_window")])
    print("after the update:", strict.try_acquire())
