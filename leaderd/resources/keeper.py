"""The parent of one hook, which adopts whatever the hook leaves behind while it runs.

Standard library only: part of the helper programs.
"""

import json
import os
import signal
import socket
from contextlib import suppress
from typing import NoReturn

from leaderd.resources import kernel

TERM = signal.SIGTERM
KILL = signal.SIGUSR1
# To be blocked around the fork of a keeper, so that an order which comes too early waits.
ORDERS = (signal.SIGCHLD, TERM, KILL)
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
        self.code: int | None = None
        self.term = self.kill = False

    def keep(self, parent: int, request: int, output: int) -> NoReturn:
        """Start the hook and see it through. Called in a fresh child, with `ORDERS` blocked.

        Args:
            parent: Pid of the pod.
            request: Descriptor of a file with {"argv": […], "env": {…}}.
            output: Descriptor that becomes the hook's standard output and error.
        """
        signal.set_wakeup_fd(-1)
        for number in ORDERS:
            signal.signal(number, signal.SIG_DFL)
        kernel.die_with(parent)
        kernel.adopt_orphans()
        with open(request, encoding="ascii") as file:
            order = json.load(file)
        trouble, told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        own = os.getpid()
        self.hook = os.fork()
        if self.hook == 0:
            kernel.in_child(lambda: become_hook(own, order["argv"], order["env"], output, told))
        os.close(output)
        os.close(told)
        while not self._over():
            self._listen()
        self._report(trouble)
        os._exit(self.code or 0)

    def _listen(self) -> None:
        got = signal.sigtimedwait(ORDERS, KILL_AGAIN if self.kill else 3600.0)
        if got and got.si_signo == TERM:
            self.term = True
            if self.code is None:
                with suppress(ProcessLookupError):
                    os.killpg(self.hook, signal.SIGTERM)
        elif got and got.si_signo == KILL:
            self.kill = True
        for child, code in kernel.reaped():
            if child == self.hook:
                self.code = code
        if self.kill:
            kernel.kill_descendants(os.getpid())

    def _over(self) -> bool:
        if self.code is not None and (self.term or self.kill):
            return not kernel.has_children()
        return self.code is not None

    def _report(self, trouble: int) -> None:
        # Read only now: an exec that hangs on a dead file server must not keep us from orders.
        with suppress(OSError):
            if why := os.read(trouble, 4096):
                self.link.send(json.dumps({"id": self.number, "failed": why.decode()}).encode())


def become_hook(
    parent: int, argv: list[str], env: dict[str, str], output: int, trouble: int
) -> NoReturn:
    """Turn this fresh child into the hook; if that fails, write why to `trouble`."""
    try:
        os.setsid()
        kernel.die_with(parent)
        null = os.open(os.devnull, os.O_RDONLY)
        for file, number in ((null, 0), (output, 1), (output, 2)):
            os.dup2(file, number)
        # What is ignored stays ignored in the new program; a hook expects the defaults.
        for deaf in (*DEAF_TO, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(deaf, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        os.write(trouble, f"{argv[0]}: {error.strerror}".encode(errors="backslashreplace"))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
