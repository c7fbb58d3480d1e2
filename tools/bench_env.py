"""Makes the environments of the bench's peers: one for each Python, apart from `.venv`, from `bench/peers.txt`.

    python3 tools/bench_env.py [PYTHON ...]     # this one by default; prints the interpreters it has made

What is measured there is the peers; seawall itself comes from `src` on PYTHONPATH. The environments stand in
`build/peers-<version>`, which nothing else reads and `make clean` removes. Quick when nothing has changed; interrupted
at any point, it starts over the next time. Standard library only; installs with pip, or with uv when it is on PATH.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "bench" / "peers.txt"
STAMP = "peers.stamp"  # written last: the environment is whole
# Settings that would send packages somewhere other than into the environment.
MISLEADING = ("PIP_PREFIX", "PIP_TARGET", "PIP_USER", "PYTHONHOME", "PYTHONPATH", "UV_SYSTEM_PYTHON", "VIRTUAL_ENV")


class PeersError(RuntimeError):
    """The environment could not be made."""


def run(*command: str | Path) -> str:
    """Runs a program, and gives what it prints.

    Raises:
        PeersError: it did not end with 0; with what it said last.
    """
    env = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    env |= {"UV_PYTHON_DOWNLOADS": "never", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, check=False, cwd=ROOT, env=env
        )
    except OSError as error:
        raise PeersError(f"{command[0]} does not start: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise PeersError(f"{Path(command[0]).name} {command[1]}: {said[-1]}")
    return done.stdout.strip()


def version_of(python: str | Path) -> str:
    """The version of an interpreter in full, which an environment depends on."""
    return run(python, "-c", "import platform; print(platform.python_version())")


def place(version: str) -> Path:
    """Where the environment for that Python stands."""
    return ROOT / "build" / f"peers-{version}"


def inside(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make(python: str | Path) -> Path:
    """The interpreter of the environment for that Python, made anew if the lock has changed.

    Raises:
        PeersError: it could not be made.
    """
    folder = place(version_of(python))
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    stamp = folder / STAMP
    if inside(folder).exists() and stamp.exists() and stamp.read_text("utf-8") == wanted:
        return inside(folder)
    print(f"bench: making {folder.relative_to(ROOT)}", file=sys.stderr, flush=True)
    if folder.exists():
        shutil.rmtree(folder)
    uv = shutil.which("uv")
    hashed = ("--quiet", "--require-hashes", "-r", LOCK)
    if uv:
        run(uv, "venv", "--quiet", "--no-project", "--python", python, folder)
        run(uv, "pip", "install", "--python", inside(folder), *hashed)
    else:
        run(python, "-m", "venv", folder)
        run(inside(folder), "-m", "pip", "install", *hashed)
    stamp.write_text(wanted, "utf-8")
    return inside(folder)


def main(arguments: Sequence[str]) -> int:
    """Runs as a command; the exit code is 2 when one cannot be made."""
    for python in arguments or [sys.executable]:
        try:
            print(make(python))
        except PeersError as error:
            print(f"bench: no environment for the peers: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
