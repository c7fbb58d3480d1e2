"""Asking a running daemon, over HTTP with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import tomllib
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from seawall.config.mistakes import file_mistake
from seawall.daemon.folder import Folder, read_json

_PATIENCE = 5.0


class NoAnswerError(Exception):
    """No daemon answers; the text says why."""


class Answer(NamedTuple):
    """Status and JSON body of an answer."""

    code: int
    body: dict[str, Any]


def folder_of(file: Path) -> Folder:
    """The folder of the daemon for `file`; a file with mistakes will do, as long as a folder is there.

    Raises:
        ConfigurationErrors: if there is no such file.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        problem = f"cannot be read ({error.strerror}): name the file the daemon was started with"
        raise file_mistake(file, problem) from None
    except UnicodeDecodeError:
        text = ""
    try:
        section = tomllib.loads(text).get("daemon", {})
    except tomllib.TOMLDecodeError:
        section = {}
    name = section.get("state_dir", ".seawall") if isinstance(section, dict) else ".seawall"
    return Folder(file.absolute().parent / (name if isinstance(name, str) else ".seawall"))


def ask(folder: Folder, path: str, body: dict[str, Any] | None = None) -> Answer:
    """GET `path` from the daemon of `folder`, or POST `body` to it with the token.

    Raises:
        NoAnswerError: if none answers within five seconds.
    """
    record = read_json(folder.record)
    if record is None or not isinstance(record.get("address"), str):
        raise NoAnswerError("no daemon runs for this file")
    headers = {"Accept": "application/json", "Connection": "close"}
    data = None
    if body is not None:
        data = json.dumps(body)
        headers |= {"Content-Type": "application/json", "Authorization": f"Bearer {folder.token_if_any()}"}
    connection = http.client.HTTPConnection(record["address"], timeout=_PATIENCE)
    try:
        connection.request("GET" if body is None else "POST", path, data, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswerError(_why(record, error)) from None
    finally:
        connection.close()
    return Answer(answer.status, found if isinstance(found, dict) else {})


def circuit_path(name: str, verb: str) -> str:
    """The address of an operation on a circuit."""
    return f"/api/v1/circuits/{quote(name, safe='')}/{verb}"


def _why(record: dict[str, Any], error: Exception) -> str:
    """Why a daemon that should be there does not answer."""
    pid, address = record.get("pid"), record["address"]
    if isinstance(error, ConnectionRefusedError):
        return f"the daemon (pid {pid}) is dead: nobody listens on {address}"
    if isinstance(error, TimeoutError):
        return f"the daemon (pid {pid}, {address}) did not answer within {_PATIENCE:g} s"
    return f"the daemon (pid {pid}, {address}) gave no answer ({type(error).__name__})"
