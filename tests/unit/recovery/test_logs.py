import os
import subprocess

import pytest

from seawall.core.clock import SYSTEM_CLOCK
from seawall.recovery.logs import LogFiles


@pytest.fixture
def logs(tmp_path):
    return LogFiles(tmp_path / "logs", ["one", "two"], SYSTEM_CLOCK, limit_bytes=100)


def test_a_log_is_moved_once_it_is_too_long_and_its_writer_goes_on_at_the_beginning(logs):
    out = logs.open("one")
    os.write(out, b"x" * 150 + b"end")
    logs.trim()
    assert logs.path("one").read_bytes() == b""
    assert (logs.folder / "one.log.1").read_bytes() == b"x" * 97 + b"end"
    os.write(out, b"more")
    assert logs.path("one").read_bytes() == b"more"
    os.close(out)
    assert logs.errors == 0


def test_what_fits_is_left_alone(logs):
    out = logs.open("one")
    os.write(out, b"x" * 100)
    os.close(out)
    logs.trim()
    assert logs.path("one").read_bytes() == b"x" * 100


def test_logs_are_for_this_user_only(logs):
    os.close(logs.open("one"))
    assert logs.folder.stat().st_mode & 0o777 == 0o700
    assert logs.path("one").stat().st_mode & 0o777 == 0o600


def test_a_copy_that_fails_still_empties_the_log(logs):
    out = logs.open("one")
    os.write(out, b"x" * 150)
    (logs.folder / "one.log.1").mkdir()
    logs.trim()
    assert logs.path("one").read_bytes() == b""
    assert logs.errors == 1
    os.close(out)


def test_a_link_in_place_of_a_log_is_not_followed(logs, tmp_path):
    (tmp_path / "precious").write_text("precious")
    logs.folder.mkdir()
    logs.path("one").symlink_to(tmp_path / "precious")
    assert logs.open("one") == subprocess.DEVNULL
    assert logs.errors == 1
