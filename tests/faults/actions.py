"""What is done to nodes and to etcd: each fault is a block at whose end its cause is gone again."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from leaderd.demo.nodes import Node
from tests.cluster import Cluster
from tests.faults.trio import Trio


@contextlib.contextmanager
def stopped(node: Node, *, guard: bool = False, agent: bool = False) -> Iterator[None]:
    """SIGSTOP guard, agent or both while the block runs, then SIGCONT whichever still exists."""
    pids = [node.guard] * guard + [node.agent] * agent
    started = [(pid, _start_time(pid)) for pid in pids]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid, at in started:
            if at and _start_time(pid) == at:
                os.kill(pid, signal.SIGCONT)


def kill(node: Node, *, guard: bool = False, agent: bool = False) -> None:
    """SIGKILL guard, agent or both."""
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


def wal_files(cluster: Cluster, index: int) -> list[Path]:
    """Return the files of a member's write-ahead log, those that it has made ready included."""
    return sorted((cluster.members[index].data_dir / "member" / "wal").iterdir())


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
