"""An address that moves between hosts: never at two of them, and a client is served again in time."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.figures import figure
from tests.faults.trio import wait_for
from tests.net.switch import NODES, VIP, EtcdHosts, NetNode, Switch, Watcher, now
from tests.netns import needs_netns

pytestmark = [needs_netns, pytest.mark.timeout(240)]

# After the lease of a dead holder: etcd's own delay, the probe for duplicates, and a busy machine.
SLACK = 3.0


class Net:
    """The hosts and what runs on them."""

    def __init__(self, directory: Path, ttl: int) -> None:
        self.ttl = ttl
        self.ends = ExitStack()
        with ExitStack() as undo:
            self.switch = undo.enter_context(closing(Switch()))
            self.etcd = undo.enter_context(closing(EtcdHosts(self.switch, directory)))
            self.watcher = undo.enter_context(closing(Watcher(self.switch, directory)))
            self.ends = undo.pop_all()
        text = (
            f'[[election]]\nname = "db"\nttl = {ttl}\n[[election.resource]]\nname = "address"\n'
            f'type = "vip"\naddress = "{VIP}/24"\ninterface = "eth0"\n'
        )
        self.nodes = {}
        for name in NODES:
            node = self.nodes[name] = NetNode(name, directory / name, self.etcd.endpoints, text)
            node.space = self.switch.space(name)
            node.start()

    def close(self) -> None:
        for node in self.nodes.values():
            if node.running:
                node.kill()
        self.ends.close()

    def settled(self) -> NetNode:
        """Wait for a holder that answers and two that wait; return the holder."""
        def steady() -> bool:
            for node in self.nodes.values():
                if not node.running:
                    node.start()
            states = sorted(self.state(node) for node in self.nodes.values())
            return states == ["candidate", "candidate", "leader"] and bool(self.watcher.holder())

        try:
            wait_for("a leader that answers", steady, 60)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.tails()}") from None
        return self.nodes[self.watcher.holder()]

    @staticmethod
    def state(node: NetNode) -> str:
        from leaderd.api.client import fetch_status
        from leaderd.errors import LeaderdError

        try:
            return str(fetch_status(str(node.socket), timeout=0.5)["elections"][0]["state"])
        except LeaderdError:
            return "no answer"

    def tails(self) -> str:
        return "".join(
            f"\n{name}: {line[:300]}" for name, node in self.nodes.items()
            for line in node.log.read_text(errors="replace").splitlines()[-8:]
        )

    def outage_after(self, at: float, old: str) -> float:
        """Wait until another node answers; return for how long the client got no answer at all."""
        wait_for("an answer of another node", lambda: self.watcher.holder() not in ("", old),
                 self.ttl + SLACK + 20)
        replies = self.watcher.replies(at - 0.5)
        times = [each for each, _ in replies]
        return max(later - earlier for earlier, later in pairwise(times))

    def overlap(self) -> float:
        """Return for how long two nodes had the address at the same time, by their kernels."""
        holds = self.watcher.holds()
        return max([0.0, *(end - begin for (_, _, end), (_, begin, _) in pairwise(holds))])

    def check(self) -> None:
        """Assert the promise, by the kernels and by what the client has seen."""
        assert self.overlap() == 0.0, self.watcher.holds()
        turns = [name for _, name in self.watcher.replies()]
        changes = [b for a, b in pairwise(turns) if a != b]
        ends = [name for name, _, _ in self.watcher.holds()]
        assert len(changes) < len(ends), "answers went back and forth"


@pytest.fixture(scope="module", params=[5, 10], ids=["ttl 5", "ttl 10"])
def net(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    net = Net(tmp_path_factory.mktemp("net"), request.param)
    yield net
    net.close()


def planned_stop(net: Net, node: NetNode) -> None:
    node.stop()


def kill_agent(net: Net, node: NetNode) -> None:
    node.kill_agent()


def stop_agent(net: Net, node: NetNode) -> None:
    node.signal(signal.SIGSTOP, agent=True)


def kill_everything(net: Net, node: NetNode) -> None:
    node.kill()


def partition(net: Net, node: NetNode) -> None:
    net.switch.cut(node.name)


# What, and after how long at most somebody else answers, given a ttl.
FAULTS: dict[str, tuple[Callable[[Net, NetNode], None], Callable[[int], float]]] = {
    "planned stop": (planned_stop, lambda ttl: 1.0),
    "kill -9 of the agent": (kill_agent, lambda ttl: 1.5),
    "SIGSTOP of the agent": (stop_agent, lambda ttl: ttl + SLACK),
    "everything killed at once": (kill_everything, lambda ttl: ttl + SLACK),
    "partition of the holder": (partition, lambda ttl: ttl + SLACK),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_address_moves_and_is_never_at_two_nodes(net: Net, fault: str) -> None:
    """The kernels' own reports: overlap 0; the client's echo requests every 20 ms: the outage."""
    node = net.settled()
    do, bound = FAULTS[fault]
    at = now()
    do(net, node)
    try:
        outage = net.outage_after(at, node.name)
        net.check()
        gone = [end for name, begin, end in net.watcher.holds() if name == node.name and begin < at]
        taken = [begin for name, begin, _ in net.watcher.holds() if name != node.name and begin > at]
        figure(f"vip, ttl {net.ttl}, {fault}: client without an answer for {outage:.2f} s; the address was "
               f"gone {taken[0] - gone[-1]:.2f} s before the next node had it; overlap {net.overlap():.0f}")
        assert outage < bound(net.ttl)
    finally:
        net.switch.cut(node.name, off=False)
        if fault == "SIGSTOP of the agent" and node.agent:
            node.signal(signal.SIGCONT, agent=True)
    net.settled()
    net.check()
