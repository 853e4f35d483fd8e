"""The process that runs hooks on the agent's behalf: small, of one thread, quick to fork.

    agent ── pod ── keeper ── hook                                      plain, tree
    agent ── outer ─╪─ pod (PID 1, own /proc) ── keeper ── hook         namespace

Each arrow is tied by the parent-death signal: whoever dies, by whatever signal, takes all to its right
along. In the namespace mode that includes daemons, since the death of PID 1 ends everything in it; its
signal comes from the outer process, because PID 1 is immune to a SIGKILL from inside. In the tree mode
daemons end when the pod is told to end; in the plain mode they are left alone.

While a hook runs, its keeper adopts what it leaves behind, so that a time-out finds it all; when the
hook has ended by itself, daemons pass on to the pod.

Started with `python -I -S`, without the site's packages: standard library and our own modules only. The
agent speaks over a SEQPACKET socket, our standard input, one JSON object a packet:

    {"do": "run", "id": n} + descriptors: a file with {"argv": […], "env": {…}, "ends": …}, and the
                                output pipe, or standard input, output and error
    {"do": "term", "id": n}     SIGTERM to the hook's process group
    {"do": "kill", "id": n}     SIGKILL to the hook and all its descendants
    {"do": "signal", "id": n, "signal": n}   one of keeper.FORWARDED to the hook's process group
    answers: {"ready": true} | {"error": why} | {"id": n, "failed": why} | {"id": n, "exit": code}
             | {"id": n, "left": true}   its own process has ended well, what it has left behind runs on

The signal `namespace.END` ends the pod.
"""

import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import NoReturn

from leaderd.resources import kernel, namespace
from leaderd.resources.keeper import DEAF_TO, KILL, ORDERS, PASS, TERM, Keeper


def main() -> NoReturn:
    """Run as `MODE PARENT_PID`, or as `once COMMAND…`, the guard's way to a contained stop."""
    arguments = sys.argv[2:]
    kernel.name_process(b"leaderd-pod")
    if arguments[0] == "once":
        namespace.run_once(arguments[1:])
    mode, parent = arguments[0], int(arguments[1])
    kernel.die_with(parent)
    for deaf in DEAF_TO:
        signal.signal(deaf, signal.SIG_IGN)
    link = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if mode == "namespace":
        try:
            namespace.enter()
        except OSError as error:
            tell(link, {"error": error.strerror})
            os._exit(1)
    Pod(link, mode).serve()


class Pod:
    """Serves the agent: starts keepers, passes orders on to them, reaps whatever it inherits."""

    def __init__(self, link: socket.socket, mode: str) -> None:
        self.link = link
        self.mode = mode
        self.keepers: dict[int, int] = {}
        self.ending = False

    def serve(self) -> NoReturn:
        """Answer the agent until it goes, or says that it is enough."""
        kernel.adopt_orphans()
        awake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # PID 1 can get this signal only from inside, by mistake.
        ends = self.mode != "namespace"
        signal.signal(namespace.END, self._end if ends else signal.SIG_IGN)
        tell(self.link, {"ready": True})
        poll = select.poll()
        poll.register(self.link, select.POLLIN)
        poll.register(awake, select.POLLIN)
        while not self.ending:
            for file, _ in poll.poll():
                if file == awake:
                    os.read(awake, 512)
                else:
                    self._obey()
            self._reap()
        self._leave()

    def _end(self, *_: object) -> None:
        self.ending = True

    def _obey(self) -> None:
        try:
            packet, files, _, _ = socket.recv_fds(self.link, 4096, 4)
        except OSError:
            packet, files = b"", []
        if not packet:
            self.ending = True
            return
        order = json.loads(packet)
        if order["do"] == "run":
            self._run(order["id"], *files)
            return
        for keeper, number in self.keepers.items():
            if number == order["id"]:
                os.kill(keeper, {"term": TERM, "kill": KILL}.get(order["do"]) or PASS[order["signal"]])

    def _run(self, number: int, request: int, *streams: int) -> None:
        for file in (request, *streams):
            os.set_inheritable(file, False)
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, ORDERS)
        try:
            keeper = os.fork()
            if keeper == 0:
                kernel.in_child(lambda: Keeper(self.link, number).keep(parent, request, streams))
            self.keepers[keeper] = number
        except OSError as error:
            tell(self.link, {"id": number, "failed": f"fork: {error.strerror}"})
            tell(self.link, {"id": number, "exit": 126})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ORDERS)
        for file in (request, *streams):
            os.close(file)

    def _reap(self) -> None:
        for child, code in kernel.reaped():
            number = self.keepers.pop(child, None)
            if number is not None:
                tell(self.link, {"id": number, "exit": code})

    def _leave(self) -> NoReturn:
        while self.mode == "tree" and kernel.kill_descendants(os.getpid()):
            select.select([], [], [], 0.005)
            kernel.reaped()
        os._exit(0)


def tell(link: socket.socket, answer: dict[str, object]) -> None:
    """Send one answer; an agent that is gone is noticed when its socket is read."""
    with suppress(OSError):
        link.send(json.dumps(answer).encode())
