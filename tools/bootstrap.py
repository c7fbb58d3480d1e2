"""Makes `.venv` and installs a locked set of packages and the project into it.

    python3 tools/bootstrap.py run     # what `make run` needs
    python3 tools/bootstrap.py dev     # what `make test`, `make check` and `make docs` need

Quick when nothing has changed. Interrupted at any point, it starts over the next time: the stamp
that says "this environment is whole" is removed before the first change and written after the last.

Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OLDEST = (3, 11)
SETS = ("run", "dev")
LAST_LINES = 30  # of what a failed program printed
HEARTBEAT = 5.0  # seconds between signs of life of a long step
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "seawall-bootstrap.json"

# Settings that would send packages somewhere other than into `.venv`.
MISLEADING = (
    "PIP_PREFIX",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "UV_SYSTEM_PYTHON",
    "VIRTUAL_ENV",
)
# What pip and uv say when they cannot reach an index, in lower case.
NETWORK_SIGNS = (
    "connection refused",
    "connection reset",
    "dns error",
    "error sending request",
    "failed to establish a new connection",
    "failed to fetch",
    "max retries exceeded",
    "name resolution",
    "name or service not known",
    "network is unreachable",
    "read timed out",
    "tunnel",
)
CERTIFICATE_SIGNS = ("certificate verify failed", "certificate_verify_failed", "unknownissuer")


class StepError(Exception):
    """A step failed; carries what the program printed."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        self.output = output


def say(text: str) -> None:
    """Tells on stderr what is being done."""
    print(f"bootstrap: {text}", file=sys.stderr, flush=True)


def fail(text: str, remedy: str) -> NoReturn:
    """Ends with one line that says what is wrong and what to do."""
    say(f"{text}: {remedy}")
    sys.exit(2)


def environment() -> dict[str, str]:
    """The environment for pip and uv: the user's, less what would mislead them."""
    env = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    env["UV_PYTHON_DOWNLOADS"] = "never"  # use the Python that is here or fail, never fetch one
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    env["PIP_NO_INPUT"] = "1"
    return env


def step(what: str, command: Sequence[str | Path]) -> None:
    """Runs one program, with a sign of life every few seconds.

    Raises:
        StepError: the program could not be started or did not end with 0.
    """
    say(what)
    start = time.monotonic()
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise StepError(str(error)) from error
    output: str | None = None
    try:
        while output is None:
            try:
                output, _ = process.communicate(timeout=HEARTBEAT)
            except subprocess.TimeoutExpired:
                say(f"{what} ... {time.monotonic() - start:.0f} s")
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        raise StepError(output)


def lock_file(name: str) -> Path:
    """The locked requirements of a set."""
    return ROOT / "requirements" / f"{name}.txt"


def digest(*paths: Path) -> str:
    """One hash over the content of files."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(path.read_bytes() + b"\0")
    return whole.hexdigest()


def interpreter() -> str:
    """What an environment depends on besides its packages: interpreter and place."""
    return f"{sys.version} | {sys.base_prefix} | {ROOT}"


def read_stamp() -> dict[str, str]:
    """What the environment holds; empty unless it is whole and of this interpreter."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(stamp, dict) and stamp.get("interpreter") == interpreter()
    return stamp if whole and venv_python().exists() else {}


def write_stamp(stamp: dict[str, str]) -> None:
    """Says that the environment is whole; all or nothing."""
    half = STAMP.with_suffix(".part")
    half.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    half.replace(STAMP)


def venv_python() -> Path:
    """The interpreter inside `.venv`."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def has_pip() -> bool:
    """Whether `.venv` can install by itself; one that uv made cannot."""
    return any(VENV.glob("[Ll]ib/**/site-packages/pip/__main__.py"))


def outer_python() -> str:
    """The interpreter to build with, even when this one is the one inside `.venv`."""
    inside = Path(sys.prefix).resolve() == VENV
    base = getattr(sys, "_base_executable", "") if inside else ""
    return base or sys.executable


def find_uv() -> str | None:
    """The uv on PATH, if it starts: a shim that only says "not installed" does not count."""
    path = shutil.which("uv")
    if path is None or Path(path).resolve().is_relative_to(VENV):
        return None
    try:
        works = subprocess.run([path, "--version"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return path if works.returncode == 0 else None


def make_venv(uv: str | None) -> None:
    """Makes an empty `.venv`, in place of whatever is there."""
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.exists():
        say("removing the old or unfinished .venv")
        shutil.rmtree(VENV)
    version = ".".join(map(str, sys.version_info[:3]))
    what = f"making .venv with Python {version}"
    if uv:
        step(what, [uv, "venv", "--quiet", "--no-project", "--python", outer_python(), VENV])
        return
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        fail(
            f"{sys.executable} cannot make virtual environments (venv or ensurepip is missing)",
            "run `apt-get install python3-venv` (Debian, Ubuntu), or set PYTHON to another 3.11+",
        )
    step(what, [outer_python(), "-m", "venv", VENV])


def install(uv: str | None, *arguments: str | Path, what: str) -> None:
    """Installs into `.venv` with uv, or with pip."""
    if uv:
        step(what, [uv, "pip", "install", "--quiet", "--python", venv_python(), *arguments])
    else:
        pip = ["-m", "pip", "install", "--quiet", "--progress-bar", "off"]
        step(what, [venv_python(), *pip, *arguments])


def build(name: str, stamp: dict[str, str], uv: str | None) -> None:
    """Brings `.venv` to the asked set and stamps it."""
    lock, project = digest(lock_file(name)), digest(ROOT / "pyproject.toml")
    # A changed lock means a new environment: a package that fell out must not linger in it.
    stale = any(stamp.get(each, "") not in ("", digest(lock_file(each))) for each in SETS)
    STAMP.unlink(missing_ok=True)
    if stale or not stamp or not (uv or has_pip()):
        stamp = {}
        make_venv(uv)
    if name not in stamp:
        count = sum("==" in line for line in lock_file(name).read_text("utf-8").splitlines())
        what = f"installing {name} set, {count} packages, with {'uv' if uv else 'pip'}"
        install(uv, "--require-hashes", "-r", lock_file(name), what=what)
    editable = ("--no-deps", "--no-build-isolation", "--editable", ROOT)
    install(uv, *editable, what="installing seawall itself")
    write_stamp({**stamp, "interpreter": interpreter(), "project": project, name: lock})


def current(name: str, stamp: dict[str, str]) -> bool:
    """Whether `.venv` already holds the asked set; dev holds all of run."""
    if stamp.get("project") != digest(ROOT / "pyproject.toml"):
        return False
    held = [each for each in SETS if each in stamp]
    fresh = all(stamp[each] == digest(lock_file(each)) for each in held)
    return fresh and (name in held or "dev" in held)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Lets one bootstrap work on the tree; `make -j` may start several."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        yield
        return
    handle = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another bootstrap of this tree")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def bootstrap(name: str) -> None:
    """Makes the environment hold the asked set, doing nothing when it does."""
    stamp = read_stamp()
    if current(name, stamp):
        return
    start = time.monotonic()
    uv = find_uv()
    try:
        build(name, stamp, uv)
    except StepError as error:
        if uv is None:
            raise
        # uv does not read pip's configuration, so an index that only pip knows is worth a try.
        last = error.output.strip().splitlines() or ["no output"]
        say(f"uv failed ({last[-1].strip()}); trying pip")
        build(name, {}, None)
    say(f".venv is ready ({time.monotonic() - start:.0f} s)")


def main(arguments: Sequence[str]) -> int:
    """Runs as a command; the exit code is 0 when `.venv` is ready, 2 otherwise."""
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:3]))
        fail(
            f"this is Python {version} and seawall needs 3.11 or later",
            "install one (Debian 12: `apt-get install python3 python3-venv`) or set PYTHON",
        )
    if len(arguments) != 1 or arguments[0] not in SETS:
        fail("which set is wanted?", "python3 tools/bootstrap.py run|dev")
    name = arguments[0]
    try:
        with one_at_a_time():
            bootstrap(name)
    except StepError as error:
        said = error.output.lower()
        if any(sign in said for sign in CERTIFICATE_SIGNS):
            fail("the package index's certificate is not trusted", "set PIP_CERT to your bundle of certificates")
        if any(sign in said for sign in NETWORK_SIGNS):
            fail("no package index could be reached", "check the network or proxy, then run again")
        print(*error.output.rstrip().splitlines()[-LAST_LINES:], sep="\n", file=sys.stderr)
        fail("installing failed, for the reason above", "mend it and run the same command again")
    except OSError as error:
        fail(f"{error.strerror or error}", f"see to {error.filename or VENV} and run again")
    except KeyboardInterrupt:
        say("interrupted; the next run starts .venv over")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
