"""The command line without a daemon: help, mistakes, check, and what stays unloaded."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.cli import main
from seawall.cli.times import seconds_of
from seawall.core.errors import ConfigurationError

COMMANDS = [
    "up",
    "check",
    "status",
    "explain",
    "simulate",
    "breaker open",
    "breaker close",
    "breaker observe",
    "breaker release",
]
REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "command-line.md"


def seawall(capsys, *arguments):
    """Exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_alone_it_says_what_it_is_and_how_to_start(capsys):
    code, out, err = seawall(capsys)
    assert (code, err) == (0, "")
    assert out.startswith("seawall keeps programs working")
    assert len(re.findall(r"^  seawall (check|up|status) ", out, re.MULTILINE)) == 3
    assert "docs/" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_two_examples_exit_codes_and_json(command, capsys):
    code, out, _ = seawall(capsys, *command.split(), "--help")
    assert code == 0
    examples = re.findall(rf"^  (seawall {command}.*)$", out, re.MULTILINE)
    assert len(examples) == 2
    assert "Exit codes" in out
    assert "--json" in out
    page = REFERENCE.read_text("utf-8")
    assert all(example in page for example in examples), "docs/reference/command-line.md lacks an example of --help"
    for option in re.findall(r"^│ [* ]* ?(--[a-z-]+)", out, re.MULTILINE):
        assert option in page, f"docs/reference/command-line.md lacks {option}"


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["upp"], 'Unknown command "upp". Did you mean "up"?'),
        (["up", "--bogus"], "Unknown option: --bogus."),
        (["up", "seawall.toml", "extra"], "extra"),
        (["breaker", "open", "payments"], "--reason"),
        (["breaker", "open"], "name"),
        (["up", "--for", "soon"], "--for soon: must be a duration above 0, such as 30 (seconds)"),
    ],
)
def test_wrong_use_is_a_sentence_and_the_code_2(arguments, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = seawall(capsys, *arguments)
    assert (code, out) == (2, "")
    assert says.lower() in err.lower()
    assert err.count("\n") == 1


def test_check_lists_the_mistakes_of_a_file(capsys, tmp_path):
    file = tmp_path / "seawall.toml"
    file.write_text('[server]\nlisten = "nowhere"\n[pipelines.a]\nretry = { attempts = 0 }\n')
    code, out, err = seawall(capsys, "check", str(file))
    assert code == 2
    listen, attempts = out.splitlines()
    assert listen.startswith(f'{file}:2: server.listen = "nowhere": must be an address "host:port", such as')
    assert attempts == (
        f"{file}:4: pipelines.a.retry.attempts = 0: must be at least 1 (the first call counts as attempt 1)."
    )
    assert err == "2 mistakes; nothing was started.\n"
    code, out, _ = seawall(capsys, "check", str(file), "--json")
    assert code == 2
    assert [one["key"] for one in json.loads(out)["mistakes"]] == ["server.listen", "pipelines.a.retry.attempts"]


def test_check_says_what_a_good_file_sets_up_without_its_secrets(capsys, tmp_path):
    file = tmp_path / "seawall.toml"
    file.write_text(
        '[processes.payments]\ncommand = ["{python}", "-m", "payments"]\nenv = { TOKEN = "hunter2" }\n'
        '[checks.memory]\nkind = "memory"\ncritical = true\n[pipelines.stock]\npreset = "storage"\n'
    )
    code, out, err = seawall(capsys, "check", str(file))
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{file}: no mistakes.",
        "  page        http://127.0.0.1:8900/",
        "  processes   payments  {python} -m payments",
        "  checks      memory  memory, every 10 s, critical",
        "  pipelines   stock  retry → circuit breaker",
    ]
    code, out, _ = seawall(capsys, "check", str(file), "--json")
    assert json.loads(out)["mistakes"] == []
    assert "hunter2" not in out


def test_status_of_what_never_ran_is_unknown(capsys, tmp_path):
    file = tmp_path / "seawall.toml"
    file.write_text("")
    code, out, err = seawall(capsys, "status", str(file))
    assert (code, out) == (3, "")
    assert err.startswith("Unknown: no daemon runs for this file. There is no earlier state to show")
    code, _, err = seawall(capsys, "status", str(tmp_path / "none.toml"))
    assert code == 2
    assert "none.toml: cannot be read (No such file or directory): name the file" in err


def test_status_of_a_broken_file_still_finds_the_last_state(capsys, tmp_path):
    """Whoever breaks the file while the daemon is down must still see how it was."""
    file = tmp_path / "seawall.toml"
    file.write_text('[daemon]\nname = oops\nstate_dir = "elsewhere"\n')
    saved = {"saved_at": 1.0, "stopped": False, "state": {"name": "shop", "status": "degraded", "rows": []}}
    (tmp_path / ".seawall").mkdir()
    (tmp_path / ".seawall" / "snapshot.json").write_text(json.dumps(saved))
    code, out, _ = seawall(capsys, "status", str(file))
    assert code == 3
    assert "shop: degraded." in out


def test_hostile_names_in_a_state_cannot_move_the_cursor(capsys, tmp_path):
    file = tmp_path / "seawall.toml"
    file.write_text("")
    row = {"id": "a\x1b[2J\u202e", "word": "open\n", "reason": "\x07 reason", "level": 2, "shape": "ring", "since": 1.0}
    saved = {"saved_at": 1.0, "stopped": False, "state": {"name": "x", "status": "degraded", "rows": [row]}}
    (tmp_path / ".seawall").mkdir()
    (tmp_path / ".seawall" / "snapshot.json").write_text(json.dumps(saved))
    _, out, _ = seawall(capsys, "status", str(file))
    assert out.replace("\n", "").isprintable()
    assert "a\\x1b[2J\\u202e" in out


@pytest.mark.parametrize("text, seconds", [("30", 30.0), ("0.5", 0.5), ("90s", 90.0), ("5min", 300.0), ("1h", 3600.0)])
def test_durations_on_the_command_line(text, seconds):
    assert seconds_of(text, "--for") == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "1.2.3", "later", "0s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ConfigurationError, match=r"--for .*: must be a duration above 0"):
        seconds_of(text, "--for")


@pytest.mark.parametrize("arguments, unwanted", [
    ([], {"cyclopts", "pydantic", "uvicorn", "starlette", "rich"}),
    (["--help"], {"pydantic", "uvicorn", "starlette", "httpx2", "psutil", "prometheus_client"}),
])  # fmt: skip
def test_nothing_slow_is_loaded_for_help(arguments, unwanted):
    script = (
        "import sys\nfrom seawall.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert {name for name in unwanted if f"'{name}'" in done.stderr} == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_written_for_the_common_shells(shell, capsys):
    code, out, err = seawall(capsys, "completion", shell)
    assert (code, err) == (0, "")
    assert all(command in out for command in ("up", "check", "status", "breaker"))


def test_bash_takes_the_completion_it_is_given(capsys):
    _, script, _ = seawall(capsys, "completion", "bash")
    told = subprocess.run(["bash", "-c", f"{script}\ncomplete -p seawall"], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("complete -F")
