"""Lines of keys in TOML texts of every notation."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from seawall.config.locate import line_of, lines_of

TEXT = '''\
# a comment with = and [brackets]
top = 1
dotted.key."in quotes" = 2

[daemon]  # trailing
name = "a \\" quoted # no comment"
long = """
[not.a.table]
x = 1
"""
raw = \'\'\'
y = 2\'\'\'
when = 2024-01-01 10:00:00

[ processes . "my one" ]
command = [
  "first",   # with a comment, and ] in it
  ["nested", { deep = true }],
]
env = { A = "1", B.c = "2" }

[[items]]
a = 1
[[items]]
a = 2
[items.sub]
b = 3
'''


def test_every_notation_is_found_on_its_line():
    lines = lines_of(TEXT)
    expected = {
        (): 1,
        ("top",): 2,
        ("dotted",): 3,
        ("dotted", "key", "in quotes"): 3,
        ("daemon",): 5,
        ("daemon", "name"): 6,
        ("daemon", "long"): 7,
        ("daemon", "raw"): 11,
        ("daemon", "when"): 13,
        ("processes",): 15,
        ("processes", "my one"): 15,
        ("processes", "my one", "command"): 16,
        ("processes", "my one", "command", 0): 17,
        ("processes", "my one", "command", 1): 18,
        ("processes", "my one", "command", 1, 1, "deep"): 18,
        ("processes", "my one", "env"): 20,
        ("processes", "my one", "env", "B", "c"): 20,
        ("items", 0): 22,
        ("items", 0, "a"): 23,
        ("items", 1, "a"): 25,
        ("items", 1, "sub", "b"): 27,
    }
    assert {key: lines.get(key) for key in expected} == expected
    assert ("daemon", "x") not in lines


def test_what_is_not_there_is_placed_at_the_table_around_it():
    lines = lines_of("[a]\nb = 1\n[c]\n")
    assert line_of(lines, ("c", "missing", "deeper")) == 3
    assert line_of(lines, ("nowhere",)) == 1


_names = st.sampled_from(["a", "b-c", "d_1", "with space", "ünï", ""])
_values = st.recursive(
    st.one_of(st.integers(-5, 5), st.booleans(), st.sampled_from(["", "x", "#", '"', "]", "é\n"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_names, inner, max_size=3)),
    max_leaves=6,
)


def _toml(value):
    """One value in TOML's notation."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08X}" for c in value) + '"'
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return str(value)


def _keys(value, at=()):
    """Every path in a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in pairs:
        yield (*at, part)
        yield from _keys(inner, (*at, part))


@given(st.dictionaries(_names, st.dictionaries(_names, _values, max_size=3), max_size=3))
def test_every_key_the_parser_knows_has_a_line(tables):
    text = "\n".join(
        f"[{_toml(name)}]\n" + "\n".join(f"{_toml(key)} = {_toml(value)}" for key, value in table.items())
        for name, table in tables.items()
    )
    assert tomllib.loads(text) == tables
    lines = lines_of(text)
    assert {key for key in lines if key} == set(_keys(tables))


@given(st.text(alphabet="[]{}=.,\"'\n#ab1 \\", max_size=80))
def test_no_text_stops_it(text):
    assert lines_of(text)[()] == 1
