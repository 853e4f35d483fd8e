"""Runs one hook from a worker: bounded in time, output and what it leaves behind.

Source: docs/interfaces.md §3.
"""

import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from leaderd.clock import Clock
from leaderd.guard import children
from leaderd.instant import Instant

# From SIGTERM to SIGKILL, seconds. Short: the time-out itself was the hook's chance to end by itself.
_TERM_GRACE = 0.1
_SLICE = 0.1
# Output beyond these is read and thrown away, characters of a line and lines of a run.
_LONGEST_LINE = 1000
_MOST_LINES = 500
_CHUNK = 65536
# How many chunks may still be read once the command has ended; a grandchild may write for ever.
_LAST_CHUNKS = 16

# What Python ignores or we do must be as the command expects it.
_DEFAULT_SIGNALS = [
    signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD,
]


def run_command(
    argv: Sequence[str],
    env: Mapping[str, str],
    until: Instant,
    clock: Clock,
    on_line: Callable[[str], None],
) -> int | str:
    """Run a command until it ends, or `until` has come and it is killed with its descendants.

    Call it from a worker only: it takes every child of this process for the command's.

    Args:
        argv: Program and arguments, without a shell.
        env: Its whole environment.
        until: When its time is over.
        clock: Read after every wait.
        on_line: Gets its output line by line.

    Returns:
        The exit code (128 + n for signal n), or why there is none, in words.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        pid = _spawn(argv, env, writing)
    except OSError as error:
        os.close(reading)
        return f"cannot run {argv[0]}: {error.strerror}"
    finally:
        os.close(writing)
    output = _Output(reading, on_line)
    try:
        ended = _wait(pid, output, until, clock)
        if not ended:
            _put_down(pid, output, clock)
        output.finish()
    finally:
        os.close(reading)
    _, status = os.waitpid(pid, 0)
    if not ended:
        return "timed out"
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _spawn(argv: Sequence[str], env: Mapping[str, str], output: int) -> int:
    return os.posix_spawnp(
        argv[0], list(argv), dict(env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setpgroup=0, setsigmask=[], setsigdef=_DEFAULT_SIGNALS,
    )


def _wait(pid: int, output: "_Output", until: Instant, clock: Clock) -> bool:
    """Pass output on until the command has ended; return False when its time is over."""
    poll = select.poll()
    ending = os.pidfd_open(pid)
    try:
        poll.register(ending, select.POLLIN)
        poll.register(output.fd, select.POLLIN)
        while (left := clock.now().left_until(until)) > 0:
            for fd, _ in poll.poll(max(1, int(min(left, _SLICE) * 1000))):
                if fd == ending:
                    return True
                if not output.read():
                    poll.unregister(output.fd)
        return bool(poll.poll(0)) and _has_ended(pid)
    finally:
        os.close(ending)


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _put_down(pid: int, output: "_Output", clock: Clock) -> None:
    with suppress(OSError):
        os.killpg(pid, signal.SIGTERM)
    _wait(pid, output, clock.now().plus(_TERM_GRACE), clock)
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    # A child that changed its group is still below this process, which adopts orphans.
    for _ in range(100):
        if not (left := children.running(children.descendants(os.getpid()))):
            return
        children.kill(left)
        select.select([], [], [], 0.002)


class _Output:
    """Cuts what a command writes into lines."""

    def __init__(self, fd: int, on_line: Callable[[str], None]) -> None:
        self.fd = fd
        self._on_line = on_line
        self._rest = b""
        self._lines = 0

    def read(self) -> bool:
        """Read once; return False at the end."""
        chunk = os.read(self.fd, _CHUNK)
        *lines, rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._pass_on(line)
        self._rest = rest[: _LONGEST_LINE * 4]
        return bool(chunk)

    def finish(self) -> None:
        """Read what is there without waiting, and end the last line."""
        os.set_blocking(self.fd, False)
        with suppress(BlockingIOError):
            for _ in range(_LAST_CHUNKS):
                if not self.read():
                    break
        if self._rest:
            self._pass_on(self._rest)
        if self._lines > _MOST_LINES:
            self._on_line(f"… {self._lines - _MOST_LINES} more lines left out")

    def _pass_on(self, line: bytes) -> None:
        self._lines += 1
        if self._lines <= _MOST_LINES:
            self._on_line(line.decode(errors="replace").rstrip("\r")[:_LONGEST_LINE])
