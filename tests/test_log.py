"""The log: what a line looks like, and that a reader who stalls or leaves stops nobody."""

import fcntl
import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from leaderd import log


def lines(fmt: str, level: str = "info") -> tuple[io.StringIO, object]:
    stream = io.StringIO()
    log.configure(fmt, level, stream)
    return stream, log.get_logger(node="a")


def test_json_begins_with_time_level_and_event() -> None:
    """Then what was bound, then what was given, in that order."""
    stream, logger = lines("json")
    logger.info("leads", token=7, detail="x\ny")
    log.flush()
    fields = json.loads(stream.getvalue())
    assert list(fields) == ["time", "level", "event", "node", "token", "detail"]
    assert (fields["level"], fields["event"], fields["token"]) == ("info", "leads", 7)
    assert fields["time"].endswith("Z")


def test_text_is_one_printable_line() -> None:
    """Hooks write escapes and line ends; a terminal must not obey them."""
    stream, logger = lines("text")
    logger.warning("hook\x1b[2J said\nso", line="a b\x07", empty="", plain="x")
    log.flush()
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()
    assert "node=a" in line
    assert 'line="a b\\u0007" empty="" plain=x' in line


def test_the_level_is_kept() -> None:
    """Nothing below it is written."""
    stream, logger = lines("json", "warning")
    logger.info("no")
    logger.error("yes")
    log.flush()
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["yes"]


def test_an_exception_is_part_of_its_line() -> None:
    """Not a traceback of many lines between the others."""
    stream, logger = lines("json")
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("failed")
    log.flush()
    assert "ValueError: boom" in json.loads(stream.getvalue())["exception"]


def test_a_reader_that_stalls_delays_nobody_for_long_and_the_loss_is_told() -> None:
    """A full pipe: lines are dropped and counted, the rest arrives when it is read again."""
    read_end, write_end = os.pipe()
    stream = os.fdopen(write_end, "w")
    log.configure("json", "info", stream)
    logger = log.get_logger()
    began = time.monotonic()
    for number in range(10_000):
        logger.info("line", number=number)
    assert time.monotonic() - began < 10
    got: list[dict[str, object]] = []

    def drain() -> None:
        with os.fdopen(read_end) as reader:
            got.extend(json.loads(line) for line in reader)

    reader = threading.Thread(target=drain)
    reader.start()
    log.flush(30)
    logger.info("last")
    log.flush(30)
    stream.close()
    reader.join(30)
    dropped = sum(int(str(line["count"])) for line in got if line["event"] == "log lines dropped")
    numbers = [line["number"] for line in got if line["event"] == "line"]
    assert dropped > 0
    assert len(numbers) + dropped == 10_000
    assert numbers == sorted(numbers, key=int)  # type: ignore[arg-type]
    assert got[-1]["event"] == "last"


def test_a_reader_that_is_slow_costs_one_wait_and_not_one_with_every_line() -> None:
    """Room for a line now and then is no reason to wait for more: renewals stand behind it."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    enough = threading.Event()

    def read_slowly() -> None:
        while not enough.wait(0.05) and os.read(read_end, 500):
            pass
        os.close(read_end)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    log.configure("json", "info", os.fdopen(write_end, "w"))
    logger = log.get_logger()
    waits = 0
    for number in range(3800):
        began = time.monotonic()
        logger.info("line", number=number)
        waits += time.monotonic() - began > 0.03
        if number > 2500:
            time.sleep(0.002)
    enough.set()
    reader.join(30)
    assert waits <= 5


def test_a_reader_that_leaves_stops_nobody(tmp_path: Path) -> None:
    """The service manager's log daemon is restarted: the process lives on and ends as it wants."""
    script = (
        "from leaderd import log; log.configure('json', 'info'); logger = log.get_logger()\n"
        "for _ in range(5000): logger.info('x' * 100)\n"
        "log.flush(); raise SystemExit(7)\n"
    )
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run([sys.executable, "-c", script], stderr=write_end, check=False, timeout=60)
    os.close(write_end)
    assert result.returncode == 7


def test_a_forked_child_logs_too(capfd: pytest.CaptureFixture[str]) -> None:
    """Threads do not survive a fork; the child starts its own."""
    script = (
        "import os; from leaderd import log; log.configure('json', 'info'); logger = log.get_logger()\n"
        "logger.info('parent'); log.flush(); pid = os.fork()\n"
        "if pid == 0: logger.info('child'); log.flush(); os._exit(0)\n"
        "os.waitpid(pid, 0)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    events = [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]
    assert events == ["parent", "child"]


def test_format_and_level_change_under_loggers_that_exist() -> None:
    """A reload reaches whoever has a logger already."""
    stream, logger = lines("json", "warning")
    logger.info("no")
    log.change("text", "debug")
    logger.debug("yes")
    log.change("json", "error")
    logger.warning("no")
    logger.error("yes again")
    log.flush()
    first, second = stream.getvalue().splitlines()
    assert "debug   yes node=a" in first
    assert json.loads(second)["event"] == "yes again"
