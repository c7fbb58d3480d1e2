"""The reference of the configuration says what the code does."""

import re

import pytest

from seawall.config.known import sections
from seawall.config.load import from_text
from tools.config_reference import PAGE, page


def test_the_page_is_the_one_the_models_give():
    assert PAGE.read_text("utf-8") == page(), "run: tools/config_reference.py --write"


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", page(), re.DOTALL))
def test_every_example_of_the_page_is_valid(example):
    from_text(example)


def test_every_key_says_what_it_means_in_one_sentence():
    for place, section in sections():
        for name, field in section.model_fields.items():
            assert (field.description or "").endswith("."), f"{place}.{name}"


def test_every_example_of_a_key_is_a_line_of_toml_for_that_key():
    import tomllib

    for place, section in sections():
        for name, field in section.model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and "example" in extra:
                assert list(tomllib.loads(str(extra["example"]))) == [name], f"{place}.{name}"
