"""What hooks are told, and the number of their run."""

import fcntl
import multiprocessing
import os
from pathlib import Path

import pytest

from leaderd.hookenv import hook_environment, next_sequence


def environment(**changes):
    words = {
        "action": "stop", "election": "db", "node": "a", "token": 2**40 + 5, "lease": 0x694D8A0F,
        "reason": "shutdown", "previous": "b", "timeout": 1.5, "sequence": 12, "base": {},
    }
    return hook_environment(**{**words, **changes})


def test_the_words_of_the_contract_are_all_there_and_nothing_else():
    assert environment() == {
        "LEADERD_ACTION": "stop",
        "LEADERD_ELECTION": "db",
        "LEADERD_NODE": "a",
        "LEADERD_TOKEN": "1099511627781",
        "LEADERD_LEASE": "694d8a0f",
        "LEADERD_REASON": "shutdown",
        "LEADERD_PREVIOUS": "b",
        "LEADERD_TIMEOUT": "1.5",
        "LEADERD_SEQUENCE": "12",
    }


def test_the_daemons_own_settings_are_not_passed_on():
    base = {
        "PATH": "/bin", "LEADERD_USER": "root", "LEADERD_PASSWORD_FILE": "/secret",
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python", "LEADERD": "mine", "TZ": "UTC",
    }
    got = environment(base=base)
    assert {name: got[name] for name in got if name not in environment()} == {
        "PATH": "/bin", "LEADERD": "mine", "TZ": "UTC"
    }


def test_the_process_environment_is_the_base_when_none_is_given(monkeypatch):
    monkeypatch.setenv("SOMETHING", "else")
    monkeypatch.setenv("LEADERD_NODE", "another")
    got = environment(base=None)
    assert (got["SOMETHING"], got["LEADERD_NODE"]) == ("else", "a")


@pytest.mark.parametrize(
    ("timeout", "text"), [(30.0, "30"), (0.25, "0.25"), (100.0, "100"), (1 / 3, "0.333"), (0.0, "0")]
)
def test_seconds_are_plain_decimal_numbers(timeout, text):
    assert environment(timeout=timeout)["LEADERD_TIMEOUT"] == text


def test_without_a_term_token_and_lease_are_zero():
    got = environment(token=0, lease=0)
    assert (got["LEADERD_TOKEN"], got["LEADERD_LEASE"]) == ("0", "0")


def test_the_sequence_grows_by_one_and_survives(tmp_path):
    assert [next_sequence(tmp_path) for _ in range(3)] == [1, 2, 3]
    assert next_sequence(str(tmp_path)) == 4


def _count(directory: Path, rounds: int, results: "multiprocessing.Queue[list[int]]") -> None:
    results.put([next_sequence(directory) for _ in range(rounds)])


def test_agent_and_guard_never_get_the_same_number(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    workers = [spawn.Process(target=_count, args=(tmp_path, 200, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    numbers = [number for _ in workers for number in results.get(timeout=60)]
    for worker in workers:
        worker.join(60)
    counted = [number for number in numbers if number]
    assert len(set(counted)) == len(counted)
    assert len(counted) > 300  # 0 stands for a lock that was not to be had in time


def test_a_held_lock_gives_zero_instead_of_a_wait(tmp_path):
    next_sequence(tmp_path)
    with open(tmp_path / "sequence", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert next_sequence(tmp_path) == 0
    assert next_sequence(tmp_path) == 2


def test_a_directory_that_is_not_there_gives_zero(tmp_path):
    assert next_sequence(tmp_path / "nowhere") == 0


@pytest.mark.parametrize("content", [b"", b"garbage" * 9, b"\0" * 20, b"-5"])
def test_a_damaged_file_does_not_keep_a_hook_from_running(tmp_path, content):
    (tmp_path / "sequence").write_bytes(content)
    assert [next_sequence(tmp_path) for _ in range(3)] == [1, 2, 3]


def test_the_file_is_for_the_daemon_alone(tmp_path):
    next_sequence(tmp_path)
    assert os.stat(tmp_path / "sequence").st_mode & 0o077 == 0
