"""`run` up to the moment when it becomes the guard: lock, plan, what it refuses."""

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from leaderd.cli import run as module
from leaderd.cli.main import run_command
from leaderd.errors import RefusedError
from leaderd.plan import Plan
from tests.cli.helpers import environment


class Became(Exception):  # noqa: N818 - stands in for a new program
    """What `execve` was called with."""


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options of a daemon that may run; execve raises `Became`."""

    def execve(_path: str, argv: list[str], _env: Any) -> None:
        raise Became(argv)

    monkeypatch.setattr(os, "execve", execve)
    return [
        "run",
        "--node",
        "a",
        "--endpoint",
        "http://127.0.0.1:1",
        "--election",
        "x",
        "--ttl",
        "10",
        "--on-start",
        "true",
        "--on-stop",
        "true",
        "--state-dir",
        str(tmp_path / "state"),
        "--socket",
        str(tmp_path / "run" / "s"),
    ]


def became(arguments: list[str]) -> list[str]:
    """Run; return the guard's argument vector."""
    argv: list[str] = []
    original = module.become_guard

    def remember(*given: Any) -> None:
        try:
            original(*given)
        except Became as new:
            argv.extend(new.args[0])

    module.become_guard = remember  # type: ignore[assignment]
    try:
        assert run_command(arguments) == 0
    finally:
        module.become_guard = original
    return argv


def test_it_becomes_the_guard_with_plan_and_lock(arguments: list[str], tmp_path: Path) -> None:
    """Both descriptors are inherited; the plan can be read from its beginning; the lock is held."""
    argv = became(arguments)
    assert argv[0] == sys.executable
    assert argv[argv.index("-m") + 1] == "leaderd.guard.main"
    plan_fd, lock_fd = (int(argv[argv.index(name) + 1]) for name in ("--plan-fd", "--lock-fd"))
    assert os.get_inheritable(plan_fd)
    assert os.get_inheritable(lock_fd)
    plan = Plan.decode(json.dumps(json.loads(os.read(plan_fd, 1 << 20))["plan"]))
    assert (plan.node, plan.elections[0].name) == ("a", "x")
    assert (tmp_path / "state" / "lock").read_text() == f"{os.getpid()}\n"
    with (tmp_path / "state" / "lock").open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(plan_fd)
    os.close(lock_fd)


def test_the_guard_can_read_the_same_configuration_again(
    arguments: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Options, variables and file count as they did; what has changed in the file shows."""
    file = tmp_path / "leaderd.toml"
    file.write_text('root = "/x"\n')
    argv = became([*arguments, "--config", str(file)])
    plan_fd, lock_fd = (int(argv[argv.index(name) + 1]) for name in ("--plan-fd", "--lock-fd"))
    given = json.loads(os.read(plan_fd, 1 << 20))
    capfd.readouterr()
    subprocess.run(given["reread"], check=True, env=environment())
    assert json.loads(capfd.readouterr().out) == {"plan": given["plan"], "warnings": []}
    file.write_text('root = "/y"\n')
    subprocess.run(given["reread"], check=True, env=environment(LEADERD_LOG="text"))
    changed = {**given["plan"], "root": "/y", "log": "text"}
    assert json.loads(capfd.readouterr().out)["plan"] == changed
    file.write_text("root = 1\nfoot = 2\n")
    subprocess.run(given["reread"], check=True, env=environment())
    (root, foot) = json.loads(capfd.readouterr().out)["problems"]
    assert root.startswith("root: ")
    assert foot.startswith("foot: ")
    os.close(plan_fd)
    os.close(lock_fd)


def test_standard_input_cannot_be_read_again(capfd: pytest.CaptureFixture[str]) -> None:
    """`-c -`, and LEADERD_CONFIG=- too."""
    for config, variables in (("-", {}), (None, {"LEADERD_CONFIG": "-"})):
        subprocess.run(module.reread_command(config, {}), check=True, env=environment(**variables))
        (problem,) = json.loads(capfd.readouterr().out)["problems"]
        assert problem.startswith("standard input cannot be read again")


def test_the_working_directory_is_kept_off_the_module_path(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sudo leaderd run` in a directory with a json.py in it."""
    monkeypatch.setattr(sys, "path", ["/usr/bin", *sys.path])
    argv = became(arguments)
    assert "-P" in argv
    for name in ("--plan-fd", "--lock-fd"):
        os.close(int(argv[argv.index(name) + 1]))


def test_a_second_one_is_refused_with_the_pid_of_the_first(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """INTERFACES: over a running one, refused, exit 1."""
    lock = module.take_lock(str(tmp_path / "state"))
    assert run_command(arguments) == 1
    assert f"already running on {tmp_path}/state as process {os.getpid()}" in capsys.readouterr().err
    os.close(lock)


def test_the_remains_of_a_dead_daemon_are_waited_for(tmp_path: Path) -> None:
    """Its agent still stops what it holds: the next one begins when that has ended, not before."""
    directory = tmp_path / "state"
    remains = module.take_lock(str(directory))
    gone = subprocess.Popen(["true"])
    gone.wait()
    os.ftruncate(remains, 0)
    os.pwrite(remains, f"{gone.pid}\n".encode(), 0)
    with pytest.raises(RefusedError, match=f"process {gone.pid}"):
        module.take_lock(str(directory), patience=0.2)
    threading.Timer(0.3, os.close, (remains,)).start()
    lock = module.take_lock(str(directory), patience=30.0)
    assert (directory / "lock").read_text() == f"{os.getpid()}\n"
    os.close(lock)


def test_a_state_directory_that_cannot_be_made(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the option."""
    arguments[arguments.index("--state-dir") + 1] = "/proc/nope"
    assert run_command(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("leaderd: state_dir: /proc/nope/lock cannot be used")


def test_a_lock_that_is_a_link_is_not_followed(arguments: list[str], tmp_path: Path) -> None:
    """It is written to."""
    (tmp_path / "state").mkdir()
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "state" / "lock").symlink_to(tmp_path / "victim")
    assert run_command(arguments) == 1
    assert (tmp_path / "victim").read_text() == "precious"


def test_warnings_are_said_before_the_start(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, where the service manager keeps them."""
    arguments[arguments.index("--ttl") + 1] = "5"
    argv = became(arguments)
    assert capsys.readouterr().err.startswith(
        "leaderd: warning: --election 'x': an etcd leader change may cost"
    )
    for name in ("--plan-fd", "--lock-fd"):
        os.close(int(argv[argv.index(name) + 1]))
