"""The guard's log says what happened, and never makes the guard wait."""

import json
import os
import socket

import pytest

from leaderd.guard.log import Log


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def made(log):
    """Close what a log has opened when the test is over."""
    for fd in log.files - {2}:
        os.close(fd)


def test_json_lines_carry_time_level_event_and_fields(pipe):
    """In this order, one object a line."""
    log = Log("json", "info", pipe[1])
    log.info("agent started", pid=7, detail='say "ü"')
    line = json.loads(os.read(pipe[0], 4096))
    assert list(line) == ["time", "level", "event", "pid", "detail"]
    assert line["detail"] == 'say "ü"'
    assert line["time"].endswith("Z")
    made(log)


def test_text_lines_are_for_people(pipe):
    """What needs quotes gets them; control characters do not reach the terminal."""
    log = Log("text", "info", pipe[1])
    log.error("stop failed", resource="a", detail="exit 1", line="\x1b[2J")
    text = os.read(pipe[0], 4096).decode()
    assert text.endswith('error   stop failed resource=a detail="exit 1" line="\\u001b[2J"\n')
    made(log)


def test_what_is_below_the_level_is_not_written(pipe):
    """Debug is silent at info."""
    log = Log("json", "info", pipe[1])
    log.debug("x")
    log.info("y")
    assert json.loads(os.read(pipe[0], 4096))["event"] == "y"
    made(log)


def test_a_long_line_stays_one_readable_object(pipe):
    """Cut, not broken."""
    log = Log("json", "info", pipe[1])
    log.info("hook output", line="\x00" * 10000, resource="r")
    line = os.read(pipe[0], 8192)
    assert len(line) <= 4096
    assert json.loads(line)["resource"] == "r"
    made(log)


def test_a_stalled_reader_costs_lines_not_time(pipe):
    """What was lost is counted as soon as somebody reads again."""
    log = Log("json", "info", pipe[1])
    for number in range(5000):
        log.info("line", number=number)
    assert os.get_blocking(pipe[1])  # others share this file: it must stay as it was
    text = b""
    while len(text) < 40000:
        text += os.read(pipe[0], 65536)
    log.info("after")
    last = [json.loads(line) for line in os.read(pipe[0], 65536).splitlines()]
    dropped = next(line for line in last if line["event"] == "log lines dropped")
    written = text.count(b"\n") + sum(line["event"] == "line" for line in last)
    assert dropped["count"] + written == 5000
    made(log)


def test_a_socket_is_not_waited_for_either():
    """Systemd gives services a socket for standard error."""
    ours, theirs = socket.socketpair()
    log = Log("json", "info", theirs.fileno())
    for _ in range(5000):
        log.info("line", text="x" * 500)
    assert theirs.getblocking()
    assert ours.recv(100).startswith(b'{"time"')
    for fd in log.files - {theirs.fileno()}:
        os.close(fd)
    log._socket.detach()
    ours.close()
    theirs.close()


def test_a_regular_file_is_shared_with_its_other_writers(tmp_path):
    """Lines of guard and agent follow one another in one file."""
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    log = Log("json", "info", fd)
    log.info("one")
    os.write(fd, b"two\n")
    log.info("three")
    os.close(fd)
    one, two, three = (tmp_path / "log").read_text().splitlines()
    assert json.loads(one)["event"] == "one"
    assert two == "two"
    assert json.loads(three)["event"] == "three"
