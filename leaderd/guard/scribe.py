"""The scribe: a child of the guard that lives as long as the guard does and writes the journal.

A write takes half a millisecond and stands between the takeover and the first start; the fork of a worker
for it takes several. The scribe has one page in hand at a time. While a disk keeps it there, other
elections' pages are written by workers (see `worker`), as they are where there is no scribe.

    guard → scribe: <path> NUL <text>, one packet
    scribe → guard: "+" once it is on disk, "-" and why where it cannot be
"""

import os
import signal
import socket
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from leaderd.guard import kernel
from leaderd.guard.fork import fork
from leaderd.guard.log import Log
from leaderd.guard.wire import MAX_PACKET
from leaderd.slots import SlotFile

# A page holds a message of the agent's and little more; what is longer is left to a worker.
_LONGEST = 2 * MAX_PACKET
_WRITTEN, _FAILED = b"+", b"-"
_LONGEST_ANSWER = 4096


@dataclass(frozen=True, slots=True)
class Page:
    """What is to stand in one file of the journal.

    Attributes:
        path: Of the file.
        text: All of it.
    """

    path: str
    text: str

    def write(self) -> None:
        """Put it on disk; when this returns it survives a power failure.

        Raises:
            OSError: It may not be written.
        """
        SlotFile(self.path).write(self.text)


class Scribe:
    """The guard's side of it. Never waits, neither for the disk nor for the process.

    Args:
        log: Where a write that fails is reported.
        keep: Descriptors that the process keeps open; see `fork`.

    Attributes:
        pid: Of the process; 0 while there is none.
    """

    def __init__(self, log: Log, keep: Collection[int]) -> None:
        self._log = log
        self._keep = set(keep)
        self._link: socket.socket | None = None
        self._busy = False
        self.pid = 0

    @property
    def link(self) -> socket.socket | None:
        """What is readable once there is an answer; None while there is no process."""
        return self._link

    def begin(self) -> None:
        """Start the process, if there is none.

        Raises:
            OSError: There is none to be had.
        """
        if self.pid:
            return
        guard, (ours, theirs) = os.getpid(), socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST)
            ours.setblocking(False)
            keep = {*self._keep, theirs.fileno()}
            self.pid = fork(lambda: _serve(theirs, guard), self._log, keep)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._link = ours

    def take(self, page: Page) -> bool:
        """Have a page written; return False when somebody else must do it.

        Raises:
            OSError: There is no process to be had.
        """
        if self._busy:
            return False
        self.begin()
        packet = f"{page.path}\0{page.text}".encode()
        if self._link is None or len(packet) > _LONGEST:
            return False
        try:
            self._link.send(packet)
        except OSError:
            # Too long for the kernel, or it has just died.
            return False
        self._busy = True
        return True

    def answer(self) -> bool | None:
        """Return whether the page in hand is on disk; None while that is not known, or there is none."""
        if self._link is None or not self._busy:
            return None
        try:
            answer = self._link.recv(_LONGEST_ANSWER)
        except OSError:
            return None
        if not answer:
            return None  # It has died, which counts once it is reaped.
        self._busy = False
        if answer != _WRITTEN:
            self._log.error("worker failed", detail=answer[1:].decode(errors="replace"))
        return answer == _WRITTEN

    def buried(self) -> bool | None:
        """Note its death; return the last answer, None where a page in hand was not answered for."""
        written = self.answer()
        if self._link is not None:
            self._link.close()
        self._link, self._busy, self.pid = None, False, 0
        return written

    def end(self) -> None:
        """End the process, which has nothing in hand: it must not outlive the guard's lock."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.buried()


def _serve(link: socket.socket, guard: int) -> None:
    """Write pages until the guard is gone."""
    kernel.signal_with_parent(signal.SIGKILL)
    if os.getppid() != guard:
        return
    kernel.set_name("leaderd-scribe")
    while packet := link.recv(_LONGEST):
        path, _, text = packet.decode().partition("\0")
        answer = _WRITTEN
        try:
            Page(path, text).write()
        except OSError as error:
            answer = (_FAILED + str(error).encode(errors="replace"))[:_LONGEST_ANSWER]
        with suppress(OSError):
            link.send(answer)
