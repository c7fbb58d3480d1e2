"""Every kind of bulkhead on one page; run it with `python bulkhead.py`."""

from seawall import Bulkhead, BulkheadFullError, Pipeline, Timeout

# at most two at once, and nobody waits
slots = Bulkhead(2)
search = Pipeline("search", slots)
with search.permit(), search.permit():
    try:
        search.call(int)
    except BulkheadFullError as refused:
        print(refused)

# a third one, from now on
slots.resize(3)
with search.permit(), search.permit():
    print("with a third slot:", search.call(int))

# one slot for each tenant: who is slow holds up only himself
tenants = Bulkhead(1, key="tenant")
report = Pipeline("report", tenants)


def outer(tenant: str) -> list[str]:
    """Runs inside the slot of one tenant and asks for more."""
    return [type(report.call_outcome(inner, other).error).__name__ for other in (tenant, "bob")]


def inner(tenant: str) -> str:
    """What a tenant asks for."""
    return tenant


print("ann inside, then ann and bob:", report.call(outer, "ann"))

# plain functions in threads of their own, so that a hung one leaves its caller but keeps its slot
isolated = Pipeline("isolated", Bulkhead(4), Timeout(1.0, mode="thread", max_threads=4))
print("isolated:", isolated.call(lambda: "done in a worker"))

# look before you refuse: everybody passes, and the counts say who would not have
watched = Bulkhead(1, shadow=True)
trial = Pipeline("trial", watched)
print("in shadow mode:", trial.call(lambda: trial.call(lambda: "both passed")), dict(watched.snapshot().counters))
