"""Children of the guard that run its own code: without its signals, its links and its devices."""

import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress

from leaderd.guard import kernel
from leaderd.guard.log import Log


def fork(work: Callable[[], None], log: Log, keep: set[int]) -> int:
    """Start a child that does `work` and ends; return its pid.

    Args:
        work: Done in the child.
        log: Where it is reported that this has raised.
        keep: Descriptors that the child keeps open. The link to the agent must not be among them: its
            end of file is how the agent learns of the guard's death.

    Raises:
        OSError: There is no process to be had.
    """
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _leave_the_guard(keep)
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - a fork must never return into its parent's code
        with suppress(BaseException):
            log.error("worker failed", detail=traceback.format_exc())  # noqa: TRY400 - not the logging module
    os._exit(status)


def _leave_the_guard(keep: set[int]) -> None:
    signal.set_wakeup_fd(-1)
    # A service manager that signals the whole control group must not cut a stop short.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    kernel.adopt_orphans()
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            with suppress(OSError):
                os.close(int(name))
