"""What the helper programs ask of the kernel. Standard library only.

Source: prctl(2), waitpid(2), proc(5).
"""

import ctypes
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> None:
    """Raise what errno says when a C function has failed.

    Raises:
        OSError: The result was not 0.
    """
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def name_process(name: bytes) -> None:
    """Set the name that ps and top show, 15 bytes of it."""
    checked(libc.prctl(PR_SET_NAME, name, 0, 0, 0))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    checked(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def die_with_parent() -> None:
    """Have the kernel send SIGKILL to this process when its parent's thread ends."""
    checked(libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0))


def die_with(parent: int) -> None:
    """Do the same, and end now if `parent` was gone before the kernel had been told."""
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


def in_child(body: Callable[[], object]) -> NoReturn:
    """Run `body` in a fresh child, which must never return into its parent's code."""
    try:
        body()
    except BaseException:  # noqa: BLE001 - it ends here, seen
        traceback.print_exc()
    os._exit(126)


def exit_code(status: int) -> int:
    """Return a wait status as a shell would: 128 + n for signal n."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def exit_code_of(wanted: int) -> int:
    """Reap whatever ends until this child has; return its exit code."""
    while True:
        child, status = os.wait()
        if child == wanted:
            return exit_code(status)


def reaped() -> list[tuple[int, int]]:
    """Reap every child that has ended; return pid and exit code of each."""
    found = []
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            found.append((ended[0], exit_code(ended[1])))
    return found


def has_children() -> bool:
    """Return whether any child is left, ended or not."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def kill_descendants(root: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal to everything below `root`; return whether there was anything.

    One call may miss what is forked meanwhile: repeat until nothing is found.
    """
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            # The command's name in brackets may hold anything, so count from the last bracket.
            parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    below = {root}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    for pid in below - {root}:
        with suppress(OSError):
            os.kill(pid, number)
    return len(below) > 1
