"""The parent of one hook or process, which adopts whatever that leaves behind while it runs.

Standard library only: part of the helper programs.
"""

import json
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from leaderd.resources import kernel

TERM = signal.SIGTERM
KILL = signal.SIGUSR1
# What may be passed on to the hook's process group; each has a real-time signal as its order.
FORWARDED = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGALRM, signal.SIGCONT, signal.SIGWINCH,
)
_PASSES = {int(signal.SIGRTMIN) + place: number for place, number in enumerate(FORWARDED)}
PASS = {number: order for order, number in _PASSES.items()}
# To be blocked around the fork of a keeper, so that an order which comes too early waits.
ORDERS = (signal.SIGCHLD, TERM, KILL, *_PASSES)
# When a hook is over: with its own process, whatever that has left behind (a hook); with its own
# process, and then the rest is killed (a process); or with the last that it has left behind (a process
# that puts itself in the background: its own process only starts it).
MAIN, ALL, LAST = "main", "all", "last"
# While something is being killed its process tree is looked at again at least this often, seconds.
KILL_AGAIN = 0.05

# A service manager sends these to everybody; what ends a hook is decided by the agent alone.
DEAF_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class Keeper:
    """Ends with its hook's exit code; after an order to end it, once nothing of it is left."""

    def __init__(self, link: socket.socket, number: int) -> None:
        self.link = link
        self.number = number
        self.hook = 0
        self.ends = MAIN
        self.code: int | None = None
        self.term = self.kill = False

    def keep(self, parent: int, request: int, streams: Sequence[int]) -> NoReturn:
        """Start the hook and see it through. Called in a fresh child, with `ORDERS` blocked.

        Args:
            parent: Pid of the pod.
            request: Descriptor of a file with {"argv": […], "env": {…}, "ends": MAIN, ALL or LAST}.
            streams: Descriptor that becomes the hook's standard output and error; or three, that of
                its standard input first.
        """
        signal.set_wakeup_fd(-1)
        for number in ORDERS:
            signal.signal(number, signal.SIG_DFL)
        kernel.die_with(parent)
        kernel.adopt_orphans()
        with open(request, encoding="utf-8") as asked:
            order = json.load(asked)
        self.ends = order["ends"]
        trouble, told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        own = os.getpid()
        # What reaches the child before it has become the hook waits there until it has.
        signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
        self.hook = os.fork()
        if self.hook == 0:
            kernel.in_child(lambda: become_hook(own, order["argv"], order["env"], streams, told))
        for file in (*streams, told):
            os.close(file)
        while not self._over():
            self._listen()
        self._report(trouble)
        os._exit(self.code or 0)

    def _listen(self) -> None:
        got = signal.sigtimedwait(ORDERS, KILL_AGAIN if self.kill else 3600.0)
        if got and got.si_signo == TERM:
            self.term = True
            self._pass_on(signal.SIGTERM)
        elif got and got.si_signo == KILL:
            self.kill = True
        elif got and got.si_signo in _PASSES:
            self._pass_on(_PASSES[got.si_signo])
        for child, code in kernel.reaped():
            if child == self.hook:
                self._ended(code)
        if self.kill:
            kernel.kill_descendants(os.getpid())

    def _pass_on(self, number: int) -> None:
        if self.code is None:
            try:
                os.killpg(self.hook, number)
            except ProcessLookupError:
                # It has just been forked, and does not lead its group yet: it is alone.
                os.kill(self.hook, number)
        elif self.ends == LAST:
            kernel.kill_descendants(os.getpid(), number)

    def _ended(self, code: int) -> None:
        self.code = code
        if self.ends == ALL or (self.ends == LAST and code):
            self.kill = True
        elif self.ends == LAST:
            with suppress(OSError):
                self.link.send(json.dumps({"id": self.number, "left": True}).encode())

    def _over(self) -> bool:
        if self.code is None:
            return False
        if self.ends == MAIN and not (self.term or self.kill):
            return True
        return not kernel.has_children()

    def _report(self, trouble: int) -> None:
        # Read only now: an exec that hangs on a dead file server must not keep us from orders.
        with suppress(OSError):
            if why := os.read(trouble, 4096):
                self.link.send(json.dumps({"id": self.number, "failed": why.decode()}).encode())


def become_hook(
    parent: int, argv: list[str], env: dict[str, str], streams: Sequence[int], trouble: int
) -> NoReturn:
    """Turn this fresh child into the hook; if that fails, write why to `trouble`."""
    try:
        os.setsid()
        kernel.die_with(parent)
        if len(streams) == 1:
            streams = (os.open(os.devnull, os.O_RDONLY), streams[0], streams[0])
        for number, file in enumerate(streams):
            os.dup2(file, number)
        # What is ignored stays ignored in the new program; a hook expects the defaults.
        for deaf in (*DEAF_TO, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(deaf, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        os.write(trouble, f"{argv[0]}: {error.strerror}".encode(errors="backslashreplace"))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
