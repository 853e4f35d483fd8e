"""Three nodes of leaderd, each on a host of its own, that compete for an address and a daemon."""

from pathlib import Path
from typing import Any

from leaderd.core.lease import Timing
from leaderd.demo.journal import Hold, overlaps
from leaderd.demo.nodes import Node
from tests.faults.actions import pause_for
from tests.faults.trio import Trio, wait_for
from tests.net.hosts import EtcdHosts, NetNode
from tests.net.sight import Sight
from tests.net.switch import Switch, length

# How often a node is asked how it is while it comes back, seconds: asking costs it and us processor time.
LOOK = 0.15


class Team(Trio):
    """A trio whose election has the addresses first, then a contained daemon that a hook starts.

    Args:
        name: Of team and election.
        directory: For its files.
        switch: With its hosts.
        etcd: That the nodes use.
        addresses: Without their prefixes.
        ttl: Whole seconds.
    """

    system = "leaderd"

    def __init__(
        self, name: str, directory: Path, switch: Switch, etcd: EtcdHosts, addresses: list[str], *, ttl: int
    ) -> None:
        self.switch = switch
        self.addresses = addresses
        self.sight: Sight

        def make(node: str, *arguments: Any, **settings: Any) -> NetNode:
            made = NetNode(node, *arguments, **settings)
            made.host = f"{name}{node}"
            made.space = switch.space(made.host)
            return made

        listed = ", ".join(f'"{each}/{length(each)}"' for each in addresses)
        vip = (f'[[election.resource]]\nname = "address"\ntype = "vip"\naddresses = [{listed}]\n'
               'interface = "eth0"\n')
        super().__init__(etcd, directory / name, name, ttl=ttl, contain=True, make=make, more=vip)

    @property
    def hosts(self) -> dict[str, NetNode]:
        """Nodes by the names of their hosts."""
        return {node.host: node for node in self.nodes.values()}

    def steady(self, timeout: float = 60.0, *, candidates: int = 2) -> Node:
        """Start whatever is down; wait for a leader that answers the client, and so many candidates.

        Returns:
            The leader.
        """
        why = ""

        def so() -> bool:
            nonlocal why
            self.revive()
            host = self.sight.holder(self.addresses[0])
            why = f"{host or 'nobody'} answers"
            if host not in self.hosts or not self.leads() or self.last().node != self.hosts[host].name:
                return False
            states = {each.host: self.report(each).get("state", "") for each in self.nodes.values()}
            why += f", {states}"
            if states[host] == "leader" and list(states.values()).count("candidate") >= candidates:
                return True
            pause_for(LOOK)
            return False

        try:
            wait_for(f"a leader of {self.name} that answers", so, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}: {why}; {self.tails()}") from None
        return self.hosts[self.sight.holder(self.addresses[0]) or f"{self.name}{self.last().node}"]

    def repair(self, node: Node) -> None:
        """Nothing to do by hand: whatever happened, the next start cleans up."""

    def work(self, since: float) -> list[Hold]:
        """Return the times that the daemon ran and that end after an instant."""
        return [hold for hold in self.holds() if hold.end_at > since]

    def lease_left(self, node: Node) -> float:
        """Return for how many seconds etcd will keep a leader's lease if it is renewed no more."""
        valid_for = float(self.report(node)["valid_for"])
        return valid_for + self.ttl - Timing.scaled(self.ttl, vip=True).stop_after

    def promise(self) -> list[str]:
        """Return what has broken the promise since the beginning, in words."""
        found = [f"{address} was at two hosts for {seconds:.3f} s: {self.sight.holds(address)}"
                 for address in self.addresses if (seconds := self.sight.overlap(address))]
        if pairs := overlaps(self.holds()):
            found.append(self.describe(pairs))
        return [f"{self.name}: {each}" for each in found]
