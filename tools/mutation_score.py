"""Says how many changes to the machines the tests noticed, file by file, and lists those they did not.

python tools/mutation_score.py [FOLDER] [--least 0.85] [--survivors]

Reads what `make mutants` left in `mutants/`. The score is noticed / (noticed + survived + without a test); a change
that made a test hang was noticed. The exit code is 1 below the least score.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

LEAST = 0.85
_SURVIVED = 0
_NO_TESTS = 33
_NOT_RUN = (None, 34)  # not looked at yet, or left out on purpose


class Score(NamedTuple):
    """What became of the changes to one file."""

    file: str
    noticed: int
    survivors: list[str]
    untested: list[str]
    left: int

    @property
    def share(self) -> float:
        """The part that was noticed, 0 to 1; 1 without any change."""
        whole = self.noticed + len(self.survivors) + len(self.untested)
        return self.noticed / whole if whole else 1.0


def score(meta: Path) -> Score:
    """The score of one file from what the mutation tool noted of it."""
    codes = json.loads(meta.read_text("utf-8"))["exit_code_by_key"]
    return Score(
        meta.name.removesuffix(".meta"),
        sum(code not in {_SURVIVED, _NO_TESTS, *_NOT_RUN} for code in codes.values()),
        sorted(key for key, code in codes.items() if code == _SURVIVED),
        sorted(key for key, code in codes.items() if code == _NO_TESTS),
        sum(code in _NOT_RUN for code in codes.values()),
    )


def main(arguments: list[str]) -> int:
    """Runs as a command; 0 when the score is reached, 1 below it, 2 when there is nothing to read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("mutants/src/seawall/machines"))
    parser.add_argument("--least", type=float, default=LEAST)
    parser.add_argument("--survivors", action="store_true")
    options = parser.parse_args(arguments)
    found = [score(meta) for meta in sorted(options.folder.glob("*.meta"))]
    if not any(one.noticed for one in found):
        print(f"mutation: nothing to read in {options.folder}: run `make mutants` first", file=sys.stderr)
        return 2
    for one in found:
        if one.noticed or one.survivors or one.untested:
            unrun = f", {one.left} not run" if one.left else ""
            rest = f"{len(one.survivors)} survived, {len(one.untested)} without a test{unrun}"
            print(f"{one.share:7.1%}  {one.file}: {rest}")
            for name in one.survivors if options.survivors else ():
                print(f"           {name}")
    noticed = sum(one.noticed for one in found)
    whole = noticed + sum(len(one.survivors) + len(one.untested) for one in found)
    left = sum(one.left for one in found)
    print(f"{noticed / whole:7.1%}  all: {noticed} of {whole} noticed{f', {left} not run' if left else ''}")
    return 0 if noticed / whole >= options.least else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
