"""The output of a hook, line by line into the log, with bounds on everything."""

import asyncio
import os
from collections.abc import Callable

from leaderd.clock import Clock

# Longer lines are cut; journald's own limit is 48 KiB, and people read these.
LINE_LIMIT = 4096
# Lines that go to the log in one window of so many seconds; the rest is counted.
WINDOW = 10.0
WINDOW_LINES = 1000
CHUNK = 65536
# What a hook wrote before it ended stands in the pipe, which holds at most this much.
PIPE_LIMIT = 1 << 20


class Output:
    """Reads one pipe until its last writer has closed it, which may be a daemon much later.

    Args:
        file: Descriptor to read, made non-blocking; closed here.
        clock: For the windows.
        tell: Called with each line.
        left_out: Called with the number of lines and bytes that a flood made us leave out.

    Attributes:
        last: The last line with anything in it.
    """

    def __init__(
        self, file: int, clock: Clock, tell: Callable[[str], None], left_out: Callable[[int, int], None]
    ) -> None:
        self._file = file
        self._clock = clock
        self._tell = tell
        self._left_out = left_out
        self.last = ""
        self._line = bytearray()
        self._cut = 0
        self._torn = False
        self._allowance = WINDOW_LINES
        self._window_at = clock.now()
        self._lost_lines = self._lost_bytes = 0
        self._open = True
        os.set_blocking(file, False)
        asyncio.get_running_loop().add_reader(file, self._read)

    def drain(self) -> None:
        """Read what is in the pipe now: all that a hook which has ended can have written."""
        budget = PIPE_LIMIT
        while self._open and budget > 0 and (got := self._read()):
            budget -= got
        if self._line:
            self._end_line()
        self._report()

    def close(self) -> None:
        """Stop reading; whoever still writes gets SIGPIPE."""
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._file)
            os.close(self._file)
            self._report()

    def _read(self) -> int:
        try:
            data = os.read(self._file, CHUNK)
        except BlockingIOError:
            return 0
        if not data:
            if self._line:
                self._end_line()
            self.close()
        self._feed(data)
        return len(data)

    def _feed(self, data: bytes) -> None:
        now = self._clock.now()
        if now.held_since(self._window_at) >= WINDOW:
            self._window_at, self._allowance = now, WINDOW_LINES
            self._report()
        while data and self._allowance:
            piece, newline, data = data.partition(b"\n")
            self._append(piece)
            if newline:
                self._end_line()
        if data:
            self._skip(data)

    def _append(self, piece: bytes) -> None:
        room = LINE_LIMIT - len(self._line)
        self._line += piece[:room]
        self._cut += max(0, len(piece) - room)

    def _end_line(self) -> None:
        if self._torn:
            # The beginning of this line was left out, so its end would only mislead.
            self._torn = False
            self._lost_bytes += len(self._line) + self._cut + 1
        else:
            self._allowance -= 1
            more = f" … ({self._cut} bytes more)" if self._cut else ""
            text = readable(bytes(self._line)) + more
            self.last = text.strip() or self.last
            self._tell(text)
        self._line.clear()
        self._cut = 0

    def _skip(self, data: bytes) -> None:
        # Counting is all that a flood gets: it must not keep the agent from its work.
        self._lost_lines += data.count(b"\n")
        self._lost_bytes += len(data)
        self._torn = not data.endswith(b"\n")

    def _report(self) -> None:
        if self._lost_bytes:
            self._left_out(self._lost_lines, self._lost_bytes)
            self._lost_lines = self._lost_bytes = 0


def readable(line: bytes) -> str:
    """Return a line as text that cannot move a terminal's cursor or fake another log line."""
    text = line.rstrip(b"\r").decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        sign if sign == "\t" or sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in text
    )
