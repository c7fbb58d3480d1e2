"""The repository names no package index and no place on anyone's disk.

Lock files are the usual way such an address gets in; an address would bind every user to one index.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# NB: a letter in brackets, so that this file does not contain what it looks for.
FORBIDDEN = re.compile(
    r"py[p]i\.(org|python)|python[h]osted\.org|registry\.npm[j]s|registry\.yarn[p]kg"
    r"|fil[e]://|--(extra-)?index[-]url|--find[-]links"
    r"|(?<![\w.~-])/(roo[t]|hom[e]/\w+|wor[k]|User[s])/"
)


def offences(text):
    return [
        f"{number}: {line.strip()[:120]}" for number, line in enumerate(text.splitlines(), 1) if FORBIDDEN.search(line)
    ]


def tracked():
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there are no tracked files to read")
    done = subprocess.run([git, "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def test_no_tracked_file_holds_an_index_address_or_a_local_path():
    found = []
    for path in tracked():
        if not path.is_file():
            continue  # deleted but not yet committed
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a picture or font
        found += [f"{path.relative_to(ROOT)}:{line}" for line in offences(text)]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "--index_-url https://packages.example/simple",
        "--extra-index_-url x",
        "--find_-links wheels",
        "https://files.python_hosted.org/packages/x.whl",
        "x @ fi_le:///x",
        "# via -r /wo_rk/requirements/run.in",
        '"resolved": "https://registry.npm_js.org/x"',
    ],
)
def test_addresses_that_lock_files_are_known_to_hold_are_found(line):
    assert offences(line.replace("_", ""))


def test_the_flags_that_keep_addresses_out_are_no_offence():
    assert offences("uv pip compile --no-emit-index-url --no-emit-find-links") == []
