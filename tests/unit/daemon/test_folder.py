"""The daemon's folder: private, held by one, and replaced file by file."""

import json
import os
import stat

import pytest

from seawall.core.errors import ConfigurationError
from seawall.daemon.folder import AlreadyRunningError, Folder, read_json, write_private


def mode(path):
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_only_one_can_hold_it_and_it_can_be_given_back(tmp_path):
    first, second = Folder(tmp_path / "state"), Folder(tmp_path / "state")
    first.take()
    first.write_record({"pid": 4711, "address": "127.0.0.1:8900"})
    with pytest.raises(AlreadyRunningError, match=r"already runs for this file \(pid 4711, 127\.0\.0\.1:8900\)"):
        second.take()
    first.give_back()
    second.take()
    assert not second.record.exists()
    second.give_back()


def test_a_folder_open_to_others_is_closed(tmp_path):
    path = tmp_path / "state"
    path.mkdir(mode=0o755)
    folder = Folder(path)
    folder.take()
    assert mode(path) == 0o700
    assert (path / ".gitignore").read_text() == "*\n"
    folder.give_back()


def test_what_is_no_folder_of_ours_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"daemon\.state_dir"):
        Folder(tmp_path / "file").take()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="is no folder of this user"):
        Folder(tmp_path / "link").take()


def test_the_token_is_made_once_and_made_anew_if_others_could_read_it(tmp_path):
    folder = Folder(tmp_path)
    token = folder.token()
    assert len(token) >= 32
    assert mode(tmp_path / "token") == 0o600
    assert folder.token() == token == folder.token_if_any()
    (tmp_path / "token").chmod(0o644)
    assert folder.token() != token


def test_files_are_replaced_as_a_whole(tmp_path):
    path = tmp_path / "snapshot.json"
    write_private(path, "{}\n")
    before = path.stat().st_ino
    Folder(tmp_path).write_snapshot({"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    assert path.stat().st_ino != before
    assert [one.name for one in tmp_path.iterdir()] == ["snapshot.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"'])
def test_what_is_no_object_is_nothing(tmp_path, text):
    path = tmp_path / "daemon.json"
    path.write_text(text)
    assert read_json(path) is None
    assert read_json(tmp_path / "missing.json") is None


def test_a_socket_with_too_long_a_path_goes_where_it_fits(tmp_path, monkeypatch):
    short = Folder(tmp_path / "s")
    assert short.socket_path() == tmp_path / "s" / "seawall.sock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("seawall.daemon.folder.LONGEST_SOCKET_PATH_BYTES", 103)
    deep = tmp_path / ("x" * 90) / "state"
    path = Folder(deep).socket_path()
    assert path != deep / "seawall.sock"
    assert len(os.fsencode(path)) <= 103
    assert mode(path.parent) == 0o700
    assert Folder(deep).socket_path() == path
    path.parent.rmdir()
