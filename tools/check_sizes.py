"""Refuses modules that have grown too long to be read in one sitting.

python tools/check_sizes.py [ROOT]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LIMIT = 400  # lines; aim at 50 to 200, explain above 300
FOLDERS = ("src", "apps", "examples", "tools", "tests", "bench")
# Folders whose content is installed or built, not written here.
SKIPPED = {"__pycache__", "node_modules", "static"}


def too_long(root: Path, limit: int = LIMIT) -> Iterator[tuple[Path, int]]:
    """Yields the modules under `root` that have more than `limit` lines, with their length."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            relative = path.relative_to(root)
            if SKIPPED.intersection(relative.parts):
                continue
            lines = path.read_bytes().count(b"\n")
            if lines > limit:
                yield relative, lines


def main(arguments: Sequence[str]) -> int:
    """Runs as a command; the exit code is 1 when a module is too long."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    found = list(too_long(root))
    for path, lines in found:
        print(f"{path}: {lines} lines: at most {LIMIT}; split it by what it decides")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
