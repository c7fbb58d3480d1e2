"""Deadlines, timeouts and shares on one page; run it with `python deadlines.py`."""

import seawall
from seawall import Deadline, DeadlineExceededError, Pipeline, Retry, TimedOutError, Timeout
from seawall.backoff import Constant
from seawall.testing import virtual_time

with virtual_time() as clock:
    # all attempts, waits and queues together take twelve seconds; each attempt five
    pipeline = Pipeline("catalogue", Deadline(12.0), Retry(3, backoff=Constant(base=0.1)), Timeout(5.0, mode="thread"))
    print(pipeline.explain().splitlines()[-2])

    def hangs() -> None:
        clock.sleep(60.0)

    try:
        with clock.working():
            pipeline.call(hangs)
    except TimedOutError as error:
        print(f"gave up after {clock.now():.0f} s: {error.evidence['which']} of {error.evidence['limit']:.0f} s")

    # code that looks at the time ends in time by itself
    def polite() -> str:
        left = seawall.remaining()
        assert left is not None
        clock.sleep(min(60.0, left))
        raise TimeoutError("stopped waiting")

    cooperative = Pipeline("polite", Timeout(2.0, mode="cooperative"))
    began = clock.now()
    try:
        cooperative.call(polite)
    except TimedOutError:
        print(f"polite code ended after {clock.now() - began:.0f} s")

    # a deadline for a block: what is called inside shares it
    with seawall.deadline(1.0):
        clock.sleep(1.0)
        try:
            cooperative.call(polite)
        except DeadlineExceededError:
            print("no time left: it was never called")

    # each attempt gets its equal share of what the deadline leaves
    shared = Pipeline(
        "shared", Deadline(9.0), Retry(3, backoff=Constant(base=0.0)), Timeout(share=True, mode="cooperative")
    )
    limits: list[int] = []

    def look() -> None:
        limits.append(round(seawall.remaining() or 0))
        raise ConnectionError

    shared.call_outcome(look)
    print("shares of nine seconds:", limits)
