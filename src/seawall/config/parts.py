"""Turns a configuration into the options of processes and checks, and looks at this machine before anything starts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from seawall.config.build import policies
from seawall.config.checks import CheckSection, DiskSection, HttpSection, MemorySection, ProcessCheckSection, TcpSection
from seawall.config.mistakes import ConfigurationErrors, Key, Mistake, dotted, shown_value
from seawall.config.placeholders import expand, named_in
from seawall.config.processes import ProcessSection
from seawall.config.schema import Config
from seawall.core.errors import ConfigurationError
from seawall.health.base import BaseCheck
from seawall.health.host import DiskCheck, MemoryCheck, ProcessCheck
from seawall.health.network import HttpCheck, TcpCheck
from seawall.recovery.options import ProcessOptions

Fill = Callable[[str], str]
PidOf = Callable[[str], int | None]


def process_options(config: Config, values: Mapping[str, str]) -> list[ProcessOptions]:
    """The processes of a file, in its order.

    Args:
        config: a valid configuration.
        values: what is known already, such as "server.address"; the supervisor fills in the rest.

    Raises:
        ConfigurationError: for what only the supervisor knows to be wrong.
    """
    return [_process(config, name, section, values) for name, section in config.processes.items()]


def _process(config: Config, name: str, section: ProcessSection, values: Mapping[str, str]) -> ProcessOptions:
    """One process."""
    keys = {key: getattr(section, key) for key in type(section).model_fields}
    keys["command"] = tuple(expand(part, values) for part in section.command)
    keys["env"] = {key: expand(text, values) for key, text in section.env.items()}
    keys["cwd"] = config.base / section.cwd
    return ProcessOptions(name, **keys)


def checks(config: Config, fill: Fill, pid_of: PidOf) -> list[BaseCheck]:
    """The checks of a file, in its order.

    Args:
        config: a valid configuration.
        fill: fills in the placeholders of addresses.
        pid_of: the present process id of a process of the file.
    """
    return [_check(config, name, section, fill, pid_of) for name, section in config.checks.items()]


def _check(config: Config, name: str, section: CheckSection, fill: Fill, pid_of: PidOf) -> BaseCheck:
    """One check."""
    keys = {key: getattr(section, key) for key in type(section).model_fields if key != "kind"}
    keys["timeout"] = min(5.0, section.interval) if section.timeout is None else section.timeout
    keys["name"] = name
    if not section.dependency:
        keys["dependency"] = next(iter(_targets(section)), name)
    if isinstance(section, HttpSection):
        return HttpCheck(**{**keys, "url": fill(section.url)})
    if isinstance(section, TcpSection):
        return TcpCheck(**{**keys, "address": fill(section.address)})
    if isinstance(section, DiskSection):
        return DiskCheck(**{**keys, "path": config.base / section.path})
    if isinstance(section, MemorySection):
        return MemoryCheck(**keys)
    process, pid_file = keys.pop("process"), keys.pop("pid_file")
    if process is None:
        return ProcessCheck(**keys, pid_file=config.base / pid_file)
    return ProcessCheck(**keys, pid=lambda: pid_of(process))


def _targets(section: CheckSection) -> list[str]:
    """The processes of the file that a check looks at."""
    if isinstance(section, ProcessCheckSection):
        return [section.process] if section.process else []
    text = section.url if isinstance(section, HttpSection) else getattr(section, "address", "")
    return named_in(text)


def preflight(config: Config, name: str) -> None:
    """Look whether what a valid file asks for can be had on this machine; `name` is what messages call the file.

    Raises:
        ConfigurationErrors: listing everything that cannot.
    """
    from seawall.config.load import read
    from seawall.config.locate import line_of, lines_of

    lines = lines_of(read(name))
    found = [
        Mistake(name, line_of(lines, key), dotted(key), shown_value(value, key), problem)
        for key, value, problem in _missing(config)
    ]
    if found:
        raise ConfigurationErrors(found)


def _missing(config: Config) -> Iterator[tuple[Key, object, str]]:
    """What this machine lacks: key, value, problem."""
    for name, section in config.processes.items():
        cwd = config.base / section.cwd
        key: Key = ("processes", name)
        if not cwd.is_dir():
            yield (*key, "cwd"), section.cwd, f"there is no such folder ({cwd}): make it, or name another"
            continue
        program = section.command[0]
        if "{" not in program and not _found(program, cwd, section.env.get("PATH")):
            yield (*key, "command", 0), program, 'there is no such program: give its path, or "{python}" for Python'
        try:
            _process(config, name, section, {})
        except ConfigurationError as error:
            yield key, {}, str(error).removesuffix(".")
    for name, pipeline in config.pipelines.items():
        try:
            policies(pipeline)
        except ConfigurationError as error:
            yield ("pipelines", name), {}, str(error).removesuffix(".")


def _found(program: str, cwd: Path, path: str | None) -> bool:
    """True if `program` can be started from the folder `cwd`."""
    if os.sep in program:
        return os.access(cwd / program, os.X_OK)
    return shutil.which(program, path=path) is not None
