"""What is done to nodes and to etcd: each fault is a block at whose end its cause is gone again."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from leaderd.demo.nodes import Node
from tests.cluster import Cluster
from tests.faults.trio import Trio


@contextlib.contextmanager
def stopped(node: Node, *, guard: bool = False, agent: bool = False) -> Iterator[None]:
    """SIGSTOP guard, agent or both while the block runs, then SIGCONT whichever still exists."""
    pids = [node.guard] * guard + [node.agent] * agent if node.running else []
    # 0 stands for an agent that is not there, and would mean our own process group.
    started = [(pid, at) for pid in pids if pid and (at := _start_time(pid))]
    for pid, _ in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid, at in started:
            if _start_time(pid) == at:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def kill(node: Node, *, guard: bool = False, agent: bool = False) -> None:
    """SIGKILL guard, agent or both, whichever there are."""
    if node.running:
        with contextlib.suppress(ProcessLookupError):
            node.signal(signal.SIGKILL, guard=guard, agent=agent)


@contextlib.contextmanager
def killed(cluster: Cluster, indexes: Sequence[int]) -> Iterator[None]:
    """Kill etcd members for the time of the block; then start them again and wait until all is well."""
    for index in indexes:
        cluster.kill(index)
    try:
        yield
    finally:
        cluster.heal()


@contextlib.contextmanager
def paused(cluster: Cluster, indexes: Sequence[int]) -> Iterator[None]:
    """SIGSTOP etcd members for the time of the block; then continue and wait until all is well."""
    for index in indexes:
        cluster.pause(index)
    try:
        yield
    finally:
        cluster.heal()


@contextlib.contextmanager
def stalled(cluster: Cluster, seconds: float, *, wal_only: bool) -> Iterator[None]:
    """Stall the disk of etcd's leader for so long, and wait for the end of it.

    Renewals and reads write nothing, so somebody has to, or the stall would never be noticed.
    """
    index = cluster.leader()
    write = cluster.etcdctl_command("put", "/unrelated", "x", endpoints=(cluster.members[index].client_url,))
    with cluster.stalled_fsync(index, seconds, wal_only=wal_only):
        writer = subprocess.Popen(
            write, env={"ETCDCTL_API": "3"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
            time.sleep(seconds)
        finally:
            writer.kill()
            writer.wait()
    cluster.wait_healthy()


def move_leader(cluster: Cluster, index: int) -> None:
    """Have a member lead etcd."""
    if (leader := cluster.leader()) == index:
        return
    lines = cluster.etcdctl("member", "list").splitlines()
    ids = {fields[2]: fields[0] for line in lines if (fields := line.split(", "))}
    name = cluster.members[index].name
    cluster.etcdctl("move-leader", ids[name], endpoints=(cluster.members[leader].client_url,))
    assert cluster.leader() == index


def compact(cluster: Cluster, *, writes: int = 50) -> None:
    """Write something unrelated, then drop all history up to now."""
    revision = 0
    for number in range(writes):
        answer = cluster.etcdctl("put", "/unrelated", str(number), "-w", "json")
        revision = int(answer.partition('"revision":')[2].partition(",")[0])
    cluster.etcdctl("compact", str(revision), "--physical")


def candidate_key(trio: Trio, lease: str) -> str:
    """Return the candidate key of a lease."""
    return f"/leaderd/election/{trio.name}/{lease}"


def epoch_key(trio: Trio) -> str:
    """Return the key that operators raise after a restore."""
    return f"/leaderd/control/{trio.name}/epoch"


def pause_for(seconds: float) -> None:
    """Let a fault last; there is no event to wait for."""
    time.sleep(seconds)


def _start_time(pid: int) -> str:
    """Return when a process started, which tells it from a later one with its pid; "" without one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
