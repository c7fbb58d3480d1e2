"""The sections `[processes.NAME]`: what the daemon starts, watches and starts again."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from seawall.config.options import Section, Texts, cross, option
from seawall.config.values import Duration, Listen, Says, one_or_many

Signal = Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"]
Listens = Annotated[
    tuple[Listen, ...], Field(strict=False), BeforeValidator(one_or_many), Says("address or list of them")
]


class ProcessSection(Section):
    """A process that the daemon starts, watches and starts again."""

    command: Texts = option(
        ..., "The program and its arguments; `{python}` is the daemon's own Python, `{NAME.address}` where a process "
        "of this file listens.", example='command = ["{python}", "-m", "payments"]', min_length=1, max_length=1000,
    )  # fmt: skip
    cwd: str = option(".", "The folder it runs in; relative to the file.", min_length=1)
    env: dict[str, str] = option({}, "Environment variables it gets besides the daemon's own.")
    listen: Listens = option(
        (), "Sockets the daemon opens and hands on (LISTEN_FDS), so that no call is refused while it restarts; "
        "port 0 lets the system choose a free one.", example='listen = ["127.0.0.1:0"]', max_length=16,
    )  # fmt: skip
    restart: Literal["always", "on-failure", "never"] = option("always", "When it is started again after it ended.")
    backoff_base: Duration = option(1.0, "The first wait before a restart; it doubles each time.", gt=0)
    backoff_cap: Duration = option(60.0, "The longest wait before a restart.", gt=0)
    start_seconds: Duration = option(5.0, "A process that ends sooner failed to start, whatever its exit code.", ge=0)
    max_restarts: int = option(
        5, "Restarts within restart_window after which it is given up, and tried only at the longest wait.", ge=1
    )
    restart_window: Duration = option(60.0, "The time restarts are counted over.", gt=0)
    stop_signal: Signal = option("SIGTERM", "How it is asked to stop.")
    stop_timeout: Duration = option(10.0, "How long it may take to stop before it is killed.", gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """The first wait is no longer than the longest, and there is something to start."""
        low, high = self.backoff_base, self.backoff_cap
        if low > high:
            key = "backoff_base" if "backoff_base" in self.model_fields_set else "backoff_cap"
            raise cross(key, f"does not fit: backoff_base ({low:g} s) must not be above backoff_cap ({high:g} s)")
        if not self.command[0].strip():
            raise cross("command", 'must begin with a program, such as "{python}"')
        return self
