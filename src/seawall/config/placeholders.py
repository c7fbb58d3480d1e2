"""Fills in what a file leaves open until the daemon starts: `{payments.address}`, `{payments.pid}`, `{python}`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from seawall.config.values import PLACEHOLDER


def expand(text: str, values: Mapping[str, str]) -> str:
    """`text` with every placeholder that `values` knows ("payments.address", "python") filled in; others stay."""

    def fill(found: re.Match[str]) -> str:
        name = found["name"] if found["what"] is None else f"{found['name']}.{found['what']}"
        return values.get(name, found.group())

    return PLACEHOLDER.sub(fill, text)


def named_in(text: str) -> list[str]:
    """The processes whose placeholders stand in `text`, in order."""
    return [found["name"] for found in PLACEHOLDER.finditer(text) if found["what"] and found["name"] != "server"]
