"""Each adapter imports its library alone, and says which extra is missing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LIBRARIES = ("httpx", "httpx2", "requests", "sqlalchemy", "psycopg", "redis")


def run(code):
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_missing_library_is_an_error_that_names_the_extra(library):
    code = f"""
import sys
import seawall
sys.modules["{library}"] = None
try:
    import seawall.integrations.{library}
except seawall.ConfigurationError as error:
    print(error)
"""
    assert f'pip install "seawall[{library}]"' in run(code)


@pytest.mark.parametrize("adapter", [*LIBRARIES, "starlette", "wsgi"])
def test_an_adapter_imports_no_other_adapters_library(adapter):
    """R-PL1"""
    code = f"import sys\nimport seawall.integrations.{adapter}\nprint(*sys.modules)"
    loaded = set(run(code).split())
    # httpx2 and requests share nothing; psycopg is not loaded by SQLAlchemy before it is used
    assert loaded & {*LIBRARIES, "starlette"} <= {adapter}


@pytest.mark.parametrize("adapter", [*LIBRARIES, "starlette"])
def test_each_adapter_has_an_extra_of_its_name(adapter):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["optional-dependencies"][adapter][0].startswith(adapter)
