"""Small programs in which the doctor tries out what the kernel can do, each in a process of its own.

    python -m leaderd.doctor.trial timer      says when it is to be killed, and is, by a kernel timer
    python -m leaderd.doctor.trial priority   asks for what the guard asks for
    python -m leaderd.doctor.trial lifetime   sees an address go, in a network namespace of its own

Each prints one JSON object on standard output.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

# Nobody's address. Source: RFC 5737.
_ADDRESS: Final = "192.0.2.1/32"
_LIFETIME: Final = 1
_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000
# From the start of the interpreter to the shot, seconds.
_FUSE: Final = 0.2
_LOOK: Final = 0.02
_PATIENCE: Final = 10.0


class Trial:
    """One of them, running beside us.

    Args:
        name: Which.
        interpreter: How to run a module.
    """

    def __init__(self, name: str, interpreter: list[str]) -> None:
        self._process = subprocess.Popen(
            [*interpreter, "-m", __name__, name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )

    def line(self) -> dict[str, Any]:
        """Return what it says; {} when it says nothing, or not in time."""
        out = self._process.stdout
        if out is None or not select.select([out], [], [], _PATIENCE)[0]:
            return {}
        text = out.readline()
        return dict(json.loads(text)) if text else {}

    def stop(self) -> None:
        """Stop it, as SIGSTOP stops an agent."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def end(self) -> tuple[int, float]:
        """Wait for its end; kill it when that takes too long.

        Returns:
            Its exit code, -n for signal n, 0 when we had to kill it; and when it ended, on CLOCK_BOOTTIME.
        """
        with self._process:
            # To the millisecond: `wait` with a time-out looks only now and then.
            watch = os.pidfd_open(self._process.pid)
            in_time = select.select([watch], [], [], _PATIENCE)[0]
            ended_at = time.clock_gettime(time.CLOCK_BOOTTIME)
            os.close(watch)
            if not in_time:
                self._process.kill()
            code = self._process.wait()
        return code if in_time else 0, ended_at


def _timer() -> dict[str, Any]:
    from leaderd.clock import BootClock
    from leaderd.errors import GuardError
    from leaderd.guard.deadman import Deadman

    clock = BootClock()
    fence_at = clock.now().plus(_FUSE)
    try:
        Deadman(clock).set("trial", fence_at)
    except GuardError as error:
        return {"error": str(error)}
    _say({"fence_at": fence_at.boot})
    time.sleep(_PATIENCE)
    return {}


def _priority() -> dict[str, Any]:
    from leaderd.guard.kernel import ask_for_priority

    return {"refused": ask_for_priority()}


def _lifetime() -> dict[str, Any]:
    from ipaddress import ip_interface

    from leaderd.errors import ResourceError
    from leaderd.resources.addresses import Kernel

    if refused := _own_network():
        return {"skipped": refused}
    kernel, address = Kernel(), ip_interface(_ADDRESS)
    try:
        kernel.put(address, 1, _LIFETIME)
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        while kernel.found([address]):
            if time.clock_gettime(time.CLOCK_BOOTTIME) - began > _PATIENCE / 2:
                return {"error": f"an address with a lifetime of {_LIFETIME} s still stands"}
            time.sleep(_LOOK)
    except ResourceError as error:
        return {"error": str(error)}
    return {"seconds": time.clock_gettime(time.CLOCK_BOOTTIME) - began, "lifetime": _LIFETIME}


def _own_network() -> str:
    """Move into a network namespace of our own; return why that is not possible, or ""."""
    libc = ctypes.CDLL(None, use_errno=True)
    # With a user namespace around it where we are nobody special.
    if libc.unshare(_CLONE_NEWNET) and libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        return os.strerror(ctypes.get_errno())
    return ""


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201 - its standard output is how it answers


_TRIALS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "timer": _timer, "priority": _priority, "lifetime": _lifetime,
}

if __name__ == "__main__":
    _say(_TRIALS[sys.argv[1]]())
