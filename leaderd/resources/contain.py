"""The agent's side of the processes that run hooks (see `pod`), and the choice of how to contain them.

Contained hooks share one pod per term, in a PID namespace where that is permitted; without the
privilege their pod only adopts and kills what they leave behind, and the guard does the rest when the
agent dies. All other hooks share one pod for as long as the agent lives.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from leaderd import hookenv
from leaderd.clock import Clock
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources.keeper import MAIN
from leaderd.resources.waiting import done_by

_ROOT = str(Path(__file__).resolve().parents[2])
_LAUNCH = "import sys; sys.path.append(sys.argv[1]); from leaderd.resources.{} import main; sys.exit(main())"


def helper(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs one of our helper programs, without the site's packages."""
    return (sys.executable, "-I", "-S", "-c", _LAUNCH.format(module), _ROOT, *arguments)


class Log(Protocol):
    """Where log lines go."""

    def __call__(self, level: str, event: str, **fields: object) -> None:
        """Write one line; `level` is debug, info, warning or error."""


def once(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs `argv` in a PID namespace of its own, for the guard."""
    return helper("pod", "once", *argv)


class Run:
    """One hook that was given to a pod.

    Attributes:
        done: Its exit code, 128 + n for signal n; or a ResourceError when the pod has died.
        left: True once its own process has ended well, and what that left behind runs on; with LAST only.
        failure: Why it could not be executed, or "".
        pod: That it runs in.
    """

    def __init__(self, pod: "Pod", number: int) -> None:
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.left: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.failure = ""
        self.pod = pod
        self._number = number

    def term(self) -> None:
        """Send SIGTERM to its process group. From now on it is done when nothing of it is left."""
        self.pod.order({"do": "term", "id": self._number})

    def kill(self) -> None:
        """Send SIGKILL to it and all its descendants; done when nothing of it is left."""
        self.pod.order({"do": "kill", "id": self._number})

    def signal(self, number: int) -> None:
        """Send one of `keeper.FORWARDED` to its process group."""
        self.pod.order({"do": "signal", "id": self._number, "signal": number})


class Pod:
    """One helper process. Must be made in the main thread: the parent-death signal means that thread.

    Attributes:
        mode: namespace, tree or plain.
        ready: None once it serves, or a ResourceError when it cannot.
        ended: None once the process and, in a namespace, everything in it has ended.
    """

    def __init__(self, mode: str, election: str) -> None:
        loop = asyncio.get_running_loop()
        self.mode = mode
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._runs: dict[int, Run] = {}
        self._number = 0
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # The election's name is how the guard finds what belongs to one election.
            self._process = subprocess.Popen(
                helper("pod", mode, str(os.getpid())),
                stdin=theirs.fileno(),
                env={**hookenv.inherited(), "LEADERD_ELECTION": election},
            )
        self._link.setblocking(False)
        self._watch = os.pidfd_open(self._process.pid)
        loop.add_reader(self._link, self._receive)
        loop.add_reader(self._watch, self._bury)

    @property
    def pid(self) -> int:
        """Its process, as the host sees it."""
        return self._process.pid

    def alive(self) -> bool:
        """Return whether it serves, as far as can be known."""
        return self._link.fileno() >= 0 and self._process.poll() is None

    def run(
        self, argv: Sequence[str], env: dict[str, str], streams: Sequence[int], ends: str = MAIN
    ) -> Run:
        """Start a hook.

        Args:
            argv: Program and arguments.
            env: The whole environment.
            streams: Descriptor for its standard output and error, or three, that of its standard input
                first; the caller closes them afterwards.
            ends: When it is over; see `keeper`.

        Raises:
            ResourceError: The pod has just died.
        """
        self._number += 1
        run = self._runs[self._number] = Run(self, self._number)
        # Through a file, since an environment may be larger than a packet.
        request = os.memfd_create("leaderd-hook")
        try:
            os.write(request, json.dumps({"argv": list(argv), "env": env, "ends": ends}).encode())
            os.lseek(request, 0, os.SEEK_SET)
            self.order({"do": "run", "id": self._number}, (request, *streams))
        finally:
            os.close(request)
        return run

    def order(self, order: dict[str, Any], files: tuple[int, ...] = ()) -> None:
        """Send one order; a pod that cannot be reached any more counts as dead."""
        try:
            socket.send_fds(self._link, [json.dumps(order).encode()], files)
        except OSError as error:
            self._lose(error.strerror or "unreachable")

    def end(self) -> None:
        """Have it end, with everything that it contains; `ended` tells when."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGUSR1)

    def _receive(self) -> None:
        try:
            packet = self._link.recv(8192)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._lose("it ended")
            return
        answer = json.loads(packet)
        if "error" in answer:
            self._lose(answer["error"])
        elif "ready" in answer:
            if not self.ready.done():
                self.ready.set_result(None)
        elif "failed" in answer:
            self._runs[answer["id"]].failure = answer["failed"]
        elif "left" in answer:
            self._runs[answer["id"]].left.set_result(True)
        elif not (run := self._runs.pop(answer["id"])).done.done():
            run.done.set_result(answer["exit"])

    def _lose(self, why: str) -> None:
        if self._link.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self._link)
        self._link.close()
        waiting: list[asyncio.Future[Any]] = [self.ready, *(run.done for run in self._runs.values())]
        for future in waiting:
            if not future.done():
                future.set_exception(ResourceError(f"the process that runs hooks died: {why}"))
                future.exception()  # Looked at here, since nobody may be waiting any more.
        self._runs.clear()

    def _bury(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watch)
        os.close(self._watch)
        self._process.wait()
        self._lose("it ended")
        self.ended.set_result(None)


class Pods:
    """The pods of one election: opened when first needed, a contained one for each term.

    Attributes:
        permitted: Whether PID namespaces are; None until the first was tried.
    """

    def __init__(self, election: str, clock: Clock, log: Log) -> None:
        self.permitted: bool | None = None
        self._election = election
        self._clock = clock
        self._log = log
        self._plain: Pod | None = None
        # The last one serves; earlier ones have lost their link, and may not be quite dead.
        self._contained: list[Pod] = []

    async def plain(self, deadline: Instant) -> Pod:
        """Return the pod of hooks that are not contained.

        Raises:
            ResourceError: There is none by `deadline`.
        """
        if self._plain is None or not self._plain.alive():
            self._plain = Pod("plain", self._election)
        return await self._served(self._plain, deadline)

    async def contained(self, deadline: Instant) -> Pod:
        """Return the term's pod.

        Raises:
            ResourceError: There is none by `deadline`.
        """
        if not self._contained or not self._contained[-1].alive():
            self._contained.append(Pod(self._mode(), self._election))
        pod = self._contained[-1]
        try:
            await self._served(pod, deadline)
        except ResourceError as error:
            if self.permitted is not None or self._clock.now().left_until(deadline) <= 0:
                raise
            self.permitted = False
            self._log(
                "warning", "no PID namespace for contained hooks: when the agent dies, it is the guard "
                "that ends their daemons", election=self._election, detail=str(error),
            )
            return await self.contained(deadline)
        if pod.mode == "namespace":
            self.permitted = True
        return pod

    def _mode(self) -> str:
        return "tree" if self.permitted is False else "namespace"

    async def _served(self, pod: Pod, deadline: Instant) -> Pod:
        if not await done_by(self._clock, deadline, pod.ready):
            raise ResourceError("the process that runs hooks did not start in time")
        pod.ready.result()
        return pod

    def contained_pid(self) -> int:
        """Return a process that shares the mounts of the term's pod; 0, which is none, without one."""
        return self._contained[-1].pid if self._contained else 0

    def lost(self) -> "asyncio.Future[None] | None":
        """Return what tells that the term's pod has ended, or None when there is no pod."""
        return self._contained[-1].ended if self._contained else None

    def broken(self) -> bool:
        """Return whether the term's pod has died by itself."""
        return bool(self._contained) and not self._contained[-1].alive()

    async def end_term(self, until: Instant) -> None:
        """End everything contained.

        Raises:
            ResourceError: Something of it may still run at `until`.
        """
        if not self._contained:
            return
        for pod in self._contained:
            pod.end()
        for pod in list(self._contained):
            if not await done_by(self._clock, until, pod.ended):
                raise ResourceError("contained processes could not be killed in time")
            self._contained.remove(pod)
        # The next term's pod now, since a failover should not wait for it.
        self._contained.append(Pod(self._mode(), self._election))

    async def close(self, until: Instant) -> None:
        """End all pods; the daemons of plain hooks are left alone."""
        pods = [*self._contained, *([self._plain] if self._plain else [])]
        for pod in pods:
            pod.end()
        for pod in pods:
            await done_by(self._clock, until, pod.ended)
