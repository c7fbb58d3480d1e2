"""The command line: `seawall up`, `check`, `status`, `breaker`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

WELCOME = """\
seawall keeps programs working while the things they depend on fail.

Three commands to start with:
  seawall check seawall.toml    lists every mistake in a configuration, with its line and what to do
  seawall up seawall.toml       starts what it describes: processes, checks, metrics and a live page
  seawall status seawall.toml   says how it is, worst first; works when the daemon is dead, too

seawall --help lists all commands, and seawall COMMAND --help explains one with examples.
The documentation is in docs/ of the project; start with docs/tutorial.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    Args:
        arguments: without the program's name; those of the process if None.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(_run(given))


def _run(given: list[str]) -> int:
    """Run one command; its exit code."""
    if not given:
        sys.stdout.write(WELCOME)
        return 0
    try:
        from seawall.cli.app import run  # late: without arguments nothing else is needed
    except ModuleNotFoundError as missing:
        sys.stderr.write(
            f'seawall: the command line needs the package "{missing.name}", which is not installed: '
            'pip install "seawall[daemon]"\n'
        )
        return 2
    return run(given)
