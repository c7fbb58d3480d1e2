"""Names of test cases that are the same in every process, as running tests side by side needs."""

import re
from typing import Any


def named(value: Any) -> str:
    """The representation without addresses in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
