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

# _IOWR('W', 6, int) and _IOR('W', 7, int): the time-out of a watchdog device, in whole seconds.
_WDIOC_SETTIMEOUT, _WDIOC_GETTIMEOUT = 0xC0045706, 0x80045707
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
        ioctl: Talks to a watchdog device.
    """

    sysrq: str = "/proc/sysrq-trigger"
    reboot: tuple[str, ...] = ("reboot", "-f")
    nowayout: str = "/sys/class/watchdog/{name}/nowayout"
    ioctl: Callable[[int, int, bytes], bytes] = fcntl.ioctl


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
        self._seconds: dict[str, int] = {}

    @property
    def open(self) -> bool:
        """Whether any device wants to be fed."""
        return bool(self._open)

    def start(self, path: str, timeout: float, longest: float) -> bool:
        """Open a device, which starts it; it resets the machine so long after the last feeding.

        Args:
            path: Of the device.
            timeout: How long that should be, in seconds; devices count whole ones.
            longest: How long it may be: a device that counts longer would reset too late, or a node that
                does well.

        Returns:
            Whether it is armed.
        """
        fresh = path not in self._open
        if fresh:
            try:
                self._open[path] = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            except OSError as error:
                self._log.error("watchdog not armed", device=path, detail=error.strerror)
                return False
            self._seconds[path] = self._set(path, max(1, int(timeout)))
            self._log.info("watchdog armed", device=path, seconds=self._seconds[path])
        if self.seconds(path) <= longest:
            return True
        detail = f"it counts {self.seconds(path)} s; kill_time and stop_timeout together are {longest:g} s"
        self._log.error("watchdog not armed", device=path, detail=detail)
        if fresh:
            self.stop(path)
        return False

    def _set(self, path: str, wanted: int) -> int:
        """Set a device's time-out; return what it has really got."""
        # The device answers with what it has made of it, for many know few values.
        for request in (_WDIOC_SETTIMEOUT, _WDIOC_GETTIMEOUT):
            try:
                answer = self._tools.ioctl(self._open[path], request, struct.pack("i", wanted))
                return int(struct.unpack("i", answer)[0])
            except OSError as error:
                self._log.warning("watchdog keeps its own time-out", device=path, detail=error.strerror)
        return wanted

    def seconds(self, path: str) -> int:
        """Return how long after its last feeding a device resets the machine."""
        return self._seconds[path]

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
