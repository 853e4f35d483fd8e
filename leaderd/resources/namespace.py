"""PID namespaces: one that lives as long as a process outside, and one for a single command.

Standard library only: part of the helper programs.

Source: pid_namespaces(7), mount_namespaces(7).
"""

import os
import random
import select
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from leaderd.resources import kernel

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
MS_REC_SLAVE = 0x4000 | 0x80000
# Old programs print pids into five places.
USUAL_PID_MAX = 32768

# To the process outside: end the namespace. Not SIGTERM, which service managers send to everybody.
END = signal.SIGUSR1


def enter() -> None:
    """Go on as PID 1 of a new PID namespace with its own /proc; the caller's process stays outside.

    The one outside never returns: it waits for PID 1, which ends only after everything in the
    namespace has, and kills it at `END` or, by the kernel, with its own death.

    Raises:
        OSError: Not permitted here.
    """
    unshare()
    # PID 1 cannot see its parent's pid, so the end of this pipe tells it whether the parent lives.
    alive, held = os.pipe2(os.O_CLOEXEC)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, END))
    first = os.fork()
    if first:
        # Whoever watches PID 1's sockets must see them close when it ends, whatever becomes of us.
        os.closerange(3, held)
        os.closerange(held + 1, 64)
        _watch(first)
    os.close(held)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD, END))
    kernel.die_with_parent()
    if select.select([alive], [], [], 0)[0]:
        os._exit(1)
    own_proc()


def _watch(first: int) -> NoReturn:
    while True:
        if signal.sigwait((signal.SIGCHLD, END)) == END:
            os.kill(first, signal.SIGKILL)
        for _, code in kernel.reaped():
            os._exit(code)


def unshare() -> None:
    """Have this process's next child be the first of a new PID namespace, with mounts of its own.

    Raises:
        OSError: Not permitted here.
    """
    kernel.checked(kernel.libc.unshare(CLONE_NEWPID | CLONE_NEWNS))


def own_proc() -> None:
    """Mount a /proc that shows this namespace, and start its pids at a random number.

    Mounts of the host still arrive, and unmounting there is not held up. The random start keeps a pid
    file of an earlier namespace from naming a process of this one, the hook that reads it included.

    Raises:
        OSError: Not permitted here.
    """
    mount = kernel.libc.mount
    kernel.checked(mount(b"none", b"/", None, MS_REC_SLAVE, None))
    kernel.checked(mount(b"proc", b"/proc", b"proc", MS_NOSUID_NODEV_NOEXEC, None))
    with suppress(OSError), open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
        limit = min(int(file.read()), USUAL_PID_MAX) * 3 // 4
        start = random.randrange(300, max(301, limit))  # noqa: S311 - no secret
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as last:
            last.write(str(start))


def run_once(argv: list[str]) -> NoReturn:
    """Run one command in a namespace of its own, and exit as it does.

    For the guard: a stop hook of a contained resource must not take the pids of its pid files for
    pids of the host. SIGTERM to the process group reaches the command alone, SIGKILL ends it all.
    """
    kernel.die_with_parent()
    try:
        unshare()
    except OSError as error:
        sys.exit(f"leaderd: no PID namespace for {argv[0]}: {error.strerror}")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    first = os.fork()
    if first == 0:
        kernel.in_child(lambda: _once_inside(argv))
    os._exit(kernel.exit_code_of(first))


def _once_inside(argv: list[str]) -> NoReturn:
    kernel.die_with_parent()
    own_proc()
    command = os.fork()
    if command == 0:
        for number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        kernel.in_child(lambda: os.execvp(argv[0], argv))
    os._exit(kernel.exit_code_of(command))
