"""The daemon's unix socket: opened so that only this user reaches it, over whatever a dead daemon left behind."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

from seawall.core.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

#: Longest path of a unix socket in bytes: 108 less the closing NUL on Linux, 104 less one on macOS and BSD.
LONGEST_PATH_BYTES = 103
_BACKLOG = 128


def open_door(path: Path) -> socket.socket:
    """Listen on a unix socket at `path` with mode 0600, in a folder with mode 0700 that is made if missing.

    A socket that a dead daemon left is replaced.

    Raises:
        ConfigurationError: if the path is too long, the folder is open to others, something else lies at `path`, or
            a daemon answers there.
    """
    if len(os.fsencode(path)) > LONGEST_PATH_BYTES:
        raise ConfigurationError(
            f"{path}: the path of a socket may have at most {LONGEST_PATH_BYTES} bytes: choose a shorter folder."
        )
    try:
        _make_private(path.parent)
        _clear(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # NB: on Linux the file takes the socket's own mode, so there is no moment at which others could connect
            os.fchmod(sock.fileno(), 0o600)
            sock.bind(os.fspath(path))
            path.chmod(0o600)
            sock.listen(_BACKLOG)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot open a socket there: {error.strerror or error}.") from error
    return sock


def identity(path: Path) -> tuple[int, int] | None:
    """What tells the file at `path` from another one put in its place; None if there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make_private(folder: Path) -> None:
    """Make the folder if it is missing; refuse one that others may enter."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigurationError(
            f"{folder}: others may enter the folder of the daemon's socket (mode {stat.S_IMODE(found.st_mode):04o}, "
            f"owner {found.st_uid}): chmod 700 it, or choose a folder of your own."
        )


def _clear(path: Path) -> None:
    """Remove a socket that nobody listens on any more."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(f"{path}: there is something that is no socket; move it away.")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(1.0)
        probe.connect(os.fspath(path))
    except (ConnectionRefusedError, FileNotFoundError):
        path.unlink(missing_ok=True)
    except TimeoutError:
        raise ConfigurationError(f"{path}: a daemon listens there but does not answer; end it first.") from None
    else:
        raise ConfigurationError(f"{path}: a daemon is listening there already; end it first (seawall status).")
    finally:
        probe.close()
