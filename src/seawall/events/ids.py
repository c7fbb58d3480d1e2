"""Short ids of refusals and transitions, by which `explain` finds them again.

`r-7f3a1c` is a refusal and `t-90b2e4` a transition. The digits begin the BLAKE2s digest of policy kind, name, number
and worker: all are known where the error is raised and in the journal entry of the event, so neither has to be told of
the other, and two workers that count alike still differ.

Six digits are 24 bits. Among 4,096 refusals two share them with a chance of about 40 %, a given one shares its own
with a chance of 1 : 4,000. Then `explain` shows all that have them, and tells each by a longer beginning of its digest,
which it takes as well: `r-7f3a1c` may be asked for as `r-7f3a1c52d0`.
"""

from __future__ import annotations

import os
from typing import Any

from seawall.core.chance import secret_bytes

SHORT = 6  #: digits shown
LONG = 16  #: digits there are

_FORM = rf"[rt]-[0-9a-f]{{{SHORT},{LONG}}}"


def new_worker() -> str:
    """A name of this process among the workers of its program: its pid and something that a reused pid has not."""
    return f"{os.getpid()}-{secret_bytes(4).hex()}"


def is_id(text: str) -> bool:
    """Whether a text has the form of an id, short or long."""
    import re  # late: no call needs it

    return re.fullmatch(_FORM, text) is not None


def long_id(kind: str, policy: str, name: str, number: int, worker: str) -> str:
    """The whole id.

    Args:
        kind: "r" for a refusal, "t" for a transition.
        policy: kind of the policy, such as "circuit_breaker".
        name: the policy's, as its event has it.
        number: of the event among those of the policy.
        worker: of the process; see `Journal.worker`.
    """
    from hashlib import blake2s  # late: loaded when the first policy was made

    text = "\0".join((policy, name, str(number), worker))
    return f"{kind}-{blake2s(text.encode('utf-8', 'surrogatepass'), digest_size=LONG // 2).hexdigest()}"


def short(whole: str) -> str:
    """What is shown of an id."""
    return whole[: 2 + SHORT]


def refusal_id(policy: str, name: str, number: int, worker: str) -> str:
    """The short id of a refusal; see `long_id`."""
    return short(long_id("r", policy, name, number, worker))


def long_id_of(event: Any, worker: str) -> str:
    """The whole id of an event; "" for one that has none, or comes from nobody knows which worker."""
    if not worker:
        return ""
    kind = type(event).__name__
    if kind == "CallRejected":
        return long_id("r", event.policy, event.name, event.number, worker)
    if kind.startswith("Circuit"):
        return long_id("t", "circuit_breaker", event.name, event.number, worker)
    return ""


def hint(whole: str) -> str:
    """How to ask for an explanation, as it ends a message; "" without an id."""
    return f" (explain: seawall explain {short(whole)})" if whole else ""
