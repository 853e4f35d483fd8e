"""Tells the service manager that the daemon is ready, that it is well, and that it is stopping.

For units of `Type=notify`, with or without `WatchdogSec`. Nothing is sent where nobody asks for it. A
message is a datagram; one that the manager has no room for is dropped, since the guard must not wait.

    READY=1 MAINPID=…   once the agent has shown that its loop runs
    WATCHDOG=1          at half the interval, while guard and agent show life
    STOPPING=1          when told to end

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass

from leaderd.instant import Instant

_SOCKET, _INTERVAL, _PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
# How often the agent shows that it lives where nobody watches, seconds.
_BEAT = 5.0


@dataclass(frozen=True, slots=True)
class Manager:
    """What a service manager asks for.

    Attributes:
        address: Of its socket; "" where there is no manager that wants to be told.
        interval: Seconds within which it wants to hear that all is well; 0 where it does not.
    """

    address: str = ""
    interval: float = 0.0

    @property
    def beat(self) -> float:
        """How often the agent is to show that its loop runs, seconds; 0 for never."""
        return (self.interval / 4 or _BEAT) if self.address else 0.0


def take_manager(environ: MutableMapping[str, str]) -> Manager:
    """Read what the manager wants, and take it out of the environment: no child may speak for us."""
    address, interval, pid = (environ.pop(name, "") for name in (_SOCKET, _INTERVAL, _PID))
    if not address.startswith(("/", "@")):
        return Manager()
    ours = pid in ("", str(os.getpid()))
    return Manager(address, int(interval) / 1_000_000 if ours and interval.isdigit() else 0.0)


class Notifier:
    """The guard's voice to the service manager.

    Args:
        manager: Who wants to be told.
    """

    def __init__(self, manager: Manager) -> None:
        self.beat = manager.beat
        self._period = manager.interval / 2
        self._fed_at: Instant | None = None
        self._ready = False
        self._socket: socket.socket | None = None
        if manager.address:
            # Connected while privileges and mounts are those that we were started with.
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            address = manager.address
            with suppress(OSError):
                self._socket.connect("\0" + address[1:] if address.startswith("@") else address)

    def ready(self) -> None:
        """Say once that the daemon works."""
        if not self._ready:
            self._ready = True
            self._send(f"READY=1\nMAINPID={os.getpid()}")

    def stopping(self) -> None:
        """Say that it is ending."""
        self._send("STOPPING=1")

    def left(self, now: Instant) -> float | None:
        """Return the seconds until the manager is to hear again; None where it need not."""
        if not self._period:
            return None
        return 0.0 if self._fed_at is None else max(0.0, self._period - now.held_since(self._fed_at))

    def feed(self, now: Instant, *, well: bool) -> None:
        """Say that all is well, when that is due and so."""
        left = self.left(now)
        if left is None or left > 0:
            return
        # What is not well is looked at again at the next time, not at once.
        self._fed_at = now
        if well:
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send(text.encode())
