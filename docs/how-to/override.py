"""Changes for a while; run it with `python override.py`."""

import seawall
from seawall import Deadline, Pipeline, Retry, Timeout
from seawall.backoff import Constant
from seawall.testing import Scripted, virtual_time

with virtual_time() as clock:
    reports = Pipeline(
        "reports", Deadline(5.0), Retry(3, backoff=Constant(base=0.0)), Timeout(2.0, mode="cooperative")
    )

    # one block, one context: the nightly batch may take longer
    print("by day:", reports.call(seawall.remaining), "s")
    with seawall.override("reports", timeout=60.0, deadline=600.0):
        print("by night:", reports.call(seawall.remaining), "s")

    # everybody, until it expires
    reports.override(owner="ann", reason="they asked us not to retry", attempts=1, expires_in=900.0)
    failing = Scripted([ConnectionError("down")])
    reports.call_outcome(failing)
    print("with the override:", failing.calls, "call;", reports.snapshot().overrides[0]["reason"])
    clock.advance(900.0)
    reports.call_outcome(failing)
    print("after it:", failing.calls - 1, "calls")
