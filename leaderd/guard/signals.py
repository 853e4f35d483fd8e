"""Signals as something that poll(2) can wait for, instead of code that runs at any moment."""

import os
import signal
from contextlib import suppress

_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    """The signals of the guard, from its making on.

    Attributes:
        fd: Readable while there is a signal to take.
    """

    def __init__(self) -> None:
        self.fd, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # Python's own handler writes the number; a full pipe still wakes us, and children are
        # asked for whatever the number was.
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in _NUMBERS:
            signal.signal(number, lambda *_: None)
        # Whoever started us may have kept back what came before there was a handler.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _NUMBERS)

    def take(self) -> bytes:
        """Return the numbers of the signals since the last time."""
        with suppress(BlockingIOError):
            return os.read(self.fd, 512)
        return b""
