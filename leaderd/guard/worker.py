"""Forked workers: whatever may take time (fsync, hooks, HTTP) happens in a child, never in the guard's loop.

A worker runs one job, writes its result as JSON into a pipe and ends. It has ordinary priority, adopts
what its hooks leave behind, and is killed with all of it when its time is over. Jobs of one lane run
strictly one after the other: an election has one for its hooks, which never overlap, and one for its
journal, which never goes backwards. The journal's pages go to the lasting `scribe` whenever that is free.
"""

import fcntl
import json
import os
import select
import signal
import socket
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from leaderd.guard import children
from leaderd.guard.fork import fork
from leaderd.guard.log import Log
from leaderd.guard.scribe import Page, Scribe
from leaderd.instant import Instant

Result = dict[str, Any]
Job = Callable[[], Result]
Done = Callable[[Result | None], None]

# A worker ends its own work at its deadline; only one that did not by then is killed, seconds.
_GRACE = 0.25
# After SIGKILL, seconds.
_LAST_GRACE = 0.1

# What this process, a worker, has started aside and could not end.
_hanging: set[int] = set()


def aside(work: Callable[[], bytes], seconds: float) -> bytes:
    """Do in a child of this worker what may hang on a disk that does not answer, for so long at most.

    Returns:
        What `work` gave; nothing when it took longer, or when something has hung before.
    """
    if _hanging:
        return b""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, work())
        finally:
            os._exit(0)
    os.close(writing)
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    answer = os.read(reading, select.PIPE_BUF) if poll.poll(seconds * 1000) else b""
    os.close(reading)
    if answer:
        os.waitpid(pid, 0)
    else:
        # It may be a while before the kernel lets it die: the guard is told not to wait for it.
        os.kill(pid, signal.SIGKILL)
        _hanging.add(pid)
    return answer


@dataclass(slots=True)
class _Task:
    job: Job
    done: Done
    until: Instant | None
    page: Page | None = None
    pid: int = 0
    pipe: int = -1


class Workers:
    """All workers of the guard.

    Args:
        log: Where a job that raises is reported.
        keep: Descriptors that a worker keeps open, besides standard ones and the log's; see `fork`.
    """

    def __init__(self, log: Log, keep: Collection[int]) -> None:
        self._log = log
        self._keep = {0, 1, 2, *keep, *log.files}
        self._lanes: dict[str, deque[_Task]] = {}
        self._abandoned: set[int] = set()
        self._scribe = Scribe(log, self._keep)
        # The lane whose page the scribe has in hand.
        self._writing: deque[_Task] | None = None

    @property
    def pids(self) -> set[int]:
        """Process ids of all workers that run."""
        busy = {lane[0].pid for lane in self._lanes.values() if lane and lane[0].pid}
        return busy | self._abandoned | ({self._scribe.pid} if self._scribe.pid else set())

    @property
    def scribe(self) -> int:
        """Process id of the scribe; 0 while there is none."""
        return self._scribe.pid

    @property
    def answers(self) -> socket.socket | None:
        """What is readable once `heed` has something to do; None where that cannot be."""
        return self._scribe.link

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not any(self._lanes.values())

    def submit(self, lane: str, job: Job, done: Done, until: Instant | None = None) -> None:
        """Have a job done after all earlier ones of its lane.

        Args:
            lane: Its name.
            job: Run in the worker; what it returns must be JSON.
            done: Called in the guard with the result; None when the worker failed or was killed.
            until: When the worker is killed, a moment after; None lets it take its time.
        """
        self._queue(lane, _Task(job, done, until))

    def write(self, lane: str, page: Page, done: Done) -> None:
        """Have a page written after all earlier jobs of its lane; it may take its time.

        Args:
            lane: Its name.
            page: To be put on disk.
            done: Called in the guard when it is there; with None when the write failed.
        """

        def job() -> Result:
            page.write()
            return {}

        self._queue(lane, _Task(job, done, None, page))

    def begin(self) -> None:
        """Start the scribe before the first page comes; one that cannot be had now is tried again then."""
        with suppress(OSError):
            self._scribe.begin()

    def close(self) -> None:
        """End the scribe; nothing may be under way any more."""
        self._scribe.end()

    def heed(self) -> None:
        """Take note of what the scribe has done."""
        self._noted(self._scribe.answer())

    def _noted(self, written: bool | None) -> None:  # noqa: FBT001 - as the scribe says it
        if written is None or self._writing is None:
            return
        tasks, self._writing = self._writing, None
        task = tasks.popleft()
        self._start_next(tasks)
        task.done({} if written else None)

    def _queue(self, lane: str, task: _Task) -> None:
        tasks = self._lanes.setdefault(lane, deque())
        tasks.append(task)
        if len(tasks) == 1:
            self._start_next(tasks)

    def ended(self, pid: int) -> bool:
        """Take note of a dead child; return whether it was a worker."""
        if pid in self._abandoned:
            self._abandoned.remove(pid)
            return True
        if pid == self._scribe.pid:
            self._log.error("worker failed", detail="the scribe of the journal has died")
            self._noted(self._scribe.buried())
            if self._writing is not None:
                # With a page in hand: a worker writes it, as what kills one scribe may kill the next.
                tasks, self._writing = self._writing, None
                tasks[0].page = None
                self._start_next(tasks)
            return True
        for tasks in self._lanes.values():
            if tasks and tasks[0].pid == pid:
                task = tasks.popleft()
                answer = _read_answer(task.pipe)
                self._abandoned.update(answer["hanging"] if answer else ())
                self._start_next(tasks)
                task.done(answer and answer["result"])
                return True
        return False

    def kill_overdue(self, now: Instant) -> None:
        """Kill the workers whose time is over, and go on without one that even SIGKILL does not end.

        A worker that hangs in the kernel, on a disk that does not answer, must not hold up what
        comes after its failure.
        """
        for tasks in list(self._lanes.values()):
            if not tasks or tasks[0].until is None:
                continue
            late = -now.left_until(tasks[0].until)
            if late >= _GRACE + _LAST_GRACE:
                task = tasks.popleft()
                self._abandoned.add(task.pid)
                os.close(task.pipe)
                self._log.error("worker hangs", pid=task.pid)
                self._start_next(tasks)
                task.done(None)
            elif late >= _GRACE:
                children.kill_tree(tasks[0].pid)

    def _start_next(self, tasks: deque[_Task]) -> None:
        while tasks:
            try:
                self._start(tasks)
            except OSError as error:
                # No process to be had: a failed job, as the guard itself must go on.
                self._log.error("worker not started", detail=str(error))
                tasks.popleft().done(None)
            else:
                return

    def _start(self, tasks: deque[_Task]) -> None:
        task = tasks[0]
        if task.page is not None and self._scribe.take(task.page):
            self._writing = tasks
            return
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            task.pid = fork(lambda: _work(task.job, writing), self._log, {*self._keep, writing})
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        task.pipe = reading


def _work(job: Job, pipe: int) -> None:
    packet = json.dumps({"result": job(), "hanging": list(_hanging)}).encode()
    # The result is longer than a pipe holds only if something is wrong; then wait for the reader.
    fcntl.fcntl(pipe, fcntl.F_SETFL, 0)
    os.write(pipe, packet)


def _read_answer(pipe: int) -> dict[str, Any] | None:
    packet = b""
    with suppress(BlockingIOError):
        while part := os.read(pipe, 65536):
            packet += part
    os.close(pipe)
    try:
        answer: dict[str, Any] = json.loads(packet)
    except ValueError:
        return None
    return answer
