"""The output of supervised processes in files that cannot grow without bound.

The processes write to the files themselves. A pipe through the daemon would bound them exactly, but a daemon that hangs
would then block every process that prints, and one that dies would break their output.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.core.clock import Clock

LIMIT_BYTES = 1_000_000
_LOOK_EVERY = 1.0


class LogFiles:
    """NAME.log for each process, its last megabyte moved to NAME.log.1 whenever it has grown beyond one.

    What a process prints between the copy and the cut is lost; a file exceeds the limit by what is printed in a second.
    One thread looks after all files, so that a disk that hangs holds up nothing else.

    Args:
        folder: made if missing, mode 0700.
        names: the processes.
        clock: for waiting between two looks.
        limit_bytes: size at which a file is moved.
    """

    def __init__(self, folder: Path, names: Iterable[str], clock: Clock, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder
        self.errors = 0  #: looks or openings that failed, such as on a full disk
        self._paths = [self.path(name) for name in names]
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def path(self, name: str) -> Path:
        """The file of one process."""
        return self.folder / f"{name}.log"

    def open(self, name: str) -> int:
        """A descriptor to write to the file of `name`, or `subprocess.DEVNULL` if that is impossible.

        A log is no reason not to start a process.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # O_APPEND makes writers go on at the beginning after a cut
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            return os.open(self.path(name), flags, 0o600)
        except OSError:
            self.errors += 1
            return subprocess.DEVNULL

    def start(self) -> None:
        """Begin to look after the files."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._watch, name="seawall-logs", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop looking after them; does not wait for a look that is under way."""
        self._stop.set()
        self._thread = None

    def trim(self) -> None:
        """Look once at every file."""
        for path in self._paths:
            try:
                size = path.stat().st_size
                if size > self._limit_bytes:
                    self._move(path, size)
            except FileNotFoundError:
                continue
            except OSError:
                self.errors += 1

    def _move(self, path: Path, size: int) -> None:
        """Keep the end of a file beside it, and empty it."""
        try:
            with path.open("rb") as file:
                file.seek(max(0, size - self._limit_bytes))
                end = file.read(self._limit_bytes)
            old = path.with_name(f"{path.name}.1")
            old.write_bytes(end)
            old.chmod(0o600)
        finally:
            # on a full disk the copy fails, and emptying is all the more needed
            os.truncate(path, 0)

    def _watch(self) -> None:
        """The thread."""
        stop = self._stop
        while not self._clock.wait(stop, self._clock.now() + _LOOK_EVERY):
            self.trim()
