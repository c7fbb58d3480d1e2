"""The parts of a daemon, built from its configuration and not yet started."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import seawall
from seawall.config.parts import checks, process_options
from seawall.config.placeholders import expand
from seawall.config.values import Address
from seawall.daemon.audience import Facts
from seawall.daemon.web import WebServer, bind
from seawall.events.bus import Bus
from seawall.health.monitor import Monitor
from seawall.recovery.supervisor import Supervisor
from seawall.report.hub import Hub
from seawall.report.protocol import SOCKET_VARIABLE
from seawall.server.app import build_app
from seawall.server.parts import Parts

if TYPE_CHECKING:
    import socket

    from starlette.applications import Starlette

    from seawall.config.schema import Config
    from seawall.core.chance import Chance
    from seawall.core.clock import Clock
    from seawall.daemon.folder import Folder


@dataclass(slots=True)
class Assembly:
    """Everything a running daemon is made of."""

    config: Config
    bus: Bus
    folder: Folder
    hub: Hub
    supervisor: Supervisor
    monitor: Monitor
    parts: Parts
    app: Starlette
    web: WebServer
    sock: socket.socket
    address: Address

    def facts(self, pid: int) -> Facts:
        """What people need to know of it now; `pid` is the daemon's."""
        states = self.supervisor.processes()
        values = self.values()
        values |= {f"{one.name}.pid": str(one.pid) for one in states if one.pid is not None}
        return Facts(
            name=self.config.daemon.name,
            pid=pid,
            address=str(self.address),
            processes=tuple((one.name, one.pid, tuple(one.addresses)) for one in states),
            hints=tuple(expand(line, values) for line in self.config.daemon.hints),
            state_dir=str(self.folder.path),
        )

    def values(self) -> dict[str, str]:
        """The placeholders that are known once the sockets are open."""
        listening = {name: one for name, one in self.config.processes.items() if one.listen}
        return {
            "python": sys.executable,
            "server.address": str(self.address),
            **{f"{name}.address": self.supervisor.address(name) for name in listening},
        }


def assemble(config: Config, folder: Folder, clock: Clock, chance: Chance) -> Assembly:
    """Open the listening sockets and build the parts; nothing is started.

    Raises:
        ConfigurationError: if a socket cannot be opened; none is left open then.
    """
    bus = Bus(clock=clock)
    sock, address = bind(config.server.listen)
    address = _reachable(address, config.server.allowed_hosts)
    try:
        hub = Hub(folder.socket_path(), bus=bus, clock=clock)
        supervisor = Supervisor(
            process_options(config, {"server.address": str(address)}),
            bus=bus,
            clock=clock,
            chance=chance,
            env={SOCKET_VARIABLE: str(hub.path)},
            log_dir=folder.logs,
            on_daemon_death=config.daemon.on_daemon_death,
        )
        supervisor.bind()
        monitor = Monitor(checks(config, supervisor.expand, supervisor.pid), bus=bus, clock=clock, chance=chance)
        parts = Parts(
            monitor=monitor,
            hub=hub,
            journal=bus.journal,
            token=folder.token(),
            supervisor=supervisor,
            clock=clock,
            name=config.daemon.name,
            version=seawall.__version__,
            allowed_hosts=("localhost", address.host, *config.server.allowed_hosts),
        )
        app = build_app(parts)
        web = WebServer(app, sock)
    except BaseException:
        sock.close()
        raise
    return Assembly(config, bus, folder, hub, supervisor, monitor, parts, app, web, sock, address)


def _reachable(address: Address, names: tuple[str, ...]) -> Address:
    """An address that can be opened: "everywhere" is no host, a name the server answers to is."""
    if address.host in {"0.0.0.0", "::", "*"}:  # noqa: S104  # compared, not bound
        return Address(names[0] if names else "127.0.0.1", address.port)
    return address
