"""`exec` up to the moment when it becomes the process that waits: what it refuses, what it hands over."""

import json
import os
import signal
from pathlib import Path

import pytest

from leaderd.cli.main import run_command
from leaderd.foreground import FORWARDED

OPTIONS = ("--endpoint", "http://127.0.0.1:1")


class Became(Exception):  # noqa: N818 - stands in for a new program
    """What `execve` was called with."""


@pytest.fixture
def became(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The arguments of the execve that would follow; nothing stays blocked or open."""
    caught: list[list[str]] = []

    def execve(_path: str, argv: list[str], _env: object) -> None:
        caught.append(argv)
        raise Became

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(*arguments: str) -> list[str]:
        run_command(["exec", *arguments])
        return caught[0]

    yield run
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)


def test_it_hands_over_plan_lock_and_both_ends_of_the_link(became, tmp_path: Path) -> None:
    argv = became("job", "--wait", "5", *OPTIONS, "--", "true", "-x")
    assert argv[argv.index("-m") + 1] == "leaderd.foreground"
    files = {argv[i]: int(argv[i + 1]) for i in range(argv.index("-m") + 2, len(argv), 2)}
    assert set(files) == {"--plan-fd", "--lock-fd", "--theirs-fd", "--link-fd"}
    given = json.loads(os.pread(files["--plan-fd"], 1 << 20, 0))
    settings = given["plan"]["elections"][0]["resources"][0]["settings"]
    assert settings["command"] == ["true", "-x"]
    assert settings["link"] == files["--theirs-fd"]
    assert given["exec"]["until"]
    assert given["exec"]["directory"].startswith(str(tmp_path))
    for file in ("--plan-fd", "--lock-fd"):
        os.close(files[file])
    # The execve has failed, so the directory is gone again.
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (("job", *OPTIONS), 2, "Missing argument"),
    (("job", *OPTIONS, "--"), 2, "Missing argument"),
    (("job", *OPTIONS, "--wait", "0", "--", "true"), 2, "--wait"),
    (("job", *OPTIONS, "--wait", "soon", "--", "true"), 2, "--wait"),
    (("Job", *OPTIONS, "--", "true"), 2, "must be 1 to 63"),
    (("job", "--", "true"), 2, "etcd.endpoints: is missing"),
    (("job", *OPTIONS, "--ttl", "1", "--", "true"), 2, "election.job.ttl"),
    (("job", *OPTIONS, "--on-start", "x", "--", "true"), 2, "No such option"),
    (("job", *OPTIONS, "--", "/no/such/program"), 127, "no such program"),
    (("job", *OPTIONS, "--", "/etc/passwd"), 126, "is not executable"),
])
def test_what_it_refuses(capsys, arguments, code, said) -> None:
    assert run_command(["exec", *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
