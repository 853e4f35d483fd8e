"""A cluster to be measured: three etcd members, three nodes, a hook that notes when it runs."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from leaderd.api.client import fetch_status
from leaderd.demo.journal import Hold, read_holds
from leaderd.demo.nodes import Node
from leaderd.errors import LeaderdError
from leaderd.etcd.embedded import EmbeddedCluster

_HOOK = Path(__file__).with_name("hook.sh")


def now() -> float:
    """Return the clock that the hook notes: wall time, as a shell has no other, in seconds."""
    return time.clock_gettime(time.CLOCK_REALTIME)


class Cluster:
    """Three nodes over an etcd cluster.

    Args:
        directory: For files.
        etcd: Running.
        ttl: Of the election, whole seconds.
    """

    def __init__(self, directory: Path, etcd: EmbeddedCluster, ttl: int) -> None:
        self.etcd = etcd
        self.ttl = ttl
        self._journal = directory / "journal"
        command = ["/bin/sh", str(_HOOK), str(self._journal)]
        election = (f'[[election]]\nname = "bench"\nttl = {ttl}\n[[election.resource]]\n'
                    f'name = "writer"\ntype = "script"\ncommand = {command!r}\n')
        self.nodes = {name: Node(name, directory / name, etcd.endpoints, election) for name in "abc"}

    def start(self) -> None:
        """Start whichever node is down; wait for a leader and two candidates."""
        for node in self.nodes.values():
            if not node.running:
                node.start()
        self.wait(lambda: self.states() == ["candidate", "candidate", "leader"])

    def stop(self) -> None:
        """Stop all nodes."""
        for node in self.nodes.values():
            node.stop()
        for node in self.nodes.values():
            node.wait(20)

    def holds(self) -> list[Hold]:
        """Return all terms so far."""
        return read_holds(self._journal)

    def hooks(self) -> float:
        """Return what the hooks of a planned stop take by themselves, in seconds.

        The whole of stop, and of start what comes before its first line.
        """
        with tempfile.NamedTemporaryFile() as journal:
            command = ["/bin/sh", str(_HOOK), journal.name]
            environment = {**os.environ, "LEADERD_NODE": "none", "LEADERD_TOKEN": "1"}
            before = now()
            subprocess.run([*command, "stop"], env=environment, check=True)
            between = now()
            subprocess.run([*command, "start"], env=environment, check=True)
            return between - before + read_holds(Path(journal.name))[-1].start_at - between

    def leader(self) -> Node:
        """Return the node that holds."""
        return self.nodes[self.holds()[-1].node]

    def states(self) -> list[str]:
        """Return the nodes' states, sorted."""
        return sorted(self.report(node).get("state", "") for node in self.nodes.values())

    def report(self, node: Node) -> dict[str, Any]:
        """Return a node's view of the election, empty when it does not answer."""
        try:
            found: dict[str, Any] = fetch_status(str(node.socket), timeout=0.5)["elections"][0]
        except LeaderdError:
            return {}
        return found

    def next_hold(self, old: Hold) -> Hold:
        """Wait for the term after `old` and return it."""
        self.wait(lambda: self.holds()[-1].token != old.token, pause=0.2)
        return self.holds()[-1]

    def wait(self, done: Callable[[], bool], pause: float = 0.05, timeout: float = 60.0) -> None:
        """Look until it is so.

        Raises:
            LeaderdError: It is not so within `timeout` seconds.
        """
        deadline = now() + timeout
        while not done():
            if now() > deadline:
                raise LeaderdError(f"not within {timeout:g} s: {self.states()}")
            time.sleep(pause)


@contextmanager
def running(ttl: int) -> Iterator[Cluster]:
    """Run a cluster with a leader for the time of the block."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leaderd-bench-")))
        etcd = stack.enter_context(EmbeddedCluster(3, directory=directory / "etcd"))
        cluster = Cluster(directory, etcd, ttl)
        stack.callback(cluster.stop)
        cluster.start()
        yield cluster
