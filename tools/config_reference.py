"""Writes docs/reference/configuration.md from the models that check `seawall.toml`.

`tools/config_reference.py` prints the page, `--write` writes it; a test compares it with the file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args

from pydantic_core import PydanticUndefined

from seawall.config.checks import KINDS
from seawall.config.known import sections
from seawall.config.schema import Config
from seawall.config.wording import kind_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from seawall.config.options import Section

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "configuration.md"

HEAD = """\
# Configuration: seawall.toml

After this page you know every section and key of `seawall.toml`, what values it takes and what holds without it.

`seawall check FILE` lists every mistake in a file at once, each with its line, its value and what to do about it.
Nothing of a file with a mistake is ever used: neither does the daemon start, nor does a program get half of its
pipelines.

Kinds of values:

| kind | form |
| --- | --- |
| duration | seconds as a number (`30`, `0.5`), or text with a unit: `"250ms"`, `"30 s"`, `"5min"`, `"1.5h"`, `"2d"` |
| rate | a number, `/`, and second, minute, hour or day: `"60/minute"` |
| address | `"host:port"`; IPv6 in brackets: `"[::1]:8900"` |
| name | letters, digits, `_` and `-`, at most 63, beginning with a letter or digit |

Placeholders are filled in when the daemon starts: `{python}` is its own Python; `{NAME.address}` is where the process
`NAME` listens (its first address); in `daemon.hints` also `{NAME.pid}`; `{server.address}` is where the daemon listens.
Other braces stay as they are. Relative paths start from the folder of the file.
"""

#: What each section looks like in a file; every example on the page is checked by a test.
EXAMPLES = {
    "daemon": '[daemon]\nname = "shop"\n',
    "server": '[server]\nlisten = "127.0.0.1:8900"\n',
    "processes.NAME": (
        '[processes.payments]\ncommand = ["{python}", "-m", "payments"]\nlisten = ["127.0.0.1:0"]\nrestart = "always"\n'
    ),
    "checks.NAME": (
        '[checks.database]\nkind = "tcp"\naddress = "127.0.0.1:5432"\ncritical = true\n\n'
        '[checks.disk]\nkind = "disk"\npath = "/var/lib/shop"\n'
    ),
    "pipelines.NAME": (
        '[pipelines.catalogue]\npreset = "network"\ndeadline = "12s"\ntimeout = 5\nretry = { attempts = 3 }\n\n'
        '[pipelines.catalogue.circuit_breaker]\nfailure_rate = { rate = 0.5, window = "30s" }\nrecovery_timeout = 30\n'
    ),
}


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_body()])


def _body() -> Iterator[str]:
    """Every section, in the order of the model."""
    told = set()
    for place, section in sections():
        kind = next((name for name, model in KINDS.items() if model is section), "")
        top = place.removesuffix(".NAME")
        if "." not in top and top not in told:
            told.add(top)
            yield f"## [{place}]\n\n{_says(Config.model_fields[top])}\n\n```toml\n{EXAMPLES[place]}```\n"
            if kind:
                yield f"### Keys of every check\n\n{_table(section, only=_common())}"
        if kind:
            yield f'### kind = "{kind}"\n\n{_sentence(section)}\n\n{_table(section, leave=_common())}'
        elif "." in top:
            yield f"### [{place}]\n\n{_sentence(section)}\n\n{_table(section)}"
        else:
            yield f"{_table(section)}"


def _common() -> set[str]:
    """The keys that all checks have, besides `kind`."""
    return set.intersection(*(set(model.model_fields) for model in KINDS.values())) - {"kind"}


def _table(section: type[Section], *, only: set[str] | None = None, leave: set[str] | None = None) -> str:
    """The keys of a section as a table."""
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in section.model_fields.items():
        if (only is None or name in only) and name not in (leave or ()) and name != "kind":
            rows.append(f"| `{name}` | {_value(field)} | {_default(field)} | {_says(field)} |")
    return "\n".join(rows) + "\n"


def _says(field: FieldInfo) -> str:
    """What a key means."""
    return (field.description or "").replace("|", "\\|")


def _sentence(section: type[Section]) -> str:
    """What a section is about."""
    return (section.__doc__ or "").strip()


def _value(field: FieldInfo) -> str:
    """Kind and limits of a value."""
    words = _words(field.annotation)
    kind = (
        " ".join(f"`{word!r}`".replace("'", '"') for word in words)
        if words
        else kind_of(field) or _type(field.annotation)
    )
    limits = [
        f"{sign} {getattr(one, name):g}"
        for one in field.metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if hasattr(one, name)
    ]
    return ", ".join([kind, *limits])


def _words(annotation: Any) -> list[str]:
    """The words of a fixed choice."""
    found: list[str] = []
    for one in get_args(annotation):
        found += [one] if isinstance(one, str) else [word for word in get_args(one) if isinstance(word, str)]
    return found


def _type(annotation: Any) -> str:
    """The name of a plain type."""
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    kinds = [one for one in (get_args(annotation) or (annotation,)) if one is not NoneType]
    return names.get(kinds[0], "table") if len(kinds) == 1 else "table of texts"


def _default(field: FieldInfo) -> str:
    """What holds when a key is left out."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "otherwise" in extra:
        return str(extra["otherwise"])
    default = field.default
    if default is PydanticUndefined:
        return "required"
    if default is None or default in ((), {}, ""):
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default:g}`"


def main() -> int:
    """Print or write the page."""
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
