"""What `import seawall` costs."""

import subprocess
import sys
from pathlib import Path

import pytest

OUTAGE = Path(__file__).parent.parent / "support" / "outage.py"
NAMES = "from seawall import Pipeline, CircuitBreaker, Retry, Timeout, RateLimiter, Bulkhead"


def loaded(code):
    """The top-level modules, and all of asyncio's and logging's, that a fresh interpreter has after `code`."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
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


def test_the_names_of_a_pipeline_load_no_heavy_module_of_the_standard_library():
    """R-PL1"""
    heavy = {
        "ast", "asyncio", "calendar", "copy", "dataclasses", "datetime", "decimal", "dis", "email", "hashlib", "heapq",
        "importlib.metadata", "inspect", "json", "linecache", "logging", "pathlib", "pickle", "random", "selectors",
        "socket", "ssl", "statistics", "string", "subprocess", "tempfile", "textwrap", "tokenize", "traceback",
        "unicodedata", "urllib", "uuid",
    }  # fmt: skip
    assert not heavy & loaded(NAMES)


def test_the_names_of_a_pipeline_load_nothing_that_only_calls_need():
    """R-PL1"""
    modules = loaded(NAMES)
    late = {
        "core.outcome", "core.snapshot", "drive.aio", "drive.compile", "drive.prober", "drive.stream", "drive.sync",
        "drive.template", "drive.timers", "drive.workers", "errors.text", "machines.backoff", "machines.breaker",
        "machines.bulkhead", "machines.gcra", "machines.retry", "machines.retry_budget", "machines.several",
        "machines.stream", "machines.timeout", "machines.token_bucket", "machines.trip", "machines.trip_windows",
        "measure.windows", "pipeline.blocks", "pipeline.explain", "pipeline.judge", "pipeline.manager",
        "pipeline.presets", "pipeline.record", "pipeline.why", "policies.fallback", "policies.needed",
        "policies.retry_run", "policies.stale_cache", "report.link",
    }  # fmt: skip
    assert not {f"seawall.{name}" for name in late} & modules


def test_a_limiter_loads_its_own_algorithm_only():
    modules = loaded("import seawall\nseawall.RateLimiter('1/s', algorithm='gcra')")
    machines = {"fixed_window", "gcra", "sliding_counter", "sliding_log", "token_bucket"}
    assert {name for name in machines if f"seawall.machines.{name}" in modules} == {"gcra"}


@pytest.mark.parametrize("kind", [(), ("async",)], ids=["sync", "async"])
def test_an_outage_loads_no_module(kind):
    """A process without a free file descriptor could not."""
    run = subprocess.run([sys.executable, "-P", OUTAGE, *kind], capture_output=True, text=True, check=True)
    assert not run.stdout
    assert run.stderr.count('Circuit "short" opened') == 1, run.stderr  # it was one


def test_without_file_descriptors_the_error_of_the_call_comes_through_and_is_counted():
    pytest.importorskip("resource", reason="limits of a process are those of Unix")
    code = (
        "import resource, seawall\n"
        "p = seawall.Pipeline('p', seawall.Retry(1), seawall.CircuitBreaker(2), seawall.Timeout(9.0, mode='thread'))\n"
        "@p\n"
        "def read():\n"
        "    return open('/dev/null')\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "for _ in range(3):\n"
        "    try:\n"
        "        read()\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, getattr(error, 'filename', ''))\n"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["OSError", "/dev/null", "OSError", "/dev/null", "CircuitOpenError"]
    assert 'Circuit "p" opened' in run.stderr
