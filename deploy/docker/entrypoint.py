"""First program of the container: takes the privileges that it was given along, and becomes leaderd.

`--cap-add NET_ADMIN` puts a capability into the bounding set; a process that is not root gains it from there
only by executing a file that has it. The interpreter that runs this file is such one (see interpreter.py).
Here what was gained becomes "ambient", so that leaderd, its agent and its hooks keep it:

    runtime → python-privileged: permitted → here: inheritable, ambient → leaderd: permitted, effective

With `no-new-privileges` (Kubernetes: `allowPrivilegeEscalation: false`) engine and kernel decide whether
anything is gained; where nothing is, nothing fails.

Source: capabilities(7), "Transformation of capabilities during execve()"; capset(2); prctl(2).
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

# What leaderd may have a use for: addresses; the guard's priority and locked memory; namespaces and mounts.
CAPABILITIES = {"NET_ADMIN": 12, "NET_RAW": 13, "IPC_LOCK": 14, "SYS_ADMIN": 21, "SYS_NICE": 23}
CONFIG = "/etc/leaderd/leaderd.toml"
_PROGRAM = "/opt/leaderd/bin/leaderd"
_VERSION_3 = 0x20080522
_PR_CAP_AMBIENT, _RAISE = 47, 2

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


def hand_on() -> None:
    """Make ambient what this process may have of `CAPABILITIES`; root needs none of it."""
    if os.geteuid() == 0:
        return
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    _libc.capget(ctypes.byref(header), ctypes.byref(sets))
    sets[0].inheritable |= sets[0].permitted
    _libc.capset(ctypes.byref(header), ctypes.byref(sets))
    for number in CAPABILITIES.values():
        if sets[0].permitted >> number & 1:
            _libc.prctl(_PR_CAP_AMBIENT, _RAISE, number, 0, 0)


def main(words: list[str]) -> NoReturn:
    """Become `leaderd WORDS…`; a file where the image expects one is its configuration."""
    hand_on()
    if os.path.exists(CONFIG):
        os.environ.setdefault("LEADERD_CONFIG", CONFIG)
    if words[:1] == ["run"]:
        # The first process of a container has signals thrown away until it has a handler. Kept back, they
        # wait for the guard, which lets them through.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    os.execv(_PROGRAM, [_PROGRAM, *words])


if __name__ == "__main__":
    main(sys.argv[1:])
