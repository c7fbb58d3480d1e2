"""One supervised process: started, watched, ended with all of its family, started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.events.types import ProcessExited, ProcessStarted
from seawall.machines.restart import Restart
from seawall.recovery import spawn
from seawall.recovery.exits import ExitWatch, exit_words
from seawall.recovery.keeper import MARK_VARIABLE, Family, living, read_stat, send
from seawall.recovery.options import ProcessOptions, ProcessState

if TYPE_CHECKING:
    from seawall.core.chance import Chance
    from seawall.core.clock import Clock
    from seawall.events.bus import Bus
    from seawall.recovery.keeping import KeeperHandle
    from seawall.recovery.logs import LogFiles
    from seawall.recovery.sockets import Listener

_LEFTOVERS_WITHIN = 1.0  #: seconds that what a crashed process left behind has to end by itself
_UNKILLABLE_AFTER = 5.0  #: seconds after SIGKILL at which a process stuck in the kernel is no longer waited for
_LOOK_EVERY = 0.05
_CLEARED = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET")


@dataclass(frozen=True, slots=True)
class House:
    """What all children of one supervisor share."""

    bus: Bus
    clock: Clock
    chance: Chance
    env: Mapping[str, str]
    logs: LogFiles
    keeper: KeeperHandle | None  #: None: children outlive the daemon
    token: str
    expand: Callable[[str], str]


class Child:
    """One process and its life.

    Args:
        options: how it is run.
        listeners: its sockets, already listening.
        house: what it shares with the others.
    """

    def __init__(self, options: ProcessOptions, listeners: tuple[Listener, ...], house: House) -> None:
        self.options = options
        self.family: Family | None = None
        self._listeners = listeners
        self._house = house
        self._machine = Restart(options.restart_options())
        self._watch: ExitWatch | None = None
        self._since = house.clock.wall()
        self._last_exit = ""
        self._number = 0
        self._wake = asyncio.Event()
        self._began = asyncio.Event()
        self._stopping = False
        self._kill_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; returns when the process was started, or could not be."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._live(), name=f"seawall-{self.options.name}")
            await self._began.wait()

    def begin_stop(self, kill_at: float) -> None:
        """Ask it to end, for good; what is left of its family at `kill_at` (on the clock) is killed."""
        self._stopping = True
        self._kill_at = kill_at if self._kill_at is None else min(kill_at, self._kill_at)
        self._wake.set()

    def kill(self) -> None:
        """End it at once, for good."""
        self.begin_stop(self._house.clock.now())
        if self._watch is not None and not self._watch.ended.done():
            self._signal_group(signal.SIGKILL)

    async def stopped(self, timeout: float | None = None) -> bool:
        """Wait until a stop is complete, at most `timeout` seconds; tells whether it is."""
        if self._task is None:
            return True
        done, _ = await asyncio.wait([self._task], timeout=timeout)
        return bool(done)

    async def restart(self) -> None:
        """End it if it runs, and start it anew, whatever its state; returns when it was started."""
        if self._task is None or self._stopping:
            return
        if self._watch is None:
            self._machine.stopped()
        self._began.clear()
        self._wake.set()
        await self._began.wait()

    def state(self) -> ProcessState:
        """How it is doing."""
        clock = self._house.clock
        now, wall = clock.now(), clock.wall()
        word = self._machine.state(now)
        since = self._since
        if word == "running":
            since = min(wall, since + self.options.start_seconds)
        due = self._machine.due_at
        return ProcessState(
            name=self.options.name,
            pid=self._watch.process.pid if self._watch is not None else None,
            state=word,
            since=since,
            restarts=self._machine.restarts,
            restart_in=None if due is None else max(0.0, due - now),
            last_exit=self._last_exit,
            addresses=tuple(listener.address for listener in self._listeners),
            log=str(self._house.logs.path(self.options.name)),
        )

    async def _live(self) -> None:
        """The whole life, until it is stopped for good."""
        try:
            while not self._stopping:
                self._wake.clear()
                failure = self._spawn()
                self._began.set()
                if failure:
                    self._note_exit(failure, 0, ok=False)
                elif self._watch is not None:
                    await self._until_ended(self._watch)
                if not self._stopping and not self._wake.is_set():
                    await self._pause()
        finally:
            self._began.set()  # whoever waits for a start must not wait for ever

    async def _pause(self) -> None:
        """Wait until the next start is due, or somebody asks for one."""
        due = self._machine.due_at
        timeout = None if due is None else max(0.0, due - self._house.clock.now())
        try:
            await asyncio.wait_for(self._wake.wait(), timeout)
        except TimeoutError:
            return

    async def _until_ended(self, watch: ExitWatch) -> None:
        """Wait for the end of a running process, its own or a wanted one, and clear up behind it."""
        clock = self._house.clock
        waking = asyncio.ensure_future(self._wake.wait())
        either: list[asyncio.Future[Any]] = [watch.ended, waking]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()
        wanted = not watch.ended.done()
        if wanted:
            if self._kill_at is None:
                self._kill_at = clock.now() + self.options.stop_timeout
            self._signal_group(self.options.signal_number())
            await asyncio.wait([watch.ended], timeout=max(0.0, self._kill_at - clock.now()))
        await self._clear_family(watch)
        code = watch.ended.result() if watch.ended.done() else None
        how = exit_words(code) if code is not None else "does not end, even killed"
        watch.close()
        pid, self._watch = watch.process.pid, None
        if self.family is not None and self._house.keeper is not None and code is not None:
            self._house.keeper.gone(self.family)
        self.family = None
        if wanted and code in {0, -self.options.signal_number()}:
            how = "stopped as asked"
        if not self._stopping:
            self._kill_at = None
        self._note_exit(how, pid, ok=code == 0, wanted=wanted)

    async def _clear_family(self, watch: ExitWatch) -> None:
        """End what is left of the family: politely until its time is up, then not."""
        family, clock = self.family, self._house.clock
        if family is None:
            return
        began = clock.now()
        asked = False
        while True:
            now = clock.now()
            # a process that crashed or obeyed leaves its family little time; one that did not has used it up
            kill_at = (
                began + _LEFTOVERS_WITHIN if self._kill_at is None else min(self._kill_at, began + _LEFTOVERS_WITHIN)
            )
            # /proc can hang on a process that is stuck in the kernel, so it is not read on the loop
            left = (await asyncio.to_thread(living, [family]))[family.pid]
            if not left and watch.ended.done():
                return
            if now >= kill_at + _UNKILLABLE_AFTER:
                return
            if now >= kill_at:
                send(family, left, signal.SIGKILL)
            elif not asked:
                send(family, left, self.options.signal_number())
                asked = True
            if watch.ended.done():
                await _nap()
            else:
                await asyncio.wait([watch.ended], timeout=_LOOK_EVERY)

    def _signal_group(self, number: signal.Signals) -> None:
        """Signal the whole process group; one that is stopped is woken, so that it can act on it."""
        if self._watch is None:
            return
        try:
            os.killpg(self._watch.process.pid, number)
            os.killpg(self._watch.process.pid, signal.SIGCONT)
        except (ProcessLookupError, PermissionError):
            return  # it has ended, or takes other rights now; the family is looked at anyway

    def _spawn(self) -> str:
        """Start the process; gives "" or, in words, why that failed."""
        house, options = self._house, self.options
        try:
            command = [house.expand(part) for part in options.command]
            env = self._environment()
            if "/" not in command[0] and shutil.which(command[0], path=env.get("PATH")) is None:
                return f'could not be started: "{command[0]}" was not found on PATH'
            process = self._popen(command, env)
        except OSError as error:
            return f"could not be started: {error.strerror}" + (f": {error.filename}" if error.filename else "")
        except ValueError as error:
            return f"could not be started: {error}"
        self._watch = ExitWatch(process, asyncio.get_running_loop())
        stat = read_stat(process.pid)
        self.family = Family(process.pid, stat.started if stat else 0, env[MARK_VARIABLE])
        self._since = house.clock.wall()
        now = house.clock.now()
        attempt = self._machine.started(now)
        self._number += 1
        house.bus.publish((ProcessStarted, self._number, now, options.name, process.pid, attempt))
        return ""

    def _popen(self, command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start the command by way of `spawn.py`."""
        house, options = self._house, self.options
        descriptors = [listener.socket.fileno() for listener in self._listeners]
        keeper = house.keeper.descriptor if house.keeper is not None else -1
        mark = env[MARK_VARIABLE]
        output = house.logs.open(options.name)
        try:
            return subprocess.Popen(
                [
                    sys.executable, "-I", "-S", str(Path(spawn.__file__)), str(os.getpid()), str(keeper), mark,
                    str(int(options.signal_number())), ",".join(map(str, descriptors)), "--", *command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=options.cwd,
                env=env,
                pass_fds=[*descriptors, *([keeper] if keeper >= 0 else [])],
                start_new_session=True,
            )  # fmt: skip
        finally:
            if output >= 0:
                os.close(output)

    def _environment(self) -> dict[str, str]:
        """The environment of the process."""
        house, options = self._house, self.options
        env = {key: value for key, value in os.environ.items() if key not in _CLEARED}
        env.update(house.env)
        env["SEAWALL_PROGRAM"] = options.name
        env.update({key: house.expand(value) for key, value in options.env.items()})
        env[MARK_VARIABLE] = f"{house.token}/{options.name}"
        if self._listeners:
            env["LISTEN_FDS"] = str(len(self._listeners))
            env["LISTEN_FDNAMES"] = ":".join([options.name] * len(self._listeners))
        return env

    def _note_exit(self, how: str, pid: int, *, ok: bool, wanted: bool = False) -> None:
        """Record an end, decide what follows, and tell."""
        house, machine = self._house, self._machine
        now = house.clock.now()
        ran_for = max(0.0, now - machine.started_at) if pid and machine.started_at is not None else 0.0
        delay: float | None = None
        if wanted or self._stopping:
            machine.stopped()
            delay = None if self._stopping else 0.0
        else:
            delay = machine.exited(now, ok=ok, chance=house.chance)
        self._last_exit = how
        self._since = house.clock.wall()
        self._number += 1
        house.bus.publish((ProcessExited, self._number, now, self.options.name, pid, how, ran_for, delay))


async def _nap() -> None:
    """Wait a moment for processes that are no children of ours, whose end nobody tells."""
    try:
        await asyncio.wait_for(asyncio.Event().wait(), _LOOK_EVERY)
    except TimeoutError:
        return
