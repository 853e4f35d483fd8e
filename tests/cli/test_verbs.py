"""Operators' commands against a daemon that answers: what they ask for, print, and exit with.

The daemon's `Control` is a fake here, for its outcomes to be chosen; tests/faults/test_verbs.py has the
real one.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaderd.api.control import SwitchoverStep
from leaderd.cli.main import run_command
from tests.api.fakes import REFUSED, UNREACHABLE, FakeControl, FakeSource, election
from tests.cli.helpers import answering, leaderd

ONE_LINERS = {
    ("switchover", "db", "--to", "b"): ("switchover", "db", "b"),
    ("switchover", "db"): ("switchover", "db", ""),
    ("standby",): ("standby", "", "", False),
    ("standby", "db", "--node", "b", "--force"): ("standby", "db", "b", True),
    ("online", "db"): ("online", "db", "", False),
    ("online", "--node", "b"): ("online", "", "b", False),
    ("pause", "db"): ("pause", "db"),
    ("resume", "db"): ("resume", "db"),
    ("epoch", "raise", "db"): ("raise_epoch", "db"),
    ("history", "db", "-n", "7"): ("history", "db", 7),
    ("verify", "db", "1234"): ("newest_token", "db"),
}
_COMMANDS = [pytest.param(words, id="-".join(words)) for words in ONE_LINERS]


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
def socket(control: FakeControl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A daemon that answers, found by LEADERD_SOCKET."""
    path = tmp_path / "s"
    monkeypatch.setenv("LEADERD_SOCKET", str(path))
    with answering(FakeSource(election()), path, control):
        yield str(path)


@pytest.mark.parametrize("words", _COMMANDS)
def test_a_command_asks_for_what_it_says(
    words: tuple[str, ...], socket: str, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    """As text and as JSON, exit 0, nothing on standard error."""
    assert run_command(list(words)) == 0
    assert control.calls == [ONE_LINERS[words]]
    assert capsys.readouterr().out
    assert run_command([*words, "-o", "json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for text in [out] if words[0] == "history" else out.splitlines():
        json.loads(text)


@pytest.mark.parametrize("words", _COMMANDS)
def test_a_refusal_is_one_line_and_exit_1(
    words: tuple[str, ...], socket: str, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the daemon's words."""
    control.error = REFUSED
    assert run_command(list(words)) == 1
    assert capsys.readouterr() == ("", f"leaderd: {REFUSED}\n")


@pytest.mark.parametrize("words", _COMMANDS)
def test_an_etcd_that_cannot_say_is_exit_4(
    words: tuple[str, ...], socket: str, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line too."""
    control.error = UNREACHABLE
    assert run_command(list(words)) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert str(UNREACHABLE) in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("words", [*_COMMANDS, pytest.param(("explain",), id="explain")])
def test_without_a_daemon_it_is_exit_4(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Naming the socket."""
    assert run_command([*words, "--socket", str(tmp_path / "none")]) == 4
    assert f"{tmp_path}/none" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["switchover"], ["pause"], ["resume"], ["verify", "db"], ["verify", "db", "x"], ["verify", "db", "0"],
     ["verify", "db", str(2**64)], ["epoch"], ["epoch", "raise"], ["epoch", "lower", "db"],
     ["history", "db", "-n", "0"], ["switchover", "db", "--timeout", "0"], ["standby", "--to", "b"]],
)
def test_what_cannot_be_meant_is_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is asked."""
    assert run_command(words) == 2
    assert capsys.readouterr().out == ""


def test_an_unknown_election_names_those_there_are(
    socket: str, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, nothing asked of anybody."""
    assert run_command(["pause", "nope"]) == 1
    assert capsys.readouterr().err == "leaderd: no election 'nope' on this node; there are: db\n"
    assert control.calls == []


def test_a_switchover_tells_its_steps(socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The last with leader, token and gap."""
    assert run_command(["switchover", "db", "--to", "b"]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == "a is asked to hand over to b leader=a token=1234"
    assert last == "b leads leader=b token=1240 gap=0.012s"
    assert run_command(["switchover", "db", "-o", "json"]) == 0
    steps = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert steps[-1] == {"text": "b leads", "leader": "b", "token": 1240, "gap": 0.012, "done": True}


def test_a_switchover_that_ends_without_an_end(
    socket: str, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1: whoever scripts it must not believe that it is done."""
    control.last = SwitchoverStep("b did not start")
    assert run_command(["switchover", "db"]) == 1
    assert capsys.readouterr().err == (
        "leaderd: db: the switchover did not finish; see `leaderd status db`\n"
    )


def test_a_switchover_that_takes_too_long(
    socket: str, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 4, and where to look."""
    control.go.clear()
    assert run_command(["switchover", "db", "--timeout", "0.3"]) == 4
    assert "not finished within 0.3 s" in capsys.readouterr().err


def test_history_in_columns(socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Newest first; what is not known is a dash."""
    assert run_command(["history"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert rows[0] == ["ELECTION", "TOKEN", "NODE", "FROM", "TO", "REASON", "END", "GAP"]
    assert rows[1] == ["db", "1240", "b", "2026-11-22T20:00:09Z", "-", "-", "-", "0.012", "s"]
    assert rows[2][-3:] == ["switchover", "clean", "-"]


@pytest.mark.parametrize(
    ("token", "code", "says"), [("1234", 0, "is the newest"), ("7", 1, "is stale"), ("9999", 1, "never")]
)
def test_verify_answers_by_exit_code(
    token: str, code: int, says: str, socket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says which is the newest."""
    assert run_command(["verify", "db", token]) == code
    out = capsys.readouterr().out
    assert says in out
    assert "1234" in out
    assert run_command(["verify", "db", token, "-o", "json"]) == code
    assert json.loads(capsys.readouterr().out) == {
        "election": "db", "token": int(token), "valid": code == 0, "newest": 1234
    }


def test_explain_in_sentences(socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Why, what it waits for, who stops what, what if."""
    assert run_command(["explain", "db"]) == 0
    out = capsys.readouterr().out
    assert "Node a leads with token 1234, because it was elected" in out
    assert "If the agent is killed now: nobody leads for ≤" in out
    assert "Then b takes over." in out
    assert run_command(["explain", "-o", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["elections"]
    assert found["enforcers"] == [{"resource": "app", "type": "script", "agent": "yes", "kernel": "no",
                                   "guard": "yes", "alone": "no"}]


def test_the_environment_and_the_file_name_the_socket(socket: str, tmp_path: Path) -> None:
    """From a process of its own, as a script would call it."""
    assert leaderd("pause", "db", env={"LEADERD_SOCKET": socket}).stdout == (
        "db is paused: nobody is newly promoted\n"
    )
    (tmp_path / "leaderd.toml").write_text('[api]\nsocket = "s"\n')
    assert leaderd("verify", "db", "1234", "-c", str(tmp_path / "leaderd.toml")).returncode == 0


def test_tab_completes_elections_and_nodes(socket: str, tmp_path: Path) -> None:
    """As bash would ask; without a daemon there is nothing, and no error."""
    words = {"_LEADERD_COMPLETE": "bash_complete", "COMP_CWORD": "2", "LEADERD_SOCKET": socket}
    assert leaderd(env={**words, "COMP_WORDS": "leaderd pause "}).stdout.split() == ["plain,db"]
    nodes = leaderd(env={**words, "COMP_WORDS": "leaderd standby --node ", "COMP_CWORD": "3"}).stdout
    assert nodes.split() == ["plain,a", "plain,c"]
    alone = leaderd(env={**words, "COMP_WORDS": "leaderd pause ", "LEADERD_SOCKET": str(tmp_path / "no")})
    assert (alone.stdout.strip(), alone.stderr, alone.returncode) == ("", "", 0)
