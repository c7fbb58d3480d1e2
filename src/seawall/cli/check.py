"""`seawall check`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from seawall.cli.codes import FINE, WRONG
from seawall.config.build import policies
from seawall.config.checks import CheckSection
from seawall.config.load import load
from seawall.config.mistakes import ConfigurationErrors
from seawall.config.parts import preflight
from seawall.config.pipelines import PipelineSection
from seawall.config.schema import Config
from seawall.errors.text import safe_text
from seawall.events.words import seconds

_SECRETS = {"processes": {"__all__": {"env"}}}  # values of environment variables are never shown


def run(file: Path, as_json: bool) -> int:  # noqa: FBT001  # handed on from the command line
    """Print the mistakes of a file, or what it sets up."""
    try:
        config = load(file)
        preflight(config, str(file))
    except ConfigurationErrors as errors:
        if as_json:
            print(json.dumps({"file": str(file), "mistakes": [one.as_json() for one in errors.mistakes]}))
        else:
            print(errors)
            count = len(errors.mistakes)
            print(f"{count} mistake{'s' if count != 1 else ''}; nothing was started.", file=sys.stderr)
        return WRONG
    if as_json:
        print(
            json.dumps({"file": str(file), "mistakes": [], "sets_up": config.model_dump(mode="json", exclude=_SECRETS)})
        )
    else:
        print("\n".join(_summary(config, str(file))))
    return FINE


def _summary(config: Config, name: str) -> Iterator[str]:
    """What a file sets up, in lines."""
    yield f"{name}: no mistakes."
    chosen = "  (the system chooses the port)" if config.server.listen.endswith(":0") else ""
    yield f"  page        http://{config.server.listen}/{chosen}"
    yield from _lines(
        "processes", {name: safe_text(" ".join(one.command), 100) for name, one in config.processes.items()}
    )
    yield from _lines("checks", {name: _check(one) for name, one in config.checks.items()})
    yield from _lines("pipelines", {name: _pipeline(one) for name, one in config.pipelines.items()})


def _lines(what: str, texts: dict[str, str]) -> Iterator[str]:
    """One section."""
    width = max((len(name) for name in texts), default=0)
    for place, (name, text) in enumerate(texts.items()):
        yield f"  {what if place == 0 else '':<10}  {name:<{width}}  {text}"


def _check(section: CheckSection) -> str:
    """A check in a few words."""
    targets = (getattr(section, key, None) for key in ("url", "address", "path", "process", "pid_file"))
    target = next((safe_text(one) for one in targets if one), "")
    critical = ", critical" if section.critical else ""
    return f"{section.kind} {target}".strip() + f", every {seconds(section.interval)}{critical}"


def _pipeline(section: PipelineSection) -> str:
    """The policies of a pipeline, outermost first."""
    return " → ".join(policy.kind.replace("_", " ") for policy in policies(section))
