"""Text that may be written down: bounded, on one line, without control characters or credentials in addresses."""

from __future__ import annotations

import re
import unicodedata

# up to the last @ before the path: a password may hold one, and a token may be long
_USERINFO = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/]{1,2000}@")
_QUERY = re.compile(r"(?P<address>\b[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s?#]{1,500})[?#][^\s'\")]{0,2000}")
_CUT_SHORT = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/@]*$")
#: Control, format, surrogate, private and unassigned characters; line and paragraph separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def safe_text(text: object, limit: int = 300) -> str:
    """`text` as one printable line of at most `limit` characters.

    User names, passwords, queries and fragments of addresses are cut out; control, format (bidi, zero-width), separator
    and surrogate characters become their escapes, so a hostile message can neither forge a line nor move a cursor.
    """
    raw = str(text)
    cut = raw[: limit * 4]  # bounds the work before anything looks at the text
    if len(cut) < len(raw):  # the @ that tells a password from a host may be in what was cut off
        cut = _CUT_SHORT.sub(r"\g<scheme>…", cut)
    cut = _USERINFO.sub(r"\g<scheme>…@", cut)
    cut = _QUERY.sub(r"\g<address>?…", cut)
    shown = "".join(_escape(c) if unicodedata.category(c) in _UNSAFE else c for c in cut)
    return shown if len(shown) <= limit and len(raw) <= limit * 4 else shown[: limit - 1] + "…"


def _escape(character: str) -> str:
    """A character's escape sequence."""
    return character.encode("unicode_escape").decode("ascii")


def describe_error(error: BaseException, limit: int = 300) -> str:
    """An exception as "Class: message", safe to write down; only the class if it cannot say what it is."""
    try:
        message = safe_text(error, limit)
    except Exception:  # noqa: BLE001 - a `__str__` of somebody else's may do anything
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
