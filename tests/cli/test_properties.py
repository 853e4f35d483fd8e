"""Any command line and any file: an exit code of the contract, single lines, never a traceback."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from leaderd.cli.main import COMMANDS, run_command
from tests.cli.helpers import CODES

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
        ]
    ),
    st.text(st.characters(exclude_characters="\0"), max_size=12),
    st.binary(max_size=6).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")),
)
# demo would start an etcd, and run and exec a daemon if the words happened to be right.
NAMES = st.sampled_from([name for name in COMMANDS if name not in ("demo", "run", "exec")])


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
