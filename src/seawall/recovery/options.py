"""What is known about a supervised process: how it is to run, and how it is doing."""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from seawall.core.errors import ConfigurationError
from seawall.machines.restart import RestartMode, RestartOptions, RunState

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_MODES = get_args(RestartMode)


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """How one child process is run; durations in seconds.

    `command` and the values of `env` may contain `{python}` (this interpreter) and `{NAME.address}` (the first address
    that process NAME listens on); the supervisor fills them in when it starts the process.

    Args:
        name: letters, digits, "-" and "_", at most 63; also the name of its log file.
        command: program and arguments; never a shell line.
        cwd: folder it runs in; the daemon's own if None.
        env: added to the daemon's environment.
        listen: "host:port" of sockets that are opened for it and kept open over restarts; port 0 lets the kernel
            choose. They are handed on from descriptor 3 with LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES.
        restart: "always", "on-failure" or "never".
        backoff_base: longest delay before the first restart, > 0.
        backoff_cap: longest delay between restarts, >= backoff_base.
        start_seconds: it must run that long to count as started, >= 0.
        max_restarts: restarts allowed in `restart_window`, >= 1; one more is giving up, then it is tried at the cap.
        restart_window: > 0.
        stop_signal: name of the signal that asks it to end.
        stop_timeout: how long it may take to end before it is killed with its whole process group, > 0.

    Raises:
        ConfigurationError: if a value is out of range.
    """

    name: str
    command: tuple[str, ...]
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    listen: tuple[str, ...] = ()
    restart: RestartMode = "always"
    backoff_base: float = 1.0
    backoff_cap: float = 60.0
    start_seconds: float = 5.0
    max_restarts: int = 5
    restart_window: float = 60.0
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 10.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"processes: name = {self.name!r}: must be 1 to 63 letters, digits, - or _, not beginning with - or _."
            )
        object.__setattr__(self, "command", tuple(self.command))
        object.__setattr__(self, "listen", tuple(self.listen))
        object.__setattr__(self, "env", dict(self.env))
        self._check_texts()
        for address in self.listen:
            split_address(address, f"processes.{self.name}.listen")
        if self.restart not in _MODES:
            self._refuse("restart", self.restart, f"must be one of {', '.join(_MODES)}")
        self._check_durations()
        if self.max_restarts < 1:
            self._refuse("max_restarts", self.max_restarts, 'must be at least 1 (restart = "never" for none)')
        self.signal_number()

    def _check_texts(self) -> None:
        """Refuse a command or an environment that no process can have."""
        if not self.command or not self.command[0]:
            example = 'must be a list with at least the program, such as ["{python}", "a.py"]'
            self._refuse("command", self.command, example)
        for text in (*self.command, *self.env, *self.env.values()):
            if "\0" in text:
                self._refuse("command or env", text, "must not contain the character NUL")
        for key in self.env:
            if not key or "=" in key:
                self._refuse("env", key, 'a variable’s name must not be empty or contain "="')

    def _check_durations(self) -> None:
        """Refuse durations out of range."""
        for key in ("backoff_base", "backoff_cap", "restart_window", "stop_timeout"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value > 0):
                self._refuse(key, value, "must be more than 0 seconds")
        if not (math.isfinite(self.start_seconds) and self.start_seconds >= 0):
            self._refuse("start_seconds", self.start_seconds, "must be 0 seconds or more")
        if self.backoff_cap < self.backoff_base:
            self._refuse("backoff_cap", self.backoff_cap, f"must be at least backoff_base ({self.backoff_base:g})")

    def signal_number(self) -> signal.Signals:
        """The stop signal as a number."""
        found = signal.Signals.__members__.get(self.stop_signal)
        if found is None:
            self._refuse("stop_signal", self.stop_signal, "must be the name of a signal, such as SIGTERM or SIGINT")
            raise AssertionError  # unreachable: _refuse raises
        return found

    def restart_options(self) -> RestartOptions:
        """What of this the restart decision needs."""
        return RestartOptions(
            mode=self.restart,
            backoff_base=self.backoff_base,
            backoff_cap=self.backoff_cap,
            start_seconds=self.start_seconds,
            max_restarts=self.max_restarts,
            restart_window=self.restart_window,
        )

    def _refuse(self, key: str, value: object, why: str) -> None:
        """Raise the error for one value."""
        raise ConfigurationError(f"processes.{self.name}.{key} = {value!r}: {why}.")


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One supervised process at one moment.

    Args:
        name: the process's name.
        pid: None when it does not run.
        state: "starting", "running", "backing-off", "stopped" or "gave-up" (tried at the cap only).
        since: wall time at which it came into this state, seconds.
        restarts: how often it was restarted in all.
        restart_in: seconds until the next start; None when none is to come.
        last_exit: how it ended last, in words; "" if it never has.
        addresses: what it listens on, as "host:port".
        log: file that takes its output; "" while there is none.
    """

    name: str
    pid: int | None
    state: RunState
    since: float
    restarts: int
    restart_in: float | None
    last_exit: str
    addresses: tuple[str, ...] = ()
    log: str = ""


def split_address(address: str, place: str) -> tuple[str, int]:
    """Host and port of "host:port" ("[::1]:80" for IPv6).

    Raises:
        ConfigurationError: naming `place`, if it is not of that form.
    """
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(
            f'{place} = {address!r}: must be "host:port" with a port from 0 (the kernel chooses) to 65535, '
            f'such as "127.0.0.1:0".'
        )
    return host, int(port)
