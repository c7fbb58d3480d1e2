"""A process of its own that outlives a killed daemon just long enough to end the daemon's children.

It is started as a script (`python -I -S keeper.py`), so it imports the standard library only; the supervisor imports
the functions that find and signal process families from here. It reads lines from its standard input:

* `add PID STARTED MARK` – a child was started: its process group is PID, STARTED its start time in clock ticks (0 if
  unknown), MARK the value of SEAWALL_PROCESS in its environment;
* `gone PID` – the child and all of its family have ended.

End of input means that the daemon is no more: what is left gets SIGTERM, and SIGKILL after a second.

A process belongs to a child's family if it is in the child's process group or session, or carries its mark, so a
grandchild that made itself a session of its own is found too. Start times guard against process numbers used anew.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import NamedTuple

MARK_VARIABLE = "SEAWALL_PROCESS"
GRACE = 1.0  #: seconds between SIGTERM and SIGKILL
_STEP = 0.05
_HAS_PROC = os.path.exists("/proc/self/stat")  # noqa: PTH110 - pathlib would double this script's start-up


class Family(NamedTuple):
    """A child with everything it started."""

    pid: int
    started: int  #: clock ticks since boot; 0 if unknown
    mark: str


class ProcessStat(NamedTuple):
    """What /proc says about one process."""

    state: str  #: "R", "S", "D", "T" stopped, "Z" dead but not reaped yet, …
    group: int
    session: int
    started: int


def read_stat(pid: int) -> ProcessStat | None:
    """One process as /proc has it; None if there is none, or no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - as above
            # NB: the command's name may contain spaces and brackets; the last bracket ends it
            fields = file.read().rpartition(b")")[2].split()
        return ProcessStat(fields[0].decode("ascii"), int(fields[2]), int(fields[3]), int(fields[19]))
    except (OSError, IndexError, ValueError):
        return None


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and only waits to be reaped does not."""
    if _HAS_PROC:
        stat = read_stat(pid)
        return stat is not None and stat.state not in "ZX"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def living(families: list[Family]) -> dict[int, list[int]]:
    """The processes of each family that are alive, by the family's pid; one pass over /proc for all of them."""
    if not _HAS_PROC:
        return {family.pid: [family.pid] for family in families if _group_exists(family.pid)}
    found: dict[int, list[int]] = {family.pid: [] for family in families}
    taken = {family.pid for family in families if _number_was_reused(family)}
    marks = {f"{MARK_VARIABLE}={family.mark}".encode(): family.pid for family in families if family.mark}
    own = os.getpid()
    for entry in os.listdir("/proc"):  # noqa: PTH208 - as above
        if not entry.isdigit() or int(entry) == own:
            continue
        pid = int(entry)
        stat = read_stat(pid)
        if stat is None or stat.state in "ZX":
            continue
        for leader in (stat.group, stat.session):
            if leader in found and leader not in taken:
                found[leader].append(pid)
                break
        else:
            leader = _marked(pid, marks)
            if leader:
                found[leader].append(pid)
    return found


def send(family: Family, members: list[int], number: int) -> None:
    """Send a signal to `members`; one that is stopped is woken, so that it can act on it."""
    for pid in members:
        try:
            if not _HAS_PROC:
                os.killpg(family.pid, number)
            else:
                os.kill(pid, number)
                if number != signal.SIGKILL:
                    os.kill(pid, signal.SIGCONT)
        except (ProcessLookupError, PermissionError):
            continue  # it ended just now, or took another user's rights


def _group_exists(group: int) -> bool:
    """Whether a process group has members, where there is no /proc."""
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def _number_was_reused(family: Family) -> bool:
    """Whether the family's number now belongs to a process that started at another time."""
    stat = read_stat(family.pid)
    return stat is not None and family.started not in {0, stat.started}


def _marked(pid: int, marks: dict[bytes, int]) -> int:
    """The family whose mark a process carries in its environment; 0 if none."""
    if not marks:
        return 0
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - as above
            variables = file.read().split(b"\0")
    except OSError:
        return 0
    return next((marks[variable] for variable in variables if variable in marks), 0)


def _end_all(families: list[Family]) -> None:
    """End what is left: ask, wait up to the grace time, then kill until nothing is left."""
    number: int = signal.SIGTERM
    for step in range(int(10 * GRACE / _STEP)):
        if step >= GRACE / _STEP:
            number = signal.SIGKILL
        left = {pid: members for pid, members in living(families).items() if members}
        if not left:
            return
        if step == 0 or number == signal.SIGKILL:
            for family in families:
                send(family, left.get(family.pid, []), number)
        time.sleep(_STEP)  # noqa: TID251 - a program of its own; nobody hands it a clock


def main() -> None:
    """Read what the daemon says until it is gone, then end what it left."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    families: dict[int, Family] = {}
    for line in sys.stdin.buffer:
        words = line.decode("utf-8", "replace").split()
        try:
            if words[0] == "add":
                families[int(words[1])] = Family(int(words[1]), int(words[2]), words[3] if len(words) > 3 else "")
            elif words[0] == "gone":
                families.pop(int(words[1]), None)
        except (IndexError, ValueError):
            continue  # half a line, written while the daemon was killed
    if families:
        _end_all(list(families.values()))


if __name__ == "__main__":
    main()
