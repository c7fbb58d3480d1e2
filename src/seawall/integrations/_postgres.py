"""What the errors of a database say about it, by SQLSTATE; shared by the adapters of psycopg and SQLAlchemy."""

from __future__ import annotations

from seawall.core.context import remaining
from seawall.core.verdict import Verdict

_EARLY = 0.01  # seconds before the deadline at which the server gives up, so that its answer is here in time
_NEAR = 0.05  # seconds before the deadline from which a cancelled query counts as cut short by it

#: By whole state first, then by class. Source: PostgreSQL, appendix A.
_STATES = {
    "40001": Verdict.THROTTLED,  # serialization failure: contention, to be tried again, and no fault of the server
    "40P01": Verdict.THROTTLED,  # deadlock
    "55P03": Verdict.THROTTLED,  # lock not available
    "57014": Verdict.DROPPED,  # cancelled, by statement_timeout as a rule
    "57P01": Verdict.FAILURE,  # shut down by an administrator
    "57P02": Verdict.FAILURE,
    "57P03": Verdict.DROPPED,  # starting up
    "25006": Verdict.FAILURE,  # read-only: a standby after a failover
    "28P01": Verdict.IGNORED,  # wrong password
}
_CLASSES = {
    "08": Verdict.FAILURE,  # connection
    "53": Verdict.DROPPED,  # out of memory, disk, connections
    "57": Verdict.FAILURE,  # operator intervention
    "58": Verdict.FAILURE,  # system error
    "XX": Verdict.FAILURE,  # internal error
    "22": Verdict.IGNORED,  # data
    "23": Verdict.IGNORED,  # constraints
    "25": Verdict.IGNORED,  # state of the transaction
    "28": Verdict.IGNORED,  # authorization
    "42": Verdict.IGNORED,  # syntax, access, names
    "P0": Verdict.IGNORED,  # raised by the user's own functions
}


def verdict_of_state(state: str | None) -> Verdict | None:
    """The verdict on an error with this SQLSTATE; None if it says nothing."""
    if not state:
        return None
    return _STATES.get(state) or _CLASSES.get(state[:2])


def rolled_back(state: str | None) -> bool:
    """True if the server has certainly rolled the transaction back, even if this came for a COMMIT."""
    return state is not None and state[:2] == "40" and state != "40003"  # 40003: completion unknown


def statement_timeout() -> int | None:
    """Milliseconds for `statement_timeout` that end before the ambient deadline; None if there is none."""
    left = remaining()
    return None if left is None else max(1, int((left - _EARLY) * 1000))


def near_deadline() -> bool:
    """True when a query that was cancelled now was cancelled for the deadline."""
    left = remaining()
    return left is not None and left <= _NEAR
