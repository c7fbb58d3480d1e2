"""R-CF1: every mistake of a file at once, each with its place, its value and what to do about it."""

import pickle
from pathlib import Path

import pytest

from seawall.config.load import from_text, load
from seawall.config.mistakes import ConfigurationErrors
from seawall.core.errors import ConfigurationError

BROKEN = Path(__file__).parent / "broken"
KINDS = sorted(path.stem for path in BROKEN.glob("*.toml"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_mistake_is_listed_at_once_with_place_value_and_remedy(kind):
    """R-CF1."""
    with pytest.raises(ConfigurationErrors) as caught:
        from_text((BROKEN / f"{kind}.toml").read_text())
    assert str(caught.value).splitlines() == (BROKEN / f"{kind}.expected").read_text().splitlines()


def test_there_are_more_than_ten_kinds_of_broken_files():
    assert len(KINDS) > 10


def test_the_error_is_a_configuration_error_and_survives_pickling():
    with pytest.raises(ConfigurationErrors) as caught:
        from_text("[daemon]\nname = 7\n")
    assert isinstance(caught.value, ConfigurationError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.mistakes == caught.value.mistakes


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(ConfigurationErrors, match=r"none\.toml: there is no such file: name one"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigurationErrors, match="is a folder: name the file in it"):
        load(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes('[daemon]\nname = "dépôt"\n'.encode("latin-1"))
    with pytest.raises(ConfigurationErrors, match=r"latin\.toml:2: is not UTF-8 text here: save the file"):
        load(latin)
    huge = tmp_path / "huge.toml"
    huge.write_text("#" * 1_000_001)
    with pytest.raises(ConfigurationErrors, match="has 1,000,001 bytes, more than the 1,000,000"):
        load(huge)


@pytest.mark.parametrize(
    "text",
    [
        "\x00", "[", "[[", "= 1", '"', '"""', "a = [", "a = {", "[a]\n[a]\n[a]", "[" * 50_000, "a = " + "[" * 50_000,
        "[pipelines]\nx = 5", "processes = 5", "checks = []", "[checks]\na = 5", "daemon = 'x'",
        "[[processes]]\ncommand=[]", "[checks.a]\nkind = 5", "[processes.a]\ncommand = []",
        "[processes.a]\ncommand = ['']", "[processes.a.listen]",
        "a = 1979-05-27", "\u202e = 1", "[checks.a]\nkind = 'http'\nurl = 'http://[::1'",
    ],
)  # fmt: skip
def test_no_text_breaks_the_reading_of_it(text):
    """Whatever stands in a file, the answer is a list of mistakes on lines that exist."""
    with pytest.raises(ConfigurationErrors) as caught:
        from_text(text)
    assert caught.value.mistakes
    assert all(1 <= one.line <= text.count("\n") + 1 for one in caught.value.mistakes)
    assert str(caught.value).isprintable() or "\n" in str(caught.value)
