"""The guard's own log on standard error: the same lines as the agent's, and never a wait.

The agent's log uses structlog and a thread; the guard has neither. Where standard error is a pipe, a
terminal or a socket whose reader stalls, lines are dropped and counted, since the guard must not stand still.
"""

import json
import os
import socket
import stat
import time

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# A write of up to PIPE_BUF bytes to a pipe is done whole or not at all: pipe(7).
_LONGEST = 4096
# Fields of a line that would be longer are cut to so many characters; escaped they may take six times that.
_SHORT = 100


class Log:
    """Writes one line per event.

    Args:
        fmt: "json" or "text".
        level: The least level that is written.
        fd: Where to.
    """

    def __init__(self, fmt: str, level: str, fd: int = 2) -> None:
        self.change(fmt, level)
        self._dropped = 0
        self._socket: socket.socket | None = None
        self.fd = _own(fd)
        if stat.S_ISSOCK(os.fstat(self.fd).st_mode):
            self._socket = socket.socket(fileno=os.dup(self.fd))

    def change(self, fmt: str, level: str) -> None:
        """Write another format, or from another level on, from now on."""
        self._json = fmt == "json"
        self._least = _LEVELS.get(level, 20)

    @property
    def files(self) -> set[int]:
        """Descriptors that a forked worker must keep to go on logging."""
        return {self.fd} if self._socket is None else {self.fd, self._socket.fileno()}

    def debug(self, event: str, **fields: object) -> None:
        """Write what matters to developers only."""
        self.write("debug", event, **fields)

    def info(self, event: str, **fields: object) -> None:
        """Write what happened."""
        self.write("info", event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Write what somebody should look at."""
        self.write("warning", event, **fields)

    def error(self, event: str, **fields: object) -> None:
        """Write what somebody must look at."""
        self.write("error", event, **fields)

    def write(self, level: str, event: str, **fields: object) -> None:
        """Write one line, or drop it when there is no room for it now."""
        if _LEVELS.get(level, 20) < self._least:
            return
        if self._dropped and self._put("warning", "log lines dropped", {"count": self._dropped}):
            self._dropped = 0
        if not self._put(level, event, fields):
            self._dropped += 1

    def _put(self, level: str, event: str, fields: dict[str, object]) -> bool:
        line = self._line(level, event, fields)
        if len(line) > _LONGEST:
            line = self._line(level, event, {name: str(value)[:_SHORT] for name, value in fields.items()})
        try:
            if self._socket is not None:
                self._socket.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            else:
                os.write(self.fd, line)
        except OSError:
            return False
        return True

    def _line(self, level: str, event: str, fields: dict[str, object]) -> bytes:
        return self._render(level, event, fields).encode(errors="replace") + b"\n"

    def _render(self, level: str, event: str, fields: dict[str, object]) -> str:
        # Wall time is for people only; no decision looks at it.
        now = time.clock_gettime(time.CLOCK_REALTIME)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        if self._json:
            return json.dumps({"time": moment, "level": level, "event": event, **fields}, default=str)
        rest = "".join(f" {name}={_value(value)}" for name, value in fields.items())
        return f"{moment} {level:<7} {event}{rest}"


def _own(fd: int) -> int:
    """Return a descriptor that never blocks, without changing the one that others share.

    `O_NONBLOCK` belongs to the open file, which agent and service manager have too; a pipe or terminal can be
    opened anew. A regular file does not block, and anew would have an offset of its own.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        try:
            return os.open(f"/proc/self/fd/{fd}", flags)
        except OSError:
            return fd
    return fd


def _value(value: object) -> str:
    text = str(value)
    if text and text.isprintable() and not any(char in ' "=' for char in text):
        return text
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else json.dumps(text)
