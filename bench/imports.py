"""What does `import seawall` cost a program that starts? Against bare Python, in processes that take turns.

python -m bench.imports
"""

from __future__ import annotations

import resource
import statistics
import sys

from bench.figures import Figure
from bench.harness import QUICK, Effort, pin, say
from bench.question import answer, child, child_json

IMPORT = "from seawall import Pipeline, CircuitBreaker, Retry, Timeout, RateLimiter, Bulkhead"
STARTS = 21

# What is loaded with it, and how many dataclasses it makes: counted by standing in for `dataclasses.dataclass`.
LOOK = f"""
import dataclasses, json, sys
real, made = dataclasses.dataclass, []
def counting(cls=None, /, **options):
    def decorate(cls):
        made.append(cls.__module__)
        return real(cls, **options)
    return decorate if cls is None else decorate(cls)
dataclasses.dataclass = counting
before = set(sys.modules)
{IMPORT}
print(json.dumps({{
    "late": sorted({{"asyncio", "logging"}} & set(sys.modules)),
    "dataclasses": len(made),
    "modules": len(set(sys.modules) - before),
}}))
"""


def start(program: str) -> float:
    """Milliseconds of processor time of a process that runs it: others that want the CPU do not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child("-c", program)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def figures(effort: Effort) -> list[Figure]:
    """Time over bare Python, and what is loaded."""
    pin()
    start(IMPORT)  # writes the byte code
    over = []
    bare = []
    for number in range(9 if effort is QUICK else STARTS):
        say(f"start {number + 1}", end="\r")
        bare.append(start("pass"))
        over.append(start(IMPORT) - bare[-1])
    low, middle, high = statistics.quantiles(over, n=4)
    seen = child_json("-c", LOOK)
    late = ", ".join(seen["late"])
    return [
        Figure("imports.time", "importing six public names, over bare Python", "ms", middle, low=low, high=high),
        Figure("imports.bare", "bare Python", "ms", statistics.median(bare)),
        Figure("imports.late", "of asyncio and logging, loaded at once", "", len(seen["late"]), note=late or "neither"),
        Figure("imports.dataclasses", "dataclasses made at once", "", seen["dataclasses"]),
        Figure("imports.modules", "modules loaded", "", seen["modules"]),
    ]


if __name__ == "__main__":
    sys.exit(answer(__doc__, figures))
