"""Runs child processes and keeps them running."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from seawall.core.chance import Chance, system_chance
from seawall.core.clock import Clock, current_clock
from seawall.core.errors import ConfigurationError
from seawall.recovery.child import Child, House
from seawall.recovery.keeping import KeeperHandle
from seawall.recovery.logs import LogFiles
from seawall.recovery.options import ProcessOptions, ProcessState
from seawall.recovery.sockets import Listener, open_listener

if TYPE_CHECKING:
    from seawall.events.bus import Bus
    from seawall.recovery.keeper import Family

__all__ = ["OnDaemonDeath", "ProcessOptions", "ProcessState", "Supervisor"]

OnDaemonDeath = Literal["stop", "keep"]

_PLACEHOLDER = re.compile(r"\{(python|[A-Za-z0-9][A-Za-z0-9_-]*\.[a-z]+)\}")


class Supervisor:
    """Starts the given processes in order, restarts them with backoff, and stops them in reverse order.

    A child runs in a session of its own. When it ends, what it started and left behind is ended too, before it is
    started again. Its listening sockets stay open meanwhile, so connections wait instead of being refused.

    All methods belong to the loop that `start` was called in.

    Args:
        options: the processes, in starting order.
        bus: takes ProcessStarted and ProcessExited.
        clock: the clock; the present one by default.
        chance: jitter of the backoff.
        env: added to the environment of every child, such as SEAWALL_SOCKET.
        log_dir: folder for NAME.log, the output of each child; made when needed.
        on_daemon_death: "stop" ends the children within some two seconds when this process is killed; "keep" lets
            them live on.

    Raises:
        ConfigurationError: two processes of one name, or an unknown `on_daemon_death`.
    """

    def __init__(
        self,
        options: Iterable[ProcessOptions],
        *,
        bus: Bus,
        clock: Clock | None = None,
        chance: Chance = system_chance,
        env: Mapping[str, str] | None = None,
        log_dir: Path,
        on_daemon_death: OnDaemonDeath = "stop",
    ) -> None:
        self._options = tuple(options)
        names = [one.name for one in self._options]
        for name in names:
            if names.count(name) > 1:
                raise ConfigurationError(f"processes.{name}: there are two of this name; each process needs its own.")
        if on_daemon_death not in get_args(OnDaemonDeath):
            raise ConfigurationError(f'daemon.on_daemon_death = {on_daemon_death!r}: must be "stop" or "keep".')
        self._clock = clock or current_clock()
        self._listeners: dict[str, tuple[Listener, ...]] = {}
        self._children: dict[str, Child] = {}
        self._bound = False
        self._keeper = KeeperHandle(self._families) if on_daemon_death == "stop" else None
        self._logs = LogFiles(Path(log_dir), names, self._clock)
        self._house = House(
            bus=bus,
            clock=self._clock,
            chance=chance,
            env=dict(env or {}),
            logs=self._logs,
            keeper=self._keeper,
            token=f"{int(chance() * 16**12):012x}",
            expand=self.expand,
        )

    def bind(self) -> None:
        """Open all listening sockets and check all placeholders; doing it again does nothing.

        Raises:
            ConfigurationError: naming the process and the value; no socket is left open then.
        """
        if self._bound:
            return
        try:
            for one in self._options:
                place = f"processes.{one.name}.listen"
                opened: list[Listener] = []
                for address in one.listen:
                    opened.append(open_listener(address, place))
                    self._listeners[one.name] = tuple(opened)
            self._bound = True
            for one in self._options:
                for text in (*one.command, *one.env.values()):
                    self._expand(text, f"processes.{one.name}: ")
        except ConfigurationError:
            self._close_sockets()
            raise

    def address(self, name: str) -> str:
        """The first address that process `name` listens on, as "host:port".

        Raises:
            ConfigurationError: if there is no such process, it listens on none, or `bind` was not called.
        """
        return self._address(name, "")

    def expand(self, text: str) -> str:
        """`text` with `{python}` and `{NAME.address}` filled in; other braces stay as they are.

        Raises:
            ConfigurationError: if it names a process that does not listen.
        """
        return self._expand(text, "")

    async def start(self) -> None:
        """Start all processes in order, without waiting for them to be ready.

        Raises:
            ConfigurationError: see `bind`, which is called if it was not yet.
        """
        self.bind()
        if self._keeper is not None and self._keeper.pid is None:
            self._keeper.start()
        self._logs.start()
        for one in self._options:
            if one.name not in self._children:
                child = Child(one, self._listeners.get(one.name, ()), self._house)
                self._children[one.name] = child
                await child.start()

    async def stop(self, grace: float | None = None) -> None:
        """Stop all processes in reverse order, and close the sockets.

        Each is sent its stop signal once those after it have ended or have used up their share of the first half of
        the grace time, so that all are asked in time. Who has not ended after its own `stop_timeout`, or at the end of
        the grace time, is killed with its family.

        Args:
            grace: seconds for all together; by default the largest `stop_timeout`.
        """
        children = list(reversed(self._children.values()))
        clock = self._clock
        total = grace if grace is not None else max((c.options.stop_timeout for c in children), default=0.0)
        end = clock.now() + total
        half = end - total / 2
        for position, child in enumerate(children):
            now = clock.now()
            child.begin_stop(min(end, now + child.options.stop_timeout))
            await child.stopped(timeout=max(0.0, half - now) / (len(children) - position))
        for child in children:
            await child.stopped()
        if self._keeper is not None:
            await self._keeper.stop()
        self._logs.stop()
        self._close_sockets()

    def kill(self) -> None:
        """End all processes at once; a `stop` that is under way completes soon after."""
        for child in self._children.values():
            child.kill()

    def processes(self) -> list[ProcessState]:
        """How every process is doing, in starting order."""
        return [
            self._children[one.name].state() if one.name in self._children else self._not_started(one)
            for one in self._options
        ]

    def pid(self, name: str) -> int | None:
        """The present pid of a process; None while it does not run.

        Raises:
            ConfigurationError: if there is no process of that name.
        """
        self._check_name(name)
        child = self._children.get(name)
        return child.state().pid if child is not None else None

    async def restart(self, name: str) -> None:
        """End a process if it runs, and start it anew at once; what it did before no longer counts against it.

        Raises:
            ConfigurationError: if there is no process of that name.
        """
        self._check_name(name)
        if name in self._children:
            await self._children[name].restart()

    def _families(self) -> Iterator[Family]:
        """The families that live now."""
        return (child.family for child in self._children.values() if child.family is not None)

    def _not_started(self, one: ProcessOptions) -> ProcessState:
        """State of a process before `start`."""
        addresses = tuple(listener.address for listener in self._listeners.get(one.name, ()))
        return ProcessState(
            one.name, None, "stopped", self._clock.wall(), 0, None, "", addresses, str(self._logs.path(one.name))
        )

    def _check_name(self, name: str) -> None:
        """Refuse the name of a process that there is not."""
        known = [one.name for one in self._options]
        if name not in known:
            raise ConfigurationError(f"There is no process {name!r}: known are {', '.join(known) or 'none'}.")

    def _address(self, name: str, place: str) -> str:
        """The first address of a process."""
        listeners = self._listeners.get(name)
        if listeners:
            return listeners[0].address
        known = [one.name for one in self._options if one.listen]
        raise ConfigurationError(
            f"{place}no address of a process {name!r}: "
            + (
                "the sockets are not open yet."
                if name in known
                else f"those that listen are {', '.join(known) or 'none'}."
            )
        )

    def _expand(self, text: str, place: str) -> str:
        """Fill in the placeholders; `place` opens the message of an error."""

        def fill(match: re.Match[str]) -> str:
            word = match[1]
            if word == "python":
                return sys.executable
            name, _, what = word.partition(".")
            if what != "address":
                raise ConfigurationError(
                    f"{place}{{{word}}} in {text!r}: there is only {{python}} and {{NAME.address}}."
                )
            return self._address(name, f"{place}{{{word}}}: ")

        return _PLACEHOLDER.sub(fill, text)

    def _close_sockets(self) -> None:
        """Close all listening sockets."""
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.socket.close()
        self._listeners.clear()
        self._bound = False
