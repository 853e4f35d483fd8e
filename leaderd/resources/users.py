"""Who keeps a mount busy, and how to end them. Standard library only: part of the mount helper.

Links in /proc are read, never followed: following one could hang on a file server that is gone.
"""

import os
import select
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress

from leaderd.clock import Clock
from leaderd.instant import Instant
from leaderd.resources.mountinfo import Mounted, below, mounts

_PAUSE = 0.01


def users(wanted: Callable[[Mounted], bool]) -> dict[int, str]:
    """Return who uses a mount, by pid, with how; this process and its ancestors too.

    Args:
        wanted: Whether a mount, of whatever namespace, is meant.
    """
    targets: dict[str, list[str]] = {}
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            namespace = os.readlink(f"/proc/{name}/ns/mnt")
            if namespace not in targets:
                targets[namespace] = [each.target for each in mounts(name) if wanted(each)]
            if targets[namespace] and (how := _use(name, targets[namespace])):
                found[int(name)] = how
    return found


def _use(pid: str, targets: Sequence[str]) -> str:
    """Return by what a process uses one of the targets; "" when it does not."""
    for how, path in _paths(pid):
        if any(below(path, target) for target in targets):
            return how
    return ""


def _paths(pid: str) -> Iterator[tuple[str, str]]:
    for link in ("cwd", "root", "exe"):
        with suppress(OSError):
            path = os.readlink(f"/proc/{pid}/{link}")
            # Everybody has a root; that of a namespace is no use of the mount.
            if path != "/":
                yield link, path
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                yield f"fd {number}", os.readlink(f"/proc/{pid}/fd/{number}")
    with suppress(OSError), open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if path := line.partition("/")[2].rstrip("\n"):
                yield "mapped file", "/" + path


def ancestors() -> set[int]:
    """Return this process and all those that it descends from."""
    found, pid = set(), os.getpid()
    while pid:
        found.add(pid)
        with open(f"/proc/{pid}/stat", "rb") as file:
            pid = int(file.read().rpartition(b")")[2].split()[1])
    return found


def name_of(pid: int) -> str:
    """Return what ps calls a process."""
    with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return "?"


def end(pids: Collection[int], number: int, until: Instant, clock: Clock) -> None:
    """Send a signal; wait until all of them have ended, or `until`."""
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, number)
    while any(map(_runs, pids)) and clock.now().left_until(until) > 0:
        select.select([], [], [], _PAUSE)


def _runs(pid: int) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    return False


TERM, KILL = signal.SIGTERM, signal.SIGKILL
