"""What is mounted where, as the kernel says it: /proc/PID/mountinfo. Standard library only.

Nothing here touches a mounted file system, so nothing hangs on a file server that is gone.

Source: proc(5), /proc/PID/mountinfo; `mangle` in fs/seq_file.c for the escapes.
"""

import os
import re
from contextlib import suppress
from typing import NamedTuple

_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mounted(NamedTuple):
    """One mount.

    Attributes:
        id: Unique while it is mounted.
        device: Number of the file system, as "8:1"; that of the block device for most of them.
        root: Path within the file system that is mounted.
        target: Where, as a process with this list sees it.
        fstype: As the kernel calls it.
        source: As it was mounted.
        read_only: The mount is, or the whole file system.
    """

    id: int
    device: str
    root: str
    target: str
    fstype: str
    source: str
    read_only: bool


def mounts(pid: int | str = "self") -> list[Mounted]:
    """Return all mounts of the mount namespace of a process, in the order in which they were made.

    Raises:
        OSError: There is no such process, or it may not be looked at.
    """
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return [_mounted(line) for line in file]


def _mounted(line: str) -> Mounted:
    # Optional fields of any number end with a lone hyphen.
    first, _, second = line.rstrip("\n").partition(" - ")
    number, _, device, root, target, options = first.split(" ")[:6]
    fstype, source, whole = (second.split(" ") + [""] * 3)[:3]
    read_only = "ro" in options.split(",") or "ro" in whole.split(",")
    return Mounted(
        int(number), device, plain(root), plain(target), plain(fstype), plain(source), read_only
    )


def plain(text: str) -> str:
    r"""Return a field without the kernel's escapes: \\040 is a blank."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def top(found: list[Mounted], target: str) -> Mounted | None:
    """Return what a path leads to: the mount made last at this target."""
    return next((each for each in reversed(found) if each.target == target), None)


def below(path: str, target: str) -> bool:
    """Return whether a path is this directory or lies below it."""
    return path == target or path.startswith(target.rstrip("/") + "/")


def enclosing(found: list[Mounted], path: str) -> Mounted | None:
    """Return the mount that a path lies on."""
    over = [each for each in found if below(path, each.target)]
    return max(enumerate(over), key=lambda pair: (len(pair[1].target), pair[0]))[1] if over else None


def elsewhere() -> list[tuple[int, list[Mounted]]]:
    """Return the mounts of each other mount namespace that can be seen, with a process that is in it."""
    done = {os.readlink("/proc/self/ns/mnt")}
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        # A process that ends just now tells nothing; another one of its namespace may.
        with suppress(OSError):
            namespace = os.readlink(f"/proc/{name}/ns/mnt")
            if namespace not in done:
                found.append((int(name), mounts(name)))
                done.add(namespace)
    return found
