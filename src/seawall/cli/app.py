"""Commands, their arguments and their help; what they do is in a module of its own each, loaded when it is called."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

import seawall
from seawall.cli.codes import INTERRUPTED, WRONG

File = Annotated[Path, Parameter(help="The configuration; seawall.toml in this folder if not given.")]
Json = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Write JSON on standard output, for programs.")
]
Named = Annotated[str, Parameter(help="Name of the circuit, as seawall status shows it.")]
InFile = Annotated[
    Path, Parameter(name="--file", help="The configuration of the daemon; seawall.toml in this folder if not given.")
]
Reason = Annotated[str, Parameter(name="--reason", help="Why; it is shown wherever the state is shown.")]
For = Annotated[str, Parameter(name="--for", help='How long, such as "90s", "10m" or "1h"; at most 7 days.')]
DryRun = Annotated[
    bool, Parameter(name="--dry-run", negative="", show_default=False, help="Only say what would happen.")
]
Yes = Annotated[bool, Parameter(name="--yes", negative="", show_default=False, help="Do not ask.")]

HERE = Path("seawall.toml")

app = App(
    name="seawall",
    help="Keeps programs working while the things they depend on fail.",
    help_epilogue="seawall COMMAND --help explains a command with examples. The documentation is in docs/.",
    version=f"seawall {seawall.__version__}",
    version_flags=["--version"],
    help_format="plaintext",
    result_action="return_value",
)
breaker = App(
    name="breaker",
    help="Hold a circuit open or closed by hand, or let go of it.",
    help_epilogue=(
        "Examples:\n"
        '  seawall breaker open payments --reason "their migration" --for 30m\n'
        '  seawall breaker release payments --reason "migration done"'
    ),
)
app.command(breaker)


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code. A user's mistake is a sentence on standard error and the code 2."""
    from seawall.core.errors import ConfigurationError

    try:
        return int(app(arguments, exit_on_error=False, print_error=False) or 0)
    except CycloptsError as error:
        sys.stderr.write(f"seawall: {_plain(error)} seawall --help lists the commands.\n")
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has gone, which is its good right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return WRONG


def _plain(error: CycloptsError) -> str:
    """What is wrong with the command line, in one line."""
    return " ".join(str(error).split())


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  seawall up seawall.toml\n"
        "  seawall up examples/quickstart/seawall.toml --for 30\n\n"
        "Ctrl-C stops everything in order; pressed twice, at once.\n\n"
        "Exit codes: 0 stopped in order, 1 stopped at once, 2 could not start."
    )
)
def up(
    file: File = HERE,
    /,
    *,
    for_: Annotated[
        str, Parameter(name="--for", help='Stop after this time ("30", "5min") with a summary.', show_default=False)
    ] = "",
    json: Json = False,
) -> int:
    """Start what the configuration describes, keep it running, and show what happens."""
    from seawall.cli import up as command

    return command.run(file, for_, json)


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  seawall check seawall.toml\n"
        "  seawall check --json deploy/seawall.toml\n\n"
        "Exit codes: 0 no mistakes, 2 mistakes."
    )
)
def check(file: File = HERE, /, *, json: Json = False) -> int:
    """List every mistake in a configuration with its line and what to do; or what it sets up, if there is none."""
    from seawall.cli import check as command

    return command.run(file, json)


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  seawall status seawall.toml\n"
        "  seawall status --json | jq .state.rows\n\n"
        "Exit codes, as monitoring plug-ins have them: 0 healthy, 1 degraded, 2 failed,\n"
        "3 unknown: the daemon does not answer, and what is shown is its last state."
    )
)
def status(file: File = HERE, /, *, json: Json = False) -> int:
    """Say how everything is, worst first; from the last state if the daemon is dead."""
    from seawall.cli import status as command

    return command.run(file, json)


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  seawall explain r-7f3a1c\n"
        "  seawall explain 12:03:04 --around 30 --json\n\n"
        "Exit codes: 0 explained, 2 wrong use, 3 nothing is known of it, or the daemon does not answer and has left\n"
        "nothing. From a dead daemon's journal it explains what had happened until then."
    )
)
def explain(
    what: Annotated[str, Parameter(help="An id from an error, the log or the page; a name; or a time of day.")],
    /,
    *,
    around: Annotated[
        float, Parameter(name="--around", help="Seconds looked at before the first failure, or around a time.")
    ] = 60.0,
    file: InFile = HERE,
    json: Json = False,
) -> int:
    """Say why a call was refused, why a circuit moved, or what was wrong at a time, with the evidence."""
    from seawall.cli import explain as command

    return command.run(what, file, around, json)


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  seawall simulate --from monday.rec --config candidate.toml\n"
        "  seawall simulate --from monday.rec --config candidate.toml --pipeline payments --json\n\n"
        "A recording is made by the program: manager.record(path).\n"
        "Exit codes: 0 the candidate does as well or better, 1 it fails or rejects more calls, 2 wrong use, or the\n"
        "recording has gaps."
    )
)
def simulate(
    *,
    from_: Annotated[Path, Parameter(name="--from", help="The recording.")],
    config: Annotated[Path, Parameter(name="--config", help="A seawall.toml with the pipelines to try.")],
    pipeline: Annotated[
        str, Parameter(name="--pipeline", help="Only this one; all that both have if not given.", show_default=False)
    ] = "",
    json: Json = False,
) -> int:
    """Replay recorded calls through other settings on a virtual clock, and compare what becomes of them."""
    from seawall.cli import simulate as command

    return command.run(from_, config, pipeline, json)


@app.command(
    help_epilogue=(
        "Examples:\n"
        "  source <(seawall completion bash)\n"
        "  seawall completion fish > ~/.config/fish/completions/seawall.fish\n\n"
        "Exit codes: 0 written, 2 wrong use."
    )
)
def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="Which shell it is for.")], /) -> int:
    """Write the completion script of a shell on standard output; it changes no file."""
    sys.stdout.write(app.generate_completion(prog_name="seawall", shell=shell))
    return 0


def _force(
    state: Literal["open", "closed", "observe"],
    name: str,
    reason: str,
    for_: str,
    file: Path,
    flags: tuple[bool, bool, bool],
) -> int:
    """The body of `open`, `close` and `observe`."""
    from seawall.cli import breaker as command

    dry_run, yes, json = flags
    return command.force(command.Order(name, reason, file, dry_run, json), state, for_, yes=yes)


@breaker.command(
    name="open",
    help_epilogue=(
        "Examples:\n"
        '  seawall breaker open payments --reason "their migration" --for 30m\n'
        '  seawall breaker open payments --reason "stop the bleeding" --dry-run\n\n'
        "Exit codes: 0 done, 2 not done, 3 the daemon does not answer."
    ),
)
def open_(
    name: Named, /, *, reason: Reason, for_: For = "10m", file: InFile = HERE, dry_run: DryRun = False,
    yes: Yes = False, json: Json = False,
) -> int:  # fmt: skip
    """Refuse all calls through a circuit, in every program, until the time is over or it is released."""
    return _force("open", name, reason, for_, file, (dry_run, yes, json))


@breaker.command(
    help_epilogue=(
        "Examples:\n"
        '  seawall breaker close payments --reason "trips on a known bug" --for 1h\n'
        '  seawall breaker close payments --reason "let it through" --for 5m --yes\n\n'
        "Exit codes: 0 done, 2 not done, 3 the daemon does not answer."
    )
)
def close(
    name: Named, /, *, reason: Reason, for_: For = "10m", file: InFile = HERE, dry_run: DryRun = False,
    yes: Yes = False, json: Json = False,
) -> int:  # fmt: skip
    """Let all calls through a circuit, however many fail, until the time is over or it is released."""
    return _force("closed", name, reason, for_, file, (dry_run, yes, json))


@breaker.command(
    help_epilogue=(
        "Examples:\n"
        '  seawall breaker observe payments --reason "is the new rule too strict?" --for 1h\n'
        '  seawall breaker observe payments --reason "trips too often" --for 10m --dry-run\n\n'
        "Exit codes: 0 done, 2 not done, 3 the daemon does not answer."
    )
)
def observe(
    name: Named, /, *, reason: Reason, for_: For = "10m", file: InFile = HERE, dry_run: DryRun = False,
    yes: Yes = False, json: Json = False,
) -> int:  # fmt: skip
    """Let all calls through a circuit that goes on judging, and report what it would have refused."""
    return _force("observe", name, reason, for_, file, (dry_run, yes, json))


@breaker.command(
    help_epilogue=(
        "Examples:\n"
        "  seawall breaker release payments\n"
        '  seawall breaker release payments --reason "migration done" --file deploy/seawall.toml\n\n'
        "Exit codes: 0 done, 2 not done, 3 the daemon does not answer."
    )
)
def release(
    name: Named, /, *, reason: Reason = "released by hand", file: InFile = HERE, dry_run: DryRun = False,
    json: Json = False,
) -> int:  # fmt: skip
    """Let a circuit decide for itself again."""
    from seawall.cli import breaker as command

    return command.release(command.Order(name, reason, file, dry_run, json))
