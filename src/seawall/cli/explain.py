"""`seawall explain`."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from seawall.cli.client import NoAnswerError, ask, folder_of
from seawall.cli.codes import FINE, UNKNOWN
from seawall.core.clock import current_clock
from seawall.core.errors import ConfigurationError
from seawall.daemon.folder import Folder, read_json
from seawall.errors.text import safe_text
from seawall.events.words import seconds
from seawall.pipeline.why import explain
from seawall.pipeline.why_known import clock_of, lines_of
from seawall.pipeline.why_saved import from_saved

_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}.*")
_WIDEST = 3600.0


def run(what: str, file: Path, around: float, as_json: bool) -> int:  # noqa: FBT001  # handed on from the command line
    """Print the explanation.

    Raises:
        ConfigurationError: if what was asked for, or the time around it, makes no sense.
    """
    if not 0 < around <= _WIDEST:
        raise ConfigurationError(f"--around {around:g}: must be seconds above 0, at most {_WIDEST:g}.")
    if not what.strip() or len(what) > 200:
        raise ConfigurationError(
            "WHAT: give an id such as r-7f3a1c, a name such as payments, or a time such as 12:03:04."
        )
    folder = folder_of(file)
    asked = _moment(what.strip(), current_clock().wall())
    try:
        answer = ask(folder, f"/api/v1/explain?{urlencode({'what': asked, 'around': around})}")
    except NoAnswerError as error:
        return _from_saved(str(error), folder, asked, around, as_json=as_json)
    if "headline" not in answer.body:
        reason = f"the daemon answered {answer.code}: {safe_text(answer.body.get('error', 'nothing of use'))}"
        return _from_saved(reason, folder, asked, around, as_json=as_json)
    return _show(answer.body, as_json=as_json, answered=True, note="")


def _from_saved(reason: str, folder: Folder, what: str, around: float, *, as_json: bool) -> int:
    """The explanation from what the daemon left behind."""
    saved = read_json(folder.journal)
    problem = "it has left no journal"
    if saved is not None:
        try:
            known = from_saved(saved)
        except ValueError as error:
            problem = f"the journal it left cannot be used: {error}"
        else:
            old = seconds(max(0.0, current_clock().wall() - known.now))
            note = f"Unknown now: {reason}. This is from the journal it left at {clock_of(known.now)}, {old} ago."
            return _show(explain(what, known, around).as_json(), as_json=as_json, answered=False, note=note)
    text = f"Unknown: {reason}, and {problem}. seawall up starts the daemon; what it has seen, it can explain."
    if as_json:
        print(json.dumps({"answered": False, "found": False, "exit_code": UNKNOWN, "reason": text}))
    else:
        print(text, file=sys.stderr)
    return UNKNOWN


def _show(body: dict[str, Any], *, as_json: bool, answered: bool, note: str) -> int:
    """Print an explanation; the code says whether anything was found."""
    code = FINE if body["found"] else UNKNOWN
    if as_json:
        print(json.dumps({"answered": answered, "exit_code": code, "note": note, **body}))
        return code
    if note:
        print(note, file=sys.stderr)
    print("\n".join(lines_of(body)), file=sys.stdout if body["found"] else sys.stderr)
    return code


def _moment(what: str, now: float) -> str:
    """A time of day or a date as wall seconds in text; all else as it is.

    A time of day is the last one that has been: at 00:10, "23:50" is yesterday's.

    Raises:
        ConfigurationError: if it looks like a time and is none.
    """
    if not (_TIME.fullmatch(what) or _DATE.fullmatch(what)):
        return what
    try:
        if _DATE.fullmatch(what):
            return repr(datetime.fromisoformat(what).timestamp())
        today = datetime.fromtimestamp(now).astimezone()
        clock = datetime.strptime(what if what.count(":") == 2 else f"{what}:00", "%H:%M:%S")  # noqa: DTZ007 - local
        at = today.replace(hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0).timestamp()
    except ValueError as error:
        raise ConfigurationError(
            f'WHAT = {what!r}: is no time ({error}); give "12:03:04" or "2026-01-31T12:03:04".'
        ) from None
    return repr(at if at <= now else at - 86400.0)
