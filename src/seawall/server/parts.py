"""What the server is given: the daemon's parts, by the few names it uses of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from seawall.core.clock import Clock, current_clock
from seawall.core.snapshot import Snapshot
from seawall.events.journal import Journal
from seawall.health.monitor import Monitor

ForcedState = Literal["open", "closed", "disabled", "observe"]


class Program(Protocol):
    """A worker of a linked program."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def worker(self) -> str:
        """Tells workers of one program apart."""

    @property
    def linked_at(self) -> float:
        """Wall seconds."""

    @property
    def last_seen(self) -> float:
        """Wall seconds."""

    @property
    def live(self) -> bool:
        """True while the link stands."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The last one it sent."""


class Process(Protocol):
    """A supervised process; `state` is starting, running, backing-off, stopped or gave-up."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def pid(self) -> int | None:
        """Its process id."""

    @property
    def state(self) -> str:
        """One of the words above."""

    @property
    def since(self) -> float:
        """Wall seconds; when it got this state."""

    @property
    def restarts(self) -> int:
        """How often it was restarted."""

    @property
    def restart_in(self) -> float | None:
        """Seconds until the next start; None when none is due."""

    @property
    def last_exit(self) -> str:
        """How it ended the last time, in words."""


class HubPort(Protocol):
    """The daemon's end of the links to the programs."""

    def snapshot(self) -> Snapshot:
        """All programs' policies and pipelines, merged over workers."""

    def programs(self) -> Sequence[Program]:
        """Every worker that is or was linked."""

    async def force(
        self, name: str, state: ForcedState, *, owner: str, reason: str, expires_in: float | None
    ) -> Sequence[Any]:
        """Pin a circuit in every live worker; one acknowledgement each."""

    async def release(self, name: str, *, owner: str, reason: str) -> Sequence[Any]:
        """End a pin in every live worker; one acknowledgement each."""


class SupervisorPort(Protocol):
    """The keeper of the processes."""

    def processes(self) -> Sequence[Process]:
        """All of them, in the order of the file."""


@dataclass(slots=True)
class Parts:
    """Everything the server shows or steers.

    Args:
        monitor: the checks.
        hub: the linked programs.
        journal: the timeline; daemon and programs write to it.
        token: what a request that changes something must carry as `Authorization: Bearer …`; not empty.
        supervisor: the processes; None when none are supervised.
        clock: the current one if not given.
        name: the daemon's name, shown on the page.
        version: seawall's.
        allowed_hosts: host names a request may be addressed to, without port; addresses in digits are always allowed,
            because a foreign site can point a name at this machine, but not a number.
        namespace: first part of every metric's name.
        started: set by the daemon once everything is under way; `/startupz` and `/readyz` answer 503 before.
        stopping: set by the daemon when it begins to stop; `/readyz` answers 503 from then on.
    """

    monitor: Monitor
    hub: HubPort
    journal: Journal
    token: str
    supervisor: SupervisorPort | None = None
    clock: Clock = field(default_factory=current_clock)
    name: str = "seawall"
    version: str = ""
    allowed_hosts: tuple[str, ...] = ("localhost",)
    namespace: str = "seawall"
    started: bool = False
    stopping: bool = False
