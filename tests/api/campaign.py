"""`python -m tests.api.campaign`, which is what `make http-faults N=…` calls: who says 200 through faults?"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from leaderd.api.client import set_paused, set_standby, switch_over
from leaderd.demo.nodes import Node
from tests.api.http import free_port
from tests.api.pollers import Pollers, wrong
from tests.cluster import Cluster
from tests.faults.actions import kill, stopped
from tests.faults.trio import Trio, now, wait_for

_RELAY = Path(__file__).with_name("relay.py")
TTL = 5
# A stop or cut that outlasts the hold window, so that somebody else leads before it is over.
LONG = 7.0
# How long a fault goes on beside a successor that has answered: the old leader could still be wrong.
_BESIDE = 0.5


class HttpNode(Node):
    """A node that answers HTTP and reaches etcd over a wire that can be cut."""

    def __init__(self, name: str, directory: Path, endpoints: list[str], *rest: Any, **named: Any) -> None:
        self.port, wire = free_port(), free_port()
        target = endpoints[0].rpartition(":")[2]
        self.relay = subprocess.Popen([sys.executable, "-I", str(_RELAY), str(wire), target])
        http = f"127.0.0.1:{self.port}"
        super().__init__(name, directory, [f"http://127.0.0.1:{wire}"], *rest, **named, http=http)

    @contextmanager
    def cut(self):
        """Cut the node off from etcd while the block runs."""
        self.relay.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.relay.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the wire."""
        self.relay.kill()
        self.relay.wait()


@contextmanager
def _once(action: Callable[[], object]):
    with suppress(ProcessLookupError):
        action()
    yield


@dataclass
class Campaign:
    """Three nodes, pollers on all of them, and one fault after the other on whoever leads."""

    trio: Trio
    pollers: Pollers
    faults: Counter[str] = field(default_factory=Counter)
    changes: int = 0

    def run(self, kind: str, seconds: float) -> None:
        """Do one fault to the leader; return when somebody answers 200 again and all nodes are up."""
        leader = self.trio.leader()
        before = self.pollers.newest.token
        with self._fault(kind, leader):
            if kind in LASTING:
                self._last(before, seconds)
        self.faults[kind] += 1
        since = now()

        def answers() -> bool:
            self.trio.revive()
            newest = self.pollers.newest
            return newest.sent_at > since and newest.token >= before

        wait_for(f"a 200 after {kind}", answers, 60)
        self.changes += self.pollers.newest.token > before
        self.trio.settle()

    def _last(self, before: int, seconds: float) -> None:
        """Let a fault last until a successor answers, for `seconds` at most."""
        until = now() + seconds
        while now() < until and self.pollers.newest.token == before:
            time.sleep(0.05)
        time.sleep(max(0.0, min(_BESIDE, until - now())))

    def _switchover(self, node: HttpNode) -> None:
        *_, last = switch_over(str(node.socket), self.trio.name, "", 30.0)
        assert last["done"], last

    @contextmanager
    def _out_of_a_paused_election(self, node: HttpNode):
        """Pause, and take the leader out: nobody says yes until both are undone."""
        where, name = str(node.socket), self.trio.name
        set_paused(where, name, paused=True)
        set_standby(where, name, "", standby=True, force=True)
        left_at = now()
        try:
            yield
            # What was asked before the leader left may have been answered a moment later.
            late = self.pollers.newest
            assert late.sent_at <= left_at, f"{late}, though at {left_at} nobody could lead any more"
        finally:
            set_paused(where, name, paused=False)
            set_standby(where, name, "", standby=False, force=False)

    def _fault(self, kind: str, node: HttpNode) -> AbstractContextManager[None]:
        return {
            "kill agent": lambda: _once(lambda: kill(node, agent=True)),
            "kill guard": lambda: _once(lambda: kill(node, guard=True)),
            "kill node": lambda: _once(node.kill),
            "terminate": lambda: _once(node.stop),
            "revoke lease": lambda: _once(lambda: self.trio.cluster.etcdctl(
                "lease", "revoke", self.trio.report(node)["lease"])),
            "stop agent": lambda: stopped(node, agent=True),
            "stop guard": lambda: stopped(node, guard=True),
            "stop daemon": lambda: stopped(node, guard=True, agent=True),
            "cut from etcd": node.cut,
            "switchover": lambda: _once(lambda: self._switchover(node)),
            "pause and standby": lambda: self._out_of_a_paused_election(node),
        }[kind]()

    def table(self) -> list[str]:
        """Return the figures."""
        kinds = ", ".join(f"{count} × {kind}" for kind, count in sorted(self.faults.items()))
        found = wrong(self.pollers.yeses)
        return [
            kinds,
            f"{self.faults.total()} faults, {self.changes} changes of leader",
            f"{self.pollers.asked} answers, {len(self.pollers.yeses)} of them 200",
            f"200 of an old leader after its successor's first: {len(found)}",
            *found[:10],
        ]


LASTING = ("stop agent", "stop guard", "stop daemon", "cut from etcd", "pause and standby")
KINDS = (*LASTING, "kill agent", "kill guard", "kill node", "terminate", "revoke lease", "switchover")


@contextmanager
def campaign(directory: Path):
    """Give a campaign on running nodes; at its end no two have held."""
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(1, directory=directory / "etcd"))
        # With guard and agent stopped at once, what is not contained is outside the promise; it needs root.
        contain = os.geteuid() == 0
        trio = Trio(cluster, directory / "nodes", "answers", ttl=TTL, contain=contain, make=HttpNode)
        for node in trio.nodes.values():
            stack.callback(node.close)
        stack.callback(trio.destroy)
        trio.start()
        pollers = Pollers({name: node.port for name, node in trio.nodes.items()})
        with pollers.running():
            wait_for("the first 200", lambda: pollers.newest is not None, 20)
            yield Campaign(trio, pollers)
        trio.stop()
        if contain:
            trio.check()


@click.command()
@click.option("--faults", default=100, show_default=True, help="How many.")
@click.option("--seed", default=1, show_default=True, help="Which.")
def main(faults: int, seed: int) -> None:
    """Do random faults to three nodes while clients poll `/leader` on all of them."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="leaderd-http-") as name, campaign(Path(name)) as running:
        for number in range(faults):
            kind = dice.choice(KINDS)
            running.run(kind, dice.uniform(0.5, LONG + 2.0))
            click.echo(f"{number + 1:>4}  {kind}")
    click.echo("\n".join(running.table()))
    sys.exit(bool(wrong(running.pollers.yeses)))


if __name__ == "__main__":
    main()
