"""What several sections must agree on: names that exist, ports used once, placeholders that can be filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from seawall.config.mistakes import Key, did_you_mean, dotted, nearest
from seawall.config.schema import RESERVED, ServerSection
from seawall.config.values import PLACEHOLDER, Address, address_of


class Finding(NamedTuple):
    """A mistake at a key."""

    key: Key
    problem: str


def findings(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Every disagreement between sections; works on raw tables, so that other mistakes hide none of these."""
    processes = _table(data, "processes")
    yield from _reserved(data)
    yield from _ports(data, processes)
    for key, text in _texts(data):
        yield from _placeholders(key, text, processes)
    for name, check in _table(data, "checks").items():
        target = check.get("process") if isinstance(check, Mapping) else None
        if isinstance(target, str) and check.get("kind") == "process" and target not in processes:
            yield Finding(("checks", name, "process"), f"{_no_process(target)}: {_known(target, processes)}")


def _reserved(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Names that mean something else."""
    for section, names in RESERVED.items():
        for name in _table(data, section):
            if name in names:
                where = "placeholders" if section == "processes" else "the address /health/…"
                yield Finding((section, name), f"this name means something else in {where}: choose another")


def _ports(data: Mapping[str, Any], processes: Mapping[str, Any]) -> Iterator[Finding]:
    """Addresses that two would listen on."""
    taken: list[tuple[Address, Key]] = []
    for key, text in _listeners(data, processes):
        try:
            address = address_of(text)
        except ValueError:
            continue  # the validator says so
        if address.port:
            other = next((where for used, where in taken if _clash(used, address)), None)
            if other is not None:
                yield Finding(key, f"port {address.port} is already taken by {dotted(other)}: choose another, or 0")
        taken.append((address, key))


def _listeners(data: Mapping[str, Any], processes: Mapping[str, Any]) -> Iterator[tuple[Key, str]]:
    """Every address somebody listens on."""
    server = _table(data, "server").get("listen", ServerSection.model_fields["listen"].default)
    if isinstance(server, str):
        yield ("server", "listen"), server
    for name, process in processes.items():
        listen = process.get("listen") if isinstance(process, Mapping) else None
        if isinstance(listen, str):
            yield ("processes", name, "listen"), listen
        elif isinstance(listen, list):
            for place, text in enumerate(listen):
                if isinstance(text, str):
                    yield ("processes", name, "listen", place), text


def _clash(one: Address, other: Address) -> bool:
    """True if both cannot be listened on together."""
    everywhere = {"0.0.0.0", "::", "*"}  # noqa: S104  # compared, not bound
    same = one.host == other.host or {one.host, other.host} <= {"localhost", "127.0.0.1"}
    return one.port == other.port and (same or one.host in everywhere or other.host in everywhere)


def _texts(data: Mapping[str, Any]) -> Iterator[tuple[Key, str]]:
    """Every text in which placeholders are filled in."""
    found: list[tuple[Key, Any]] = [(("daemon", "hints"), _table(data, "daemon").get("hints"))]
    for name, process in _table(data, "processes").items():
        if isinstance(process, Mapping):
            found += [(("processes", name, key), process.get(key)) for key in ("command", "env", "cwd")]
    for name, check in _table(data, "checks").items():
        if isinstance(check, Mapping):
            found += [(("checks", name, key), check.get(key)) for key in ("url", "address")]
    for key, value in found:
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, list | dict):
            parts = enumerate(value) if isinstance(value, list) else value.items()
            yield from (((*key, part), text) for part, text in parts if isinstance(text, str))


def _placeholders(key: Key, text: str, processes: Mapping[str, Any]) -> Iterator[Finding]:
    """Placeholders of one text that nothing can fill in."""
    for found in PLACEHOLDER.finditer(text):
        name, what, hints = found["name"], found["what"], key[0] == "daemon"
        shown = found.group()
        if what is None:
            if name != "python" and nearest(name, ["python"]):
                yield Finding(key, f"{shown} is no placeholder: did you mean {{python}}?")
        elif name == "server":
            if what != "address":
                yield Finding(key, f"{shown} is no placeholder: of the server there is {{server.address}}")
        elif name not in processes:
            yield Finding(key, f"{shown}: {_no_process(name)}: {_known(name, processes)}")
        elif what == "pid":
            if not hints:
                yield Finding(key, f"{shown} is known only once the process runs: it can stand in daemon.hints only")
        elif what != "address":
            yield Finding(
                key, f"{shown} is no placeholder: of a process there are {{{name}.address}} and {{{name}.pid}}"
            )
        elif isinstance(processes[name], Mapping) and not processes[name].get("listen"):
            yield Finding(
                key, f'{shown}: that process listens nowhere: add listen = ["127.0.0.1:0"] to [processes.{name}]'
            )


def _no_process(name: str) -> str:
    """The sentence for an unknown process."""
    return f'there is no process "{name}"'


def _known(name: str, processes: Mapping[str, Any]) -> str:
    """The remedy for an unknown process."""
    return did_you_mean(name, processes, f"add [processes.{name}]")


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section, empty if it is missing or no table."""
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}
