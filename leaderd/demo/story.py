"""What the demo does: three nodes, four faults, and what was measured."""

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaderd.api.client import fetch_status
from leaderd.demo.journal import Hold, overlaps, read_holds, tokens_grow
from leaderd.demo.nodes import Node
from leaderd.errors import LeaderdError
from leaderd.etcd.embedded import EmbeddedCluster

TTL = 5
STEP_TIMEOUT = 30.0
_HOOK = Path(__file__).with_name("hook.py")
_LOOK = 0.05


@dataclass(frozen=True, slots=True)
class Failover:
    """One measured change of leader.

    Attributes:
        cause: What was done.
        old: Node that led.
        new: Node that leads now.
        seconds: From the fault to the beginning of the new start hook.
    """

    cause: str
    old: str
    new: str
    seconds: float


class Demo:
    """The cluster of the demo while it runs.

    Args:
        directory: For everything, removed afterwards.
        say: Shows one line to the person who watches.
        show: Shows the present status of every node; called often.
    """

    def __init__(
        self, directory: Path, say: Callable[[str], None], show: Callable[[list[dict[str, Any]]], None]
    ) -> None:
        self.journal = directory / "journal"
        self.failovers: list[Failover] = []
        self.nodes: dict[str, Node] = {}
        self._directory = directory
        self._say = say
        self._show = show

    def start(self, endpoints: list[str]) -> None:
        """Start the nodes and wait for the first leader."""
        command = [sys.executable, "-I", "-S", str(_HOOK), str(self.journal)]
        election = (f'[[election]]\nname = "demo"\nttl = {TTL}\n[[election.resource]]\n'
                    f'name = "writer"\ntype = "script"\ncommand = {command!r}\n')
        for name in ("a", "b", "c"):
            self.nodes[name] = Node(name, self._directory / name, endpoints, election)
            self.nodes[name].start()
        self._say("three nodes compete. No record says who held last, so the first in the queue waits")
        self._say("one full window in case somebody does: about 5 s, once in the life of a cluster.")
        self._wait("the first leader", lambda: bool(self.holds))
        self._settle()
        self._say(f"node {self.holds[-1].node} leads.")

    @property
    def holds(self) -> list[Hold]:
        """All terms so far."""
        return read_holds(self.journal)

    def fail(self, cause: str, fault: Callable[[Node], None]) -> None:
        """Do something to the leader and measure how long it takes until the next one starts."""
        old = self.holds[-1]
        self._say(f"{cause} (node {old.node}) …")
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        fault(self.nodes[old.node])
        self._wait("the next leader", lambda: self.holds[-1].token != old.token)
        new = self.holds[-1]
        self.failovers.append(Failover(cause, old.node, new.node, new.start_at - before))
        self._say(f"  node {new.node} took over {new.start_at - before:.2f} s later, token {new.token}.")

    def revive(self) -> None:
        """Start whichever node is down, and wait until all three stand in the queue again."""
        for node in self.nodes.values():
            if not node.running:
                node.start()
        self._settle()

    def stop(self) -> None:
        """Stop all nodes in order, and by force what has not ended in time."""
        for node in self.nodes.values():
            node.stop()
        for node in self.nodes.values():
            try:
                node.wait(10)
            except LeaderdError:
                node.kill()

    def reports(self) -> list[dict[str, Any]]:
        """Return every node's own status, with what is known from outside where it does not answer."""
        found = []
        for node in self.nodes.values():
            try:
                report = fetch_status(str(node.socket), timeout=0.2)
                found.append({"node": node.name, **report["elections"][0]})
            except LeaderdError:
                found.append({"node": node.name, "state": "no answer" if node.running else "dead"})
        return found

    def _settle(self) -> None:
        def steady() -> bool:
            states = sorted(report["state"] for report in self.reports())
            return states == ["candidate", "candidate", "leader"]

        self._wait("a leader and two candidates", steady)

    def _wait(self, what: str, done: Callable[[], bool]) -> None:
        deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + STEP_TIMEOUT
        while not done():
            if time.clock_gettime(time.CLOCK_BOOTTIME) > deadline:
                raise LeaderdError(f"waited {STEP_TIMEOUT:g} s for {what} in vain; logs: {self._log_tails()}")
            self._show(self.reports())
            time.sleep(_LOOK)

    def _log_tails(self) -> str:
        tails = []
        for node in self.nodes.values():
            lines = node.log.read_text(encoding="utf-8", errors="replace").splitlines()[-2:]
            tails += [f"{node.name}: {line}" for line in lines]
        return " | ".join(tails)


def _kill_node(node: Node) -> None:
    node.kill()


def _stop_agent(node: Node) -> None:
    node.signal(signal.SIGSTOP, agent=True)


@contextmanager
def running(
    say: Callable[[str], None], show: Callable[[list[dict[str, Any]]], None]
) -> Iterator[Demo]:
    """Run etcd and the nodes for the time of the block; leave nothing behind, however it ends."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leaderd-demo-")))
        cluster = stack.enter_context(EmbeddedCluster(1, directory=directory / "etcd"))
        demo = Demo(directory, say, show)
        stack.callback(demo.stop)
        say(f"etcd runs on {cluster.endpoints[0]}")
        demo.start(list(cluster.endpoints))
        yield demo


def tell(demo: Demo) -> None:
    """Do the faults one after the other."""
    demo.fail("kill -9 of the leader's agent", Node.kill_agent)
    demo.revive()
    demo.fail("loss of the leader's whole node", _kill_node)
    demo.revive()
    demo.fail("SIGSTOP of the leader's agent", _stop_agent)
    demo.revive()
    demo.fail("planned stop of the leader", Node.stop)


def problems(demo: Demo) -> list[str]:
    """Return what broke the promise, a sentence each."""
    holds = demo.holds
    found = [
        f"nodes {first.node} and {second.node} held at the same time for {seconds:.3f} s"
        for first, second, seconds in overlaps(holds)
    ]
    if not tokens_grow(holds):
        found.append("the fencing tokens did not grow")
    return found
