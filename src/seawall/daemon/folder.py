"""The daemon's own folder: what it is known by, its secret, its last state, and the lock that makes it the only one."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from hashlib import blake2s
from pathlib import Path
from typing import Any

from seawall.core.errors import ConfigurationError

#: A unix socket's path may have 103 bytes on macOS and 107 on Linux.
LONGEST_SOCKET_PATH_BYTES = 103


class AlreadyRunningError(ConfigurationError):
    """Another daemon holds this folder."""


class Folder:
    """A private folder (0700) with the daemon's files.

    daemon.json says how to reach the daemon and is there while it runs; snapshot.json is its last state and
    journal.json what had happened; token is what a request that changes something must carry; logs holds the output of
    the processes.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = path / "daemon.json"
        self.snapshot = path / "snapshot.json"
        self.journal = path / "journal.json"
        self.logs = path / "logs"
        self._lock: int | None = None

    def take(self) -> None:
        """Make the folder if need be, and hold it until `give_back` or the end of this process.

        Raises:
            AlreadyRunningError: another daemon holds it.
            ConfigurationError: it cannot be made, or belongs to somebody else.
        """
        make_private(self.path)
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"{self.path}: cannot be written to: {error.strerror or error}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise AlreadyRunningError(self._taken()) from None
        self._lock = descriptor
        with contextlib.suppress(OSError):
            (self.path / ".gitignore").write_text("*\n", encoding="ascii")  # nothing in here belongs in a repository

    def give_back(self) -> None:
        """Let another daemon have the folder."""
        self.record.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def token(self) -> str:
        """The secret for requests that change something; made once and kept."""
        path = self.path / "token"
        with contextlib.suppress(OSError):
            found = path.read_text(encoding="ascii").strip()
            if len(found) >= 32 and stat.S_IMODE(path.stat().st_mode) == 0o600:
                return found
        fresh = secrets.token_urlsafe(32)
        write_private(path, fresh + "\n")
        return fresh

    def token_if_any(self) -> str:
        """The secret of the daemon that runs or ran here; "" if it cannot be read."""
        try:
            return (self.path / "token").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def socket_path(self) -> Path:
        """Where the unix socket goes: here, or in a private folder with a shorter path if this one's is too long.

        Raises:
            ConfigurationError: if that folder belongs to somebody else.
        """
        here = self.path / "seawall.sock"
        if len(os.fsencode(here)) <= LONGEST_SOCKET_PATH_BYTES:
            return here
        mark = blake2s(os.fsencode(self.path), digest_size=6).hexdigest()
        root = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        if len(os.fsencode(root)) > 50:
            root = Path("/tmp")  # noqa: S108  # the folder made in it is checked for its owner and private
        folder = root / f"seawall-{os.geteuid()}-{mark}"
        make_private(folder)
        return folder / "seawall.sock"

    def write_record(self, data: Mapping[str, Any]) -> None:
        """Say how the daemon is reached."""
        write_private(self.record, json.dumps(data, indent=1) + "\n")

    def write_snapshot(self, data: Mapping[str, Any]) -> None:
        """Keep the state for those who ask when the daemon is gone."""
        write_private(self.snapshot, json.dumps(data, separators=(",", ":"), default=str) + "\n")

    def write_journal(self, data: Mapping[str, Any]) -> None:
        """Keep what `seawall explain` needs when the daemon is gone."""
        write_private(self.journal, json.dumps(data, separators=(",", ":"), default=str) + "\n")

    def _taken(self) -> str:
        """Who holds the folder, in words."""
        known = read_json(self.record)
        who = f" (pid {known['pid']}, {known['address']})" if known and {"pid", "address"} <= known.keys() else ""
        return (
            f"A daemon already runs for this file{who}; seawall status shows how it is. "
            "Stop it first, or give this one another daemon.state_dir."
        )


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None if there is no such file, or it holds something else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def make_private(path: Path) -> None:
    """Make a folder that only its owner may enter; one that is there already must be ours.

    Raises:
        ConfigurationError: if it cannot be made or is somebody else's.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise ConfigurationError(f"{path}: is no folder of this user: set daemon.state_dir.")
        if stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be made: {error.strerror or error}. Set daemon.state_dir to another folder."
        ) from error


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, so that a reader sees the old text or the new one, readable by its owner only."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
