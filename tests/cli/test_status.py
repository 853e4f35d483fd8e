"""`status` and `watch` against a daemon that answers, one that is dead, one that hangs."""

import json
import socket as sockets
import subprocess
import sys
from pathlib import Path

import pytest

from leaderd.cli.main import run_command
from tests.api.fakes import FakeSource, election
from tests.cli.helpers import answering, leaderd


@pytest.fixture
def socket(tmp_path: Path) -> str:
    return str(tmp_path / "s")


def test_json_is_the_stable_schema(socket: str) -> None:
    """INTERFACES §5, from a process of its own."""
    source = FakeSource()
    with answering(source, Path(socket)):
        result = leaderd("status", "--socket", socket, "-o", "json")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == source.report()


def test_the_table_is_plain_without_a_terminal(socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns that cut and awk can read; whoever leads a paused election would not be followed by anybody."""
    paused = {**election("job"), "paused": True}
    with answering(FakeSource(election(), election("web", "candidate", 0.0), paused), Path(socket)):
        assert run_command(["status", "--socket", socket]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["db", "leader", "a", "1234", "3.9", "s", "2026-11-22T20:00:00Z", "elected"] in lines
    assert ["web", "candidate", "a", "1234", "-", "2026-11-22T20:00:00Z", "elected"] in lines
    assert ["job", "leader", "a", "1234", "3.9", "s", "2026-11-22T20:00:00Z", "elected:", "paused"] in lines
    assert ["db", "c", "standby", "-", "unhealthy"] in lines
    assert ["db", "app", "script", "started"] in lines


@pytest.mark.parametrize(
    ("state", "valid_for", "code"),
    [("leader", 3.0, 0), ("leader", 0.0, 1), ("leader", -1.0, 1), ("candidate", 3.0, 1)],
)
def test_leader_answers_by_exit_code_alone(
    state: str, valid_for: float, code: int, socket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a lease that has run out is no leadership, whatever the state says."""
    with answering(FakeSource(election("db", state, valid_for)), Path(socket)):
        assert run_command(["status", "--leader", "--socket", socket]) == code
        assert run_command(["status", "db", "--leader", "--socket", socket]) == code
    assert capsys.readouterr() == ("", "")


def test_leader_of_which_election(socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With several, one must be named."""
    with answering(FakeSource(election(), election("web", "candidate", 0.0)), Path(socket)):
        assert run_command(["status", "--leader", "--socket", socket]) == 2
        assert run_command(["status", "--leader", "web", "--socket", socket]) == 1
        assert run_command(["status", "--leader", "db", "--socket", socket]) == 0
        assert run_command(["status", "nope", "--socket", socket]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "leaderd: --leader needs the name of one election: db, web; see leaderd status --help",
        "leaderd: no election 'nope' on this node; there are: db, web",
    ]


@pytest.mark.parametrize("command", ["status", "watch"])
def test_a_daemon_that_does_not_answer_is_one_line_and_exit_4(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing, dead, no socket, not gRPC."""
    with sockets.socket(sockets.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    (tmp_path / "file").write_text("x")
    for name in ("missing", "dead", "file", "x" * 200, "nul\0"):
        assert run_command([command, "--socket", str(tmp_path / name)]) == 4
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("leaderd: ")


def test_a_daemon_that_hangs_is_exit_4_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stopped agent accepts connections: the kernel does it."""
    with sockets.socket(sockets.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        assert run_command(["status", "--socket", str(tmp_path / "s")]) == 4
    assert "leaderd: " in capsys.readouterr().err


def test_the_socket_of_the_file_and_of_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Option, variable, file: the first of them is asked; a broken file says so."""
    config = tmp_path / "leaderd.toml"
    config.write_text('[api]\nsocket = "own.sock"\n')
    assert run_command(["status", "-c", str(config)]) == 4
    assert f"{tmp_path}/own.sock" in capsys.readouterr().err
    monkeypatch.setenv("LEADERD_SOCKET", "/of/variable")
    assert run_command(["status", "-c", str(config)]) == 4
    assert "/of/variable" in capsys.readouterr().err
    monkeypatch.delenv("LEADERD_SOCKET")
    config.write_text("[api]\nsocket = 5\n")
    assert run_command(["status", "-c", str(config)]) == 2
    assert capsys.readouterr().err == "leaderd: api.socket: must be a path, not '5'\n"


def test_watch_prints_a_line_per_change_until_the_daemon_stops(socket: str) -> None:
    """JSON Lines; the end of the daemon is said and is exit 4."""
    source = FakeSource()
    with answering(source, Path(socket)):
        watching = subprocess.Popen(
            [sys.executable, "-u", "-m", "leaderd", "watch", "-o", "json", "--socket", socket],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        assert (first["node"], first["name"], first["state"]) == ("a", "db", "leader")
    _out, err = watching.communicate(timeout=60)
    assert watching.returncode == 4
    assert "the daemon stops" in err
    assert len(err.splitlines()) == 1


def test_watch_in_text(socket: str) -> None:
    """Time, node, election, state, then what else there is: each change can be told from the line before."""
    with answering(FakeSource(), Path(socket)):
        watching = subprocess.Popen(
            [sys.executable, "-u", "-m", "leaderd", "watch", "--socket", socket],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert watching.stdout is not None
        line = watching.stdout.readline()
    watching.communicate(timeout=60)
    assert line.startswith("2026-11-22T20:00:00Z a db leader reason=elected leader=a token=1234 valid_for=3.")
    assert line.endswith(" queue=a,b\n")


def test_a_pause_is_seen_by_whoever_watches(socket: str) -> None:
    """Of a leader nothing else changes."""
    with answering(FakeSource({**election(), "paused": True}), Path(socket)):
        watching = subprocess.Popen(
            [sys.executable, "-u", "-m", "leaderd", "watch", "--socket", socket],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        assert watching.stdout is not None
        assert " paused=yes " in watching.stdout.readline()
    watching.communicate(timeout=60)
