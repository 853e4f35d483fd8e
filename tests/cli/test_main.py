"""The frame: help, version, one line per error, exit codes, what is loaded when."""

import json
import subprocess
import sys

import click
import pytest

from leaderd.cli.main import COMMANDS, cli, run_command
from leaderd.version import VERSION
from tests.cli.helpers import ROOT, environment, leaderd


def test_every_command_has_help_with_an_example() -> None:
    """INTERFACES: `--help` with one example."""
    context = cli.make_context("leaderd", ["--version"], resilient_parsing=True)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert (command.epilog or "").startswith("Example: "), name
        assert command.get_help(context)
        for each in command.commands.values() if isinstance(command, click.Group) else ():
            assert (each.epilog or "").startswith("Example: "), each.name


def test_every_command_is_in_the_contract() -> None:
    """docs/interfaces.md, the table of commands."""
    contract = (ROOT / "docs" / "interfaces.md").read_text()
    assert [name for name in COMMANDS if f"`leaderd {name}" not in contract] == []


def test_the_version_is_the_one_of_the_package() -> None:
    """And the changelog knows where it is."""
    assert leaderd("--version").stdout == f"leaderd {VERSION}\n"
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_without_a_command_the_help_is_shown() -> None:
    """On standard error, exit 2: nothing was done."""
    result = leaderd()
    assert (result.returncode, result.stdout) == (2, "")
    assert "Commands:" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["--bogus"],
        ["run", "--bogus"],
        ["run", "extra"],
        ["status", "a", "b"],
        ["status", "-o", "xml"],
        ["watch", "-o", "table"],
        ["completion"],
        ["completion", "tcsh"],
        ["check", "a", "-c", "b"],
        ["run", "--ttl"],
        ["status", "-c", "/nope"],
        ["check", "/nope"],
        ["run", "-c", "/nope"],
        ["run"],
        ["check"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments: list[str]) -> None:
    """Naming what is wrong, without a traceback."""
    result = leaderd(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert all(line.startswith("leaderd: ") for line in result.stderr.splitlines())
    assert 1 <= len(result.stderr.splitlines()) <= 2


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`leaderd check … | head -1`."""
    command = f"{sys.executable} -m leaderd completion bash | head -c 1"
    environ = environment()
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, env=environ)
    assert result.stderr == ""


def test_a_bug_is_told_in_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the place, so that it can be reported."""
    monkeypatch.setattr(cli, "main", lambda *_args, **_kwargs: 1 / 0)
    assert run_command([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("leaderd: internal error, please report it: ZeroDivisionError at ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    """Each names the command it completes."""
    result = leaderd("completion", shell)
    assert result.returncode == 0
    assert "_LEADERD_COMPLETE" in result.stdout


def test_completion_itself_completes_commands() -> None:
    """As bash would ask."""
    environ = {"_LEADERD_COMPLETE": "bash_complete", "COMP_WORDS": "leaderd st", "COMP_CWORD": "1"}
    assert "status" in leaderd(env=environ).stdout


@pytest.mark.parametrize(
    ("arguments", "banned"),
    [
        (["--help"], {"pydantic", "structlog", "grpc", "google.protobuf", "rich", "tomllib", "asyncio"}),
        (["switchover", "--help"], {"pydantic", "structlog", "grpc", "google.protobuf", "rich", "asyncio"}),
        (["status", "--help"], {"pydantic", "structlog", "grpc", "google.protobuf", "rich", "asyncio"}),
        (
            ["status", "--socket", "/nope"],
            {"pydantic", "structlog", "grpc", "google.protobuf", "rich", "asyncio"},
        ),
    ],
)
def test_what_a_command_does_not_need_is_not_loaded(arguments: list[str], banned: set[str]) -> None:
    """`leaderd --help` and `status` start fast."""
    script = (
        "import sys, json; from leaderd.cli.main import run_command; "
        f"run_command({arguments!r}); print(json.dumps(sorted(sys.modules)))"
    )
    environ = environment()
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environ
    )
    loaded = set(json.loads(result.stdout.splitlines()[-1]))
    assert not loaded & banned
