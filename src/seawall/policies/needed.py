"""What policies load when the first of them is made: neither with their names, nor in the middle of an outage.

A process that has run out of file descriptors cannot load a module, and one that holds a lock must not. So whatever the
path of an error, a refusal or a snapshot loads late stands here, in the `__init__` of its policy, or in that of
`Pipeline` (docs/adr/0014-late-imports.md).
"""

import hashlib  # for the ids of refusals
import heapq  # for reading the journal, and the busiest keys
import logging  # for the transitions of circuits
import random  # noqa: TID251 - for jitter, which `core.chance` draws

from seawall.core import snapshot
from seawall.errors import classify, hints, kinds, predicates, quota_headers, text
from seawall.measure import histogram

__all__ = [
    "classify",
    "hashlib",
    "heapq",
    "hints",
    "histogram",
    "kinds",
    "logging",
    "predicates",
    "quota_headers",
    "random",
    "snapshot",
    "text",
]
