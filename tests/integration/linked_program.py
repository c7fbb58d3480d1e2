"""A program that uses the library and does what it reads: one command a line, each answered by one line of JSON.

Started with the socket as its argument; SEAWALL_PROGRAM names it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import seawall
from seawall.core.ports import load
from seawall.pipeline.registry import default_registry

catalogue = seawall.Pipeline(
    "catalogue",
    seawall.Retry(attempts=1),
    seawall.CircuitBreaker(failure_threshold=3, recovery_timeout=60.0),
    seawall.Bulkhead(5),
)


def fail() -> None:
    raise ConnectionError("no route")


def do(words: list[str], link: Any) -> object:
    match words:
        case ["ok", count]:
            for _ in range(int(count)):
                catalogue.call(int)
        case ["fail", count]:
            for _ in range(int(count)):
                outcome = catalogue.call_outcome(fail)
                assert not outcome.ok
        case ["state"]:
            [circuit] = [p for p in default_registry.snapshot().policies if p.kind == "circuit_breaker"]
            return [circuit.state, link.linked, link.last_error, link.errors]
        case ["call"]:
            began = time.perf_counter()
            error = catalogue.call_outcome(int).error
            return [type(error).__name__ if error else "ok", time.perf_counter() - began]
        case ["fork", calls]:
            pid = os.fork()
            if pid == 0:
                do(["ok", calls], link)
                time.sleep(60)
                os._exit(0)
            return pid
        case ["exit"]:
            raise SystemExit
        case _:
            raise ValueError(words)
    return "done"


def main() -> None:
    link = load("link")(default_registry, sys.argv[1])
    sys.stdout.write(json.dumps(os.getpid()) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(do(line.split(), link)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
