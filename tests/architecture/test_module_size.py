"""Modules stay short enough to be read in one sitting."""

from pathlib import Path

from tools.check_sizes import LIMIT, too_long

ROOT = Path(__file__).resolve().parents[2]


def test_no_module_is_longer_than_400_lines():
    assert LIMIT == 400
    assert list(too_long(ROOT)) == []


def test_installed_and_built_files_are_not_counted(tmp_path):
    for folder in ("src/seawall/server/static", "apps/one/node_modules"):
        path = tmp_path / folder
        path.mkdir(parents=True)
        (path / "built.py").write_text("\n" * 500, encoding="utf-8")
    assert list(too_long(tmp_path)) == []


def test_examples_and_tools_are_counted_too(tmp_path):
    for folder in ("src", "apps", "examples", "tools"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "long.py").write_text("\n" * 401, encoding="utf-8")
    assert [path.parts[0] for path, _ in too_long(tmp_path)] == ["src", "apps", "examples", "tools"]
