"""Any command line and any file: an exit code of the contract, single lines, never a traceback."""

import io
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, ClassVar
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderd.api.control import SwitchoverStep
from leaderd.cli.main import COMMANDS, run_command
from tests.api.fakes import FakeControl, FakeSource
from tests.cli.helpers import CODES, answering

WORDS = st.one_of(
    st.sampled_from(
        [
            "-c",
            "--config",
            "--socket",
            "-o",
            "json",
            "table",
            "--leader",
            "--node",
            "--endpoint",
            "--ttl",
            "--election",
            "--on-start",
            "--on-stop",
            "--vip",
            "--log",
            "--help",
            "-h",
            "--version",
            "--",
            "-",
            "/dev/null",
            "/",
            "x",
            "http://127.0.0.1:1",
            "--user",
            "--password-file",
            "--state-dir=/proc/x",
            "--socket=/nope",
            "bash",
            "--http=",
            "--to",
            "--force",
            "--timeout",
            "-n",
            "raise",
            "1e999",
            "18446744073709551616",
        ]
    ),
    st.text(st.characters(exclude_characters="\0"), max_size=12),
    st.binary(max_size=6).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")),
)
# demo would start an etcd, run and exec a daemon if the words happened to be right, and doctor look around.
NAMES = st.sampled_from([name for name in COMMANDS if name not in ("demo", "run", "exec", "doctor")])


def outcome(arguments: list[str], stdin: bytes) -> tuple[int, str]:
    """Run in this process; return exit code and standard error."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="replace")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    given_in = io.TextIOWrapper(io.BytesIO(stdin))
    with redirect_stdout(out), redirect_stderr(err), mock.patch.object(sys, "stdin", given_in):
        code = run_command(arguments)
    err.seek(0)
    return code, err.read()


def assert_contract(code: int, err: str) -> None:
    assert code in CODES
    assert "Traceback" not in err
    assert "internal error" not in err
    assert all(line.startswith("leaderd: ") for line in err.splitlines())


@given(NAMES, st.lists(WORDS, max_size=6))
@settings(max_examples=300, deadline=None)
def test_any_words_after_a_command(name: str, words: list[str]) -> None:
    """Options with values missing, values that are none, bytes that are no text."""
    assert_contract(*outcome([name, *words], b""))


@given(st.lists(WORDS, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_any_words_at_all(words: list[str]) -> None:
    """Where a command should stand."""
    assert_contract(*outcome(words, b""))


TOML = st.one_of(
    st.binary(max_size=200),
    st.text(st.sampled_from('[]{}="\'#.,\n\t abnode1_-:+"""'), max_size=80).map(str.encode),
    st.lists(
        st.sampled_from(
            [
                b'node = "a"',
                b"[etcd]",
                b'endpoints = ["http://a:1"]',
                b"[[election]]",
                b'name = "db"',
                b"ttl = 10",
                b"[[election.resource]]",
                b'type = "script"',
                b'command = ["x"]',
                b"[election]",
                b"[api]",
                b"ttl = 1e400",
                b"margin = nan",
                b"x = 1979-05-27T07:32:00Z",
                b"etcd.endpoints = 5",
                b'"\\n" = 1',
                b"[election.notify]",
                b"priority = 0x" + b"f" * 9000,
                b'"a\\u0000" = 1',
            ]
        ),
        max_size=12,
    ).map(b"\n".join),
)


@given(TOML)
@settings(max_examples=400, deadline=None)
def test_any_file(text: bytes) -> None:
    """From noise to almost right."""
    assert_contract(*outcome(["check", "-"], text))
    assert_contract(*outcome(["status", "-c", "-"], text))


@given(st.lists(WORDS, max_size=8))
@settings(max_examples=200, deadline=None)
def test_run_with_any_words(words: list[str]) -> None:
    """Whatever passes the checks stops short of becoming a daemon."""
    with (
        mock.patch("leaderd.cli.run.take_lock", return_value=0),
        mock.patch("leaderd.cli.run.claim"),
        mock.patch("leaderd.cli.run.become_guard"),
    ):
        assert_contract(*outcome(["run", *words], b""))


@given(st.lists(WORDS, max_size=6))
@settings(max_examples=100, deadline=None)
def test_doctor_with_any_words(words: list[str]) -> None:
    """Whatever passes the checks stops short of looking at etcd and the machine."""
    with (
        mock.patch("leaderd.doctor.machine.Trials.begin"),
        mock.patch("leaderd.doctor.machine.findings", return_value=()),
        mock.patch("leaderd.cli.doctor._at_etcd", return_value=[]),
    ):
        assert_contract(*outcome(["doctor", *words], b""))


TEXT = st.text(max_size=20)
TERM = st.fixed_dictionaries({
    "token": st.integers(0, 2**64 - 1), "node": TEXT, "from": TEXT, "to": TEXT, "reason": TEXT,
    "gap": st.none() | st.floats(0, 1e9), "clean": st.booleans(),
})


class Anything(FakeControl):
    """A `Control` that says whatever stands in etcd, where anybody may have written it."""

    told: ClassVar[dict[str, Any]] = {}

    async def history(self, election: str, limit: int) -> list[dict[str, Any]]:
        return self.told["terms"]

    async def switchover(self, election: str, to: str) -> AsyncIterator[SwitchoverStep]:
        yield SwitchoverStep(self.told["text"], self.told["leader"], 7, self.told["gap"], done=True)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A daemon that says it; gives the socket."""
    socket = tmp_path_factory.mktemp("anything") / "s"
    with answering(FakeSource(), socket, Anything()):
        yield str(socket)


@given(st.lists(TERM, max_size=3), TEXT, TEXT, st.none() | st.floats(0, 1e9))
@settings(max_examples=60, deadline=None)
def test_whatever_stands_in_etcd_is_shown_in_lines(
    told: str, terms: list[dict[str, Any]], text: str, leader: str, gap: float | None
) -> None:
    """One for each leadership and each step, without anything that moves a cursor."""
    Anything.told = {"terms": terms, "text": text, "leader": leader, "gap": gap}
    for words, lines in ((["history", "db"], len(terms) + 2), (["switchover", "db"], 1)):
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="replace")
        with redirect_stdout(out):
            assert run_command([*words, "--socket", told]) == 0
        out.seek(0)
        shown = out.read().removesuffix("\n").split("\n")
        assert len(shown) == (lines if terms or words[0] != "history" else 1)
        assert all(line.isprintable() for line in shown)
        assert run_command([*words, "--socket", told, "-o", "json"]) == 0
