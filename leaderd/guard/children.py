"""Who descends from whom, who belongs to a term, and how to kill them.

The guard is a child subreaper: whatever the agent started and however it was detached (double fork,
setsid) comes back to the guard when its parent dies, so a walk over children finds all of it. A walk can
miss a process that is just being forked; callers repeat it until nothing is found.

Source: proc(5), /proc/PID/task/TID/children, /proc/PID/stat and /proc/PID/environ.
"""

import os
import select
import signal
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import cache

_PAUSE_MS = 5
# Notify hooks hold nothing, and the one that tells of a failed stop must not die of it.
_BYSTANDER = b"LEADERD_ACTION=notify"


def children(pid: int) -> list[int]:
    """Return the children of a process, zombies included; empty when it is gone."""
    if not _kernel_lists_children():
        return [child for child, parent in _parents().items() if parent == pid]
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


@cache
def _kernel_lists_children() -> bool:
    """Return whether the kernel was built with CONFIG_PROC_CHILDREN, as all distributions' are."""
    return os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def _parents() -> dict[int, int]:
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        if fields := _stat(int(name)):
            parents[int(name)] = int(fields[1])
    return parents


def _stat(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the state on; empty when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command's name stands in brackets and may hold anything: count from the last one.
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def descendants(root: int, skip: Collection[int] = ()) -> list[int]:
    """Return all that descends from `root`, parents first, without `skip` and what descends from that."""
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = [child for child in children(waiting.pop()) if child not in skip]
        found += below
        waiting += below
    return found


def running(pids: Iterable[int]) -> list[int]:
    """Return those that still run: neither gone nor a zombie that waits to be reaped."""
    return [pid for pid in pids if (fields := _stat(pid)) and fields[0] not in (b"Z", b"X")]


def everybody() -> list[int]:
    """Return every process but this one."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def marked(pids: Iterable[int], marks: Mapping[str, str]) -> list[int]:
    """Return those that were started with all of these environment variables, without notify hooks."""
    wanted = {f"{name}={value}".encode() for name, value in marks.items()}
    return [pid for pid in pids if wanted <= (found := _environment(pid)) and _BYSTANDER not in found]


def _environment(pid: int) -> set[bytes]:
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        return set(file.read().split(b"\0"))
    return set()


def kill(pids: Iterable[int]) -> None:
    """Send SIGKILL to each; those that are gone, or not ours to kill, are passed over."""
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def kill_tree(root: int) -> None:
    """Kill a process with all that descends from it, the root last so that nothing escapes upwards."""
    with suppress(OSError):
        os.kill(root, signal.SIGSTOP)
    for _ in range(100):
        if not (below := running(descendants(root))):
            break
        kill(below)
        select.select([], [], [], 0.001)
    kill([root])


def kill_marked(
    candidates: Callable[[], Iterable[int]], marks: Mapping[str, str], rounds: int
) -> list[int]:
    """Kill whatever carries the marks, with all below it, until nothing is left.

    Args:
        candidates: Lists whom to look at; asked again each round.
        marks: Environment variables that show what belongs.
        rounds: How often to look, 5 ms apart.

    Returns:
        Who still runs after that; empty when all are gone.
    """
    left: list[int] = []
    for _ in range(rounds):
        found = marked(candidates(), marks)
        left = running({*found, *(below for pid in found for below in descendants(pid))})
        if not left:
            break
        kill(left)
        select.select([], [], [], _PAUSE_MS / 1000)
    return left
