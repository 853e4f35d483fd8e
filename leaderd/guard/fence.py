"""The hard steps of the escalation: watchdog device, reboot, fence command.

Source: Documentation/watchdog/watchdog-api.rst and Documentation/admin-guide/sysrq.rst of the kernel.
"""

import fcntl
import os
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from leaderd.clock import Clock
from leaderd.guard.command import run_command
from leaderd.guard.log import Log
from leaderd.instant import Instant

# _IOWR('W', 6, int): the time-out of a watchdog device, in whole seconds.
_WDIOC_SETTIMEOUT = 0xC0045706
# "Magic close": without it the device goes on counting after close, which is what a dead guard leaves.
_DISARM = b"V"
_FEED = b"\0"


@dataclass(frozen=True, slots=True)
class FenceTools:
    """How a machine is brought down; tests put something harmless in place.

    Attributes:
        sysrq: File that takes SysRq letters.
        reboot: Command for where that file is out of reach, as in most containers.
        nowayout: Where the kernel tells whether a watchdog device cannot be closed in peace, with
            `{name}` for the device.
    """

    sysrq: str = "/proc/sysrq-trigger"
    reboot: tuple[str, ...] = ("reboot", "-f")
    nowayout: str = "/sys/class/watchdog/{name}/nowayout"


class Watchdogs:
    """The watchdog devices that are open. Elections may share one; it is fed while all of them agree.

    Args:
        log: For what the device refuses.
        tools: Where to ask about it.
    """

    def __init__(self, log: Log, tools: FenceTools) -> None:
        self._log = log
        self._tools = tools
        self._open: dict[str, int] = {}

    @property
    def open(self) -> bool:
        """Whether any device wants to be fed."""
        return bool(self._open)

    def start(self, path: str, timeout: float) -> None:
        """Open a device, which starts it; it resets the machine `timeout` seconds after the last feeding."""
        if path in self._open:
            return
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            self._log.error("watchdog not armed", device=path, detail=error.strerror)
            return
        self._open[path] = fd
        try:
            fcntl.ioctl(fd, _WDIOC_SETTIMEOUT, struct.pack("i", max(1, int(timeout))))
        except OSError as error:
            self._log.warning("watchdog keeps its own time-out", device=path, detail=error.strerror)
        self._log.info("watchdog armed", device=path)

    def feed(self, path: str) -> None:
        """Put the reset off."""
        if (fd := self._open.get(path)) is not None:
            with suppress(OSError):
                os.write(fd, _FEED)

    def stop(self, path: str) -> None:
        """Close a device in peace; one that cannot be closed stays open, and must be fed on."""
        if path not in self._open or self._no_way_out(path):
            return
        fd = self._open.pop(path)
        with suppress(OSError):
            os.write(fd, _DISARM)
        os.close(fd)
        self._log.info("watchdog disarmed", device=path)

    def _no_way_out(self, path: str) -> bool:
        name = os.path.basename(path)
        name = "watchdog0" if name == "watchdog" else name
        try:
            with open(self._tools.nowayout.format(name=name), encoding="ascii") as file:
                return file.read().strip() == "1"
        except OSError:
            return False

    def devices(self) -> list[str]:
        """Return the paths that are open."""
        return list(self._open)


def reboot(tools: FenceTools, until: Instant, clock: Clock, log: Callable[[str], None]) -> str:
    """Restart the machine at once, without syncing or unmounting; return what went wrong if it comes back.

    The SysRq letter takes effect in microseconds and needs no further program.
    """
    problem = "sysrq had no effect"
    try:
        fd = os.open(tools.sysrq, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"b")
        finally:
            os.close(fd)
    except OSError as error:
        problem = f"{tools.sysrq}: {error.strerror}"
    outcome = run_command(tools.reboot, os.environ, until, clock, log)
    return f"{problem}; {tools.reboot[0]}: {outcome}"


def run_fence_command(
    argv: Sequence[str], env: dict[str, str], until: Instant, clock: Clock, log: Callable[[str], None]
) -> str:
    """Run the user's fence command; return "" when it reports success."""
    outcome = run_command(argv, env, until, clock, log)
    return "" if outcome == 0 else f"{argv[0]}: {_words(outcome)}"


def _words(outcome: int | str) -> str:
    return f"exit {outcome}" if isinstance(outcome, int) else outcome
