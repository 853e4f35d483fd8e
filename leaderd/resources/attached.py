"""The command of `leaderd exec`: a process that runs once, on the caller's own streams.

See `leaderd.foreground` for the other side and for the words of the link.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from leaderd.clock import Clock
from leaderd.core.lease import Lease
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources.base import StopCommand, Term
from leaderd.resources.process import Process
from leaderd.resources.waiting import done_by

_PACKET = 4096
# The agent's own descriptors are those that the caller has.
STREAMS = (0, 1, 2)


class Caller:
    """The process that called `leaderd exec`, as the agent sees it.

    Args:
        file: Descriptor of the agent's end of the link.
        on_signal: Called with each signal that the command is to get.
    """

    def __init__(self, file: int, on_signal: Callable[[int], None]) -> None:
        # Hooks and the command must not keep the link open.
        os.set_inheritable(file, False)
        self._socket = socket.socket(fileno=file)
        self._socket.setblocking(False)
        self._on_signal = on_signal
        self._answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._socket, self._receive)
        self.tell({"hello": os.getpid()})

    def ask(self) -> "asyncio.Future[bool]":
        """Ask whether the command may be run; to be asked once."""
        self.tell({"ask": os.getpid()})
        return self._answer

    def tell(self, message: dict[str, Any]) -> None:
        """Say something; a caller that is gone is the guard's business."""
        with suppress(OSError):
            self._socket.send(json.dumps(message).encode())

    def _receive(self) -> None:
        try:
            packet = self._socket.recv(_PACKET)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            asyncio.get_running_loop().remove_reader(self._socket)
            return
        message = json.loads(packet)
        # What was meant for an agent that has died is not for this one.
        if message["to"] != os.getpid():
            return
        if "signal" in message:
            self._on_signal(message["signal"])
        elif not self._answer.done():
            self._answer.set_result(message["go"])


class Attached:
    """The command as a resource; see `leaderd.resources.base.Resource`.

    Its end is no failure: the caller is told, and ends the daemon in order.

    Args:
        process: How it is run.
        link: Descriptor of the link to the caller.
        clock: For deadlines.
    """

    monitor_interval = 0.0
    restarts = 0

    def __init__(self, process: Process, link: int, clock: Clock) -> None:
        self.name = process.name
        self._process = process
        self._clock = clock
        self._early: list[int] = []
        self._asked = False
        self._caller = Caller(link, self._pass_on)

    @property
    def kind(self) -> str:
        """Return the kind of the process."""
        return self._process.kind

    async def start(self, term: Term, lease: Lease, timeout: float) -> None:
        """Run it, if it has not been run before."""
        deadline = self._clock.now().plus(timeout)
        if self._asked:
            raise ResourceError(f"{self.name}: was run already")
        self._asked = True
        answer = self._caller.ask()
        if not await done_by(self._clock, deadline, answer) or not answer.result():
            raise ResourceError(f"{self.name}: is not to be run any more")
        await self._process.start(term, lease, self._clock.now().left_until(deadline))
        if self._process.run is not None:
            self._process.run.done.add_done_callback(self._ended)
        for number in self._early:
            self._pass_on(number)

    async def stop(self, term: Term, until: Instant) -> None:
        """Tell the caller, and end it."""
        if self._asked:
            self._caller.tell({"stopping": term.reason})
        await self._process.stop(term, until)

    async def monitor(self, term: Term) -> None:
        """Nothing to look at: its end is told as it happens."""

    def ended(self) -> None:
        """Nothing: its end is no failure."""

    def extend(self, lease: Lease) -> None:
        """Nothing to note: the kernel's part is the death of the agent."""

    def stop_commands(self) -> tuple[StopCommand, ...]:
        """Nothing: it dies with the agent."""
        return ()

    def _pass_on(self, number: int) -> None:
        if self._process.run is None:
            self._early.append(number)
        else:
            self._process.run.signal(number)

    def _ended(self, done: "asyncio.Future[int]") -> None:
        if done.exception() is not None:
            # Whoever could say how it ended is dead; nobody else may notice where it is not contained.
            self._caller.tell({"stopping": "resource-failed"})
            return
        failed = self._process.run.failure if self._process.run else ""
        self._caller.tell({"exit": done.result(), "failed": failed})
