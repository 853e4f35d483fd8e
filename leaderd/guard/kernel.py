"""The few things that the guard asks of the kernel and Python has no call for."""

import ctypes
import os
import resource
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CAP_IPC_LOCK = 14
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
# Above ordinary processes; below what kernels give their own watchdog threads (99).
_PRIORITY = 10


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies; children do not inherit it.

    Source: prctl(2), PR_SET_CHILD_SUBREAPER.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def signal_with_parent(number: int) -> None:
    """Have the kernel send this signal to this process when its parent dies; exec keeps that.

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def ask_for_priority() -> list[str]:
    """Ask for real-time priority and locked memory, for this process alone; return what was refused.

    Children get ordinary priority (RESET_ON_FORK). Only pages in use are locked (ONFAULT): the
    interpreter maps far more than it ever touches.

    Source: sched(7), mlockall(2).
    """
    refused = []
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_PRIORITY))
    except OSError as error:
        refused.append(f"real-time priority: {error.strerror}")
    if not _may_lock_all():
        return [*refused, "locked memory: not permitted"]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT):
        refused.append(f"locked memory: {os.strerror(ctypes.get_errno())}")
    return refused


def _may_lock_all() -> bool:
    """Return whether no limit applies: under one, a later allocation would fail instead of being pageable."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name == "CapEff":
                return bool(int(value, 16) >> _CAP_IPC_LOCK & 1)
    return False


def set_name(name: str) -> None:
    """Set the name that ps and top show; of no consequence otherwise."""
    with suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name[:15])
