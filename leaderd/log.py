"""The log: one line per event on standard error, JSON or text, and never a reason to stand still.

Lines go through a bounded queue to a thread: a reader that stalls (a full pipe, a stopped terminal)
must not keep the agent from renewing its lease. Lines that find no room are counted and the count
is logged as soon as there is room again.
"""

import atexit
import contextlib
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_CAPACITY = 2000
# A flood is slowed down to the writer's pace for at most this long before lines are dropped, in seconds.
# Once in a flood: a reader that is slow but alive would else hold up the agent with every line.
_PATIENCE = 0.2
_COLOURS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m"}

_flush: Callable[[float], None] = lambda _timeout: None
_change: Callable[[str, str], None] = lambda _fmt, _level: None


def configure(fmt: str, level: str, stream: TextIO | None = None) -> None:
    """Send the log of this process to `stream`, standard error when None.

    Args:
        fmt: "json" for one object a line with time, level, event first; "text" the same for people.
        level: The least level that is written: debug, info, warning or error.
        stream: Where to.
    """
    global _flush, _change
    target = sys.stderr if stream is None else stream
    style = _Style(fmt, level, target)
    writer = _Writer(target, lambda count: style.render(
        {"time": _now(), "level": "warning", "event": "log lines dropped", "count": count}
    ))
    _flush, _change = writer.flush, style.change
    atexit.register(flush)
    structlog.configure(
        processors=[
            style.only_wanted,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _stamp,
            lambda _logger, _method, fields: style.render(dict(fields)),
        ],
        # Loggers outlive a change of the level, so none may have it built in.
        wrapper_class=structlog.make_filtering_bound_logger(min(_LEVELS.values())),
        logger_factory=lambda *_args: writer,
        cache_logger_on_first_use=False,
    )


def change(fmt: str, level: str) -> None:
    """Write another format, or from another level on, from now on; for loggers that exist as well."""
    _change(fmt, level)


def flush(timeout: float = 2.0) -> None:
    """Wait up to `timeout` seconds until all lines so far are written; for the end of a process."""
    _flush(timeout)


def get_logger(**fields: Any) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose lines all carry these fields."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger.bind(**fields)


class _Style:
    """How lines look and which are written."""

    def __init__(self, fmt: str, level: str, target: TextIO) -> None:
        self._target = target
        self.change(fmt, level)

    def change(self, fmt: str, level: str) -> None:
        self.render = _json if fmt == "json" else _text_renderer(colour=self._target.isatty())
        self._least = _LEVELS[level]

    def only_wanted(
        self, _logger: object, method: str, fields: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        if _LEVELS.get(method, max(_LEVELS.values())) < self._least:
            raise structlog.DropEvent
        return fields


def _now() -> str:
    # Wall time is for people; the only place of the log that knows it.
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stamp(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> dict[str, Any]:
    return {"time": _now(), "level": fields.pop("level"), "event": fields.pop("event"), **fields}


def _json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, default=str)


def _text_renderer(*, colour: bool) -> Callable[[dict[str, Any]], str]:
    def render(fields: dict[str, Any]) -> str:
        rest = dict(fields)
        time, level, event = rest.pop("time"), rest.pop("level"), rest.pop("event")
        head = f"{time} {level:<7} {_plain(str(event))}"
        if colour and level in _COLOURS:
            head = f"{_COLOURS[level]}{head}\x1b[0m"
        return " ".join([head, *(f"{key}={_value(value)}" for key, value in rest.items())])

    return render


def _plain(text: str) -> str:
    """Return the text without what would move a terminal's cursor: hooks write what they like."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _value(value: object) -> str:
    text = str(value)
    if text and text.isprintable() and not any(char in ' "=' for char in text):
        return text
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else json.dumps(text)


class _Writer:
    """What structlog hands each finished line to."""

    def __init__(self, stream: TextIO, dropped_line: Callable[[int], str]) -> None:
        self._stream = stream
        self._dropped_line = dropped_line
        self._lines: queue.Queue[str] = queue.Queue(_CAPACITY)
        self._dropped = 0
        self._flooded = False
        self._pid = 0

    def msg(self, line: str) -> None:
        """Take one line; blocks for a moment at most."""
        if self._pid != os.getpid():  # the first line, or a forked child: threads do not survive a fork
            self._start()
        self._flooded = self._flooded and not self._lines.empty()
        try:
            if self._dropped:
                self._lines.put_nowait(self._dropped_line(self._dropped))
                self._dropped = 0
            self._lines.put(line, timeout=0 if self._flooded else _PATIENCE)
        except queue.Full:
            self._flooded = True
            self._dropped += 1

    debug = info = warning = warn = error = critical = fatal = exception = log = msg

    def flush(self, timeout: float) -> None:
        """Wait up to `timeout` seconds until everything is written."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, timeout)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lines = queue.Queue(_CAPACITY)
        threading.Thread(target=self._write, args=(self._lines,), name="log", daemon=True).start()

    def _write(self, lines: queue.Queue[str]) -> None:
        while True:
            line = lines.get()
            # A log that nobody reads any more (closed pipe, full disk) is no reason to stop.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(line + "\n")
                self._stream.flush()
            lines.task_done()
