"""Every section and key of `seawall.toml`, with its meaning, its limits and its default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from seawall.config.checks import CheckSection
from seawall.config.options import Section, Texts, cross, option
from seawall.config.pipelines import PipelineSection
from seawall.config.processes import ProcessSection
from seawall.config.values import Listen, Name, address_of

#: Names that placeholders and addresses use for something else.
RESERVED = {"processes": {"server", "daemon", "python"}, "checks": {"detailed", "alerts"}}


class DaemonSection(Section):
    """The daemon itself."""

    name: str = option("seawall", "What the page and the metrics call this daemon.", min_length=1, max_length=100)
    state_dir: str = option(
        ".seawall", "Folder for its socket, token, logs and last state; relative to the file.", min_length=1
    )
    on_daemon_death: Literal["stop", "keep"] = option(
        "stop", "What becomes of the processes when the daemon is killed: they are stopped, or live on."
    )
    hints: Texts = option(
        (), "Lines shown once everything runs; `{NAME.pid}`, `{NAME.address}` and `{server.address}` are filled in.",
        example='hints = ["break it: kill -9 {payments.pid}"]', max_length=50,
    )  # fmt: skip


class ServerSection(Section):
    """The web server of the daemon: page, health, metrics."""

    listen: Listen = option("127.0.0.1:8900", "Where it listens; port 0 lets the system choose a free one.")
    allowed_hosts: Texts = option(
        (), "Host names it answers to besides loopback and the address it listens on.",
        example='allowed_hosts = ["ops.example.org"]',
    )  # fmt: skip

    @model_validator(mode="after")
    def _named(self) -> Self:
        """Whoever opens it to other machines says under which names."""
        if not address_of(self.listen).loopback and not self.allowed_hosts:
            raise cross(
                "listen",
                "can be reached from other machines: list the names it may be called by in server.allowed_hosts, "
                'or listen on "127.0.0.1:8900"',
            )
        return self


class Config(Section):
    """A whole `seawall.toml`."""

    daemon: DaemonSection = option(DaemonSection(), "The daemon itself.")
    server: ServerSection = option(ServerSection(), "The web server of the daemon.")
    processes: dict[Name, ProcessSection] = option({}, "Processes that the daemon starts, watches and starts again.")
    checks: dict[Name, Annotated[CheckSection, Field(discriminator="kind")]] = option(
        {}, "What is looked at in the background."
    )
    pipelines: dict[Name, PipelineSection] = option({}, "What stands around the calls to each dependency.")

    _file: Path = PrivateAttr(default=Path("seawall.toml"))

    @property
    def file(self) -> Path:
        """The file it was read from, absolute."""
        return self._file

    @property
    def base(self) -> Path:
        """The folder that relative paths start from."""
        return self._file.parent

    @property
    def state_dir(self) -> Path:
        """The daemon's own folder, absolute."""
        return self.base / self.daemon.state_dir
