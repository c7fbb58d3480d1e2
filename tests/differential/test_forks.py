"""A fork in the middle of a scenario: parent and child go on the same with generated functions and without."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NUMBER = re.compile(r"\d+\.\d+(?:e[-+]?\d+)?")  # rounded, as two sums of the same may differ by that
KEY = re.compile(r"\[k-[0-9a-f]+\]")  # another in every process

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def forked(*words):
    """What parents and children saw, line by line."""
    command = [sys.executable, "-m", "tests.support.worlds.forked", *words]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}  # sets are shown in the order of their hashes
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout[-1000:] + run.stderr
    return NUMBER.sub(lambda found: f"{float(found[0]):.9f}", KEY.sub("[k-key]", run.stdout)).splitlines()


def test_parent_and_child_go_on_alike_with_generated_functions():
    driven, generated = forked("0", "12"), forked("0", "12", "generated")
    assert sum(line.startswith("child of") for line in driven) == 12
    for number, (one, other) in enumerate(zip(driven, generated, strict=True)):
        assert one == other, "\n".join(driven[:number][-20:])
