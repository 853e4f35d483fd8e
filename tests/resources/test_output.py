"""Output of hooks: every line, none too long, none too many, and never much memory."""

import asyncio
import os

import pytest

from leaderd.clock import Clock
from leaderd.core.events import ResourcesStarted
from leaderd.instant import Instant
from leaderd.resources.output import LINE_LIMIT, WINDOW, WINDOW_LINES, Output, readable
from tests.resources.conftest import TOKEN, script


class HandClock(Clock):
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> Instant:
        return Instant(self.at, self.at)


class Tap:
    """One pipe read by an `Output`."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.lines: list[str] = []
        self.left_out: list[tuple[int, int]] = []
        self.file, self.write = os.pipe()
        self.output = Output(
            self.file, self.clock, self.lines.append, lambda lines, size: self.left_out.append((lines, size))
        )

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.output._feed(piece)

    def end(self) -> None:
        os.close(self.write)
        self.output.drain()


@pytest.fixture
async def tap():
    tap = Tap()
    yield tap
    tap.output.close()


async def test_lines_come_whole_however_they_arrive(tap):
    tap.feed(b"on", b"e\ntw", b"o\n\nfour\n")
    assert tap.lines == ["one", "two", "", "four"]


async def test_a_last_line_without_its_end_comes_too(tap):
    os.write(tap.write, b"one\ntwo")
    tap.end()
    assert tap.lines == ["one", "two"]
    assert tap.left_out == []


async def test_the_pipe_is_closed_when_its_last_writer_has_closed_it(tap):
    tap.end()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(tap.file)


async def test_a_long_line_is_cut_and_says_by_how_much(tap):
    tap.feed(b"x" * 3000, b"y" * 3000, b"z" * 1_000_000, b"\nnext\n")
    assert tap.lines[0].startswith("x" * 3000 + "y" * (LINE_LIMIT - 3000) + " … (")
    assert tap.lines[0].endswith(f" … ({1_006_000 - LINE_LIMIT} bytes more)")
    assert tap.lines[1] == "next"


async def test_a_flood_is_counted_and_reported_once_per_window(tap):
    tap.feed(b"y\n" * (WINDOW_LINES + 500))
    tap.feed(b"y\n" * 250)
    assert len(tap.lines) == WINDOW_LINES
    assert tap.left_out == []
    tap.clock.at = WINDOW
    tap.feed(b"again\n")
    assert tap.left_out == [(750, 1500)]
    assert tap.lines[-1] == "again"


async def test_a_line_that_was_begun_in_a_flood_is_not_shown_by_its_end(tap):
    tap.feed(b"y\n" * WINDOW_LINES, b"begun and ")
    tap.clock.at = WINDOW
    tap.feed(b"ended\nwhole\n")
    assert tap.lines[-1] == "whole"
    assert sum(size for _, size in tap.left_out) == len("begun and ")


async def test_the_end_reports_what_was_left_out(tap):
    tap.feed(b"y\n" * (WINDOW_LINES + 1))
    tap.end()
    assert tap.left_out == [(1, 2)]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"plain", "plain"),
        ("grüße €".encode(), "grüße €"),
        (b"tab\there", "tab\there"),
        (b"windows\r", "windows"),
        (b"bad \xff\xfe", "bad \\xff\\xfe"),
        (b"\x1b[2Jcleared", "\\x1b[2Jcleared"),
        (b"bell\x07 null\x00", "bell\\x07 null\\x00"),
        ("line\u2028separator".encode(), "line\\u2028separator"),
    ],
)
def test_no_line_can_move_a_cursor_or_fake_another_line(line, text):
    assert readable(line) == text


def resident() -> int:
    """Kilobytes of memory of this process."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


@pytest.mark.parametrize(
    "flood",
    ["yes | head -c 1G", "yes 'a line of forty characters, just so' | head -c 1G", "head -c 1G /dev/zero"],
    ids=["tiny lines", "lines", "one enormous line"],
)
async def test_a_gigabyte_of_output_leaves_memory_flat(rig, flood):
    rig.build(script("x", rig.script("hook", f'[ "$1" != start ] || {flood}')), start_timeout=100.0)
    await rig.stop()
    before = resident()
    most = before
    rig.begin_start()
    while rig.events.empty():
        await asyncio.sleep(0.02)
        most = max(most, resident())
    assert await rig.event() == ResourcesStarted(TOKEN)
    print(f"memory grew by {most - before} KiB while {flood!r} ran")
    assert most - before < 8 * 1024
    left_out = sum(fields["bytes"] for _, event, fields in rig.lines if event == "hook output left out")
    shown = sum(len(line) for line in rig.output())
    assert len(rig.output()) <= WINDOW_LINES * 12
    assert left_out > 1_000_000_000 or shown > LINE_LIMIT
