"""What `import seawall` costs."""

import subprocess
import sys

import pytest


def loaded(code):
    """The top-level modules, and all of asyncio's and logging's, that a fresh interpreter has after `code`."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_seawall_loads_neither_asyncio_nor_logging():
    """R-PL1"""
    modules = loaded("import seawall")
    assert not {"asyncio", "logging", "email", "ssl", "socket", "concurrent"} & modules


def test_importing_seawall_loads_the_standard_library_only():
    """R-PL1"""
    foreign = {name.partition(".")[0] for name in loaded("import seawall")} - set(sys.stdlib_module_names)
    assert foreign == {"seawall"}


def test_protecting_plain_functions_loads_no_asyncio():
    """R-PL1"""
    code = "import seawall\n@seawall.protect('network')\ndef f(): return 1\nassert f() == 1"
    assert "asyncio" not in loaded(code)


def test_no_thread_is_started_by_importing_or_by_calling():
    code = (
        "import threading, seawall\n"
        "p = seawall.Pipeline('p', seawall.Retry(), seawall.CircuitBreaker(), seawall.Bulkhead(1))\n"
        "p.call(int)\n"
        "assert threading.active_count() == 1"
    )
    loaded(code)


@pytest.mark.parametrize("name", ["seawall", "seawall.backoff", "seawall.testing"])
def test_what_a_module_says_is_public_is_there(name):
    code = f"import {name} as m\nassert all(hasattr(m, n) for n in m.__all__)"
    loaded(code)
