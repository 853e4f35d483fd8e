"""The agent as a process: how it is started, and how long to wait before the next one."""

import json
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderd.guard.wire import MAX_PACKET
from leaderd.hookenv import inherited
from leaderd.instant import Instant

# A run of so many seconds proves that the agent works; delays start from the beginning.
_GOOD_LIFE = 60.0
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0

# What Python ignores or the guard handles; the agent starts with what any program expects.
_DEFAULT_SIGNALS = [
    signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD,
]


class Restarts:
    """How long to wait before the next agent: 0, 0.5, 1, 2, … 30 s."""

    def __init__(self) -> None:
        self._failures = 0

    def delay_after(self, life: float) -> float:
        """Return the seconds to wait after an agent that has lived `life` seconds."""
        if life >= _GOOD_LIFE:
            self._failures = 0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        return float(min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(self._failures - 2, 10)))


@dataclass(slots=True)
class AgentProcess:
    """A running agent.

    Attributes:
        pid: Process and process group.
        link: The guard's end of the link.
        started_at: When it was started.
        heard_at: When it last showed that its loop runs; None until it first did.
        killed: SIGKILL was sent, or it was reaped.
        closed_at: When the end of the link was seen.
    """

    pid: int
    link: socket.socket
    started_at: Instant
    heard_at: Instant | None = None
    killed: bool = False
    closed_at: Instant | None = None

    def kill(self) -> None:
        """Send SIGKILL, once. The pid cannot be anybody else's before it was reaped."""
        if not self.killed:
            self.killed = True
            os.kill(self.pid, signal.SIGKILL)


def start_agent(argv: Sequence[str], payload: Mapping[str, Any], lock: int, now: Instant) -> AgentProcess:
    """Start an agent in a process group of its own, so that a terminal's ^C reaches the guard alone.

    Args:
        argv: Program and first arguments; `--link-fd K --plan-fd N` are added.
        payload: What it finds, as JSON, in the file of `--plan-fd`.
        lock: The lock on the state directory. The agent holds it too: while one of a dead guard still
            lives, even stopped, no other daemon may start beside it.
        now: For `started_at`.

    Raises:
        OSError: It cannot be started.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    plan = os.memfd_create("leaderd-plan")
    try:
        with open(plan, "w", encoding="utf-8", closefd=False) as file:
            json.dump(payload, file)
        os.lseek(plan, 0, os.SEEK_SET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_PACKET)
        inherit = [theirs.fileno(), plan, lock]
        for fd in inherit:
            os.set_inheritable(fd, True)
        pid = os.posix_spawn(
            argv[0], [*argv, "--link-fd", str(theirs.fileno()), "--plan-fd", str(plan)],
            # The stubs of etcd3 can be imported with this implementation only.
            {**inherited(), "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
            setpgroup=0, setsigmask=[], setsigdef=_DEFAULT_SIGNALS,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        os.set_inheritable(lock, False)
        theirs.close()
        os.close(plan)
    ours.setblocking(False)
    return AgentProcess(pid, ours, now)
