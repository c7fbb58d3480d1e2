"""How the whole is: from checks, circuits and processes to one status, and to ready or not."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from seawall.core.snapshot import Snapshot
from seawall.health.monitor import CheckState
from seawall.machines.health import Status, worst
from seawall.server.parts import Parts


class Item(NamedTuple):
    """One line of a probe's answer."""

    name: str
    good: bool
    why: str


class Verdict(NamedTuple):
    """The status of the whole, and what it rests on."""

    status: Status
    checks: list[CheckState]
    open_circuits: list[str]
    troubled_processes: list[str]


def judge(parts: Parts, snapshot: Snapshot) -> Verdict:
    """The status of the whole: the worst of all.

    A check that is not critical makes it degraded at most, as do an open circuit and a process that does not stay up. A
    critical check that nobody knows about makes it unknown, unless something is known to be worse.

    Args:
        parts: what is judged.
        snapshot: of all circuits; taken once by the caller, because merging a thousand takes a while.
    """
    checks = parts.monitor.states()
    circuits = [
        policy.name
        for policy in snapshot.policies
        if policy.kind == "circuit_breaker" and policy.state in {"open", "forced-open"}
    ]
    processes = [
        process.name
        for process in (parts.supervisor.processes() if parts.supervisor else ())
        if process.state in {"backing-off", "gave-up"}
    ]
    statuses = [_weight(check) for check in checks]
    if circuits or processes:
        statuses.append(Status.DEGRADED)
    known = [status for status in statuses if status is not Status.UNKNOWN]
    status = worst(known)
    if len(known) < len(statuses) and status.serves:
        status = Status.UNKNOWN
    return Verdict(status, checks, circuits, processes)


def _weight(check: CheckState) -> Status:
    """What one check says about the whole."""
    if check.critical or check.status is Status.HEALTHY:
        return check.status
    if check.last is None:
        return Status.HEALTHY  # has not run yet, and nothing depends on it
    return Status.DEGRADED


def readiness(parts: Parts, exclude: Collection[str] = ()) -> list[Item]:
    """What makes this daemon ready: it has started, does not stop, and its critical checks serve."""
    items = [
        Item("startup", parts.started, "not everything is started yet"),
        Item("running", not parts.stopping, "it is stopping"),
    ]
    items += [item_of(check) for check in parts.monitor.states() if check.critical]
    return [item for item in items if item.name not in exclude]


def startup(parts: Parts, exclude: Collection[str] = ()) -> list[Item]:
    """What makes startup complete: everything is under way, and critical checks have had their first result."""
    items = [Item("startup", parts.started, "not everything is started yet")]
    items += [
        Item(check.name, check.last is not None, check.reason) for check in parts.monitor.states() if check.critical
    ]
    return [item for item in items if item.name not in exclude]


def item_of(check: CheckState) -> Item:
    """One check as a line."""
    return Item(check.name, check.status.serves, check.reason or str(check.status))
