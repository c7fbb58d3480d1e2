"""`seawall up`."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from seawall.cli.codes import WRONG
from seawall.cli.show import Json, Plain
from seawall.cli.terminal import Writer
from seawall.cli.times import seconds_of
from seawall.config.load import load
from seawall.config.parts import preflight
from seawall.core.errors import ConfigurationError
from seawall.daemon.audience import Audience
from seawall.daemon.run import Daemon


def run(file: Path, limit: str, as_json: bool) -> int:  # noqa: FBT001  # handed on from the command line
    """Run the daemon; its exit code."""
    seconds = seconds_of(limit, "--for") if limit else None
    config = load(file)
    preflight(config, str(file))
    writer = Writer()
    audience: Audience = Json(writer) if as_json else Plain(writer)
    try:
        code = asyncio.run(Daemon(config, audience).run(seconds))
    except ConfigurationError as error:
        writer.err(json.dumps({"error": str(error)}) if as_json else str(error))
        code = WRONG
    finally:
        written = writer.close()
    if not written:
        # NB: the writing thread holds standard output, and the interpreter would abort over it on its way out
        os._exit(code)
    return code
