"""Three nodes that compete for an address with the guarantee at least one, and a story of etcd away."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leaderd.api.client import fetch_status
from leaderd.errors import LeaderdError
from tests.faults.actions import pause_for
from tests.faults.trio import now, wait_for
from tests.net.hosts import EtcdHosts, NetNode
from tests.net.sight import Sight, shared
from tests.net.switch import ETCD, NODES, Switch, length
from tests.net.world import World

# Longer than a lease by any measure: whoever kept to its lease has let go.
AWAY = 2.0
# For so long nothing may move once one holds with a proof, seconds.
STILL = 1.5
# What a busy machine may add, seconds.
SLACK = 3.0


class FloorTeam:
    """Nodes whose election has nothing but addresses; see `tests.net.team.Team` for the arguments."""

    system = "leaderd"

    def __init__(
        self, name: str, directory: Path, switch: Switch, etcd: EtcdHosts, addresses: list[str], *, ttl: int
    ) -> None:
        self.name, self.ttl, self.switch = name, ttl, switch
        self.addresses = addresses
        self.sight: Sight
        listed = ", ".join(f'"{each}/{length(each)}"' for each in addresses)
        election = (f'[[election]]\nname = "{name}"\nguarantee = "at-least-one"\nttl = {ttl}\n'
                    f'[[election.resource]]\nname = "address"\ntype = "vip"\naddresses = [{listed}]\n'
                    'interface = "eth0"\n')
        self.nodes: dict[str, NetNode] = {}
        for each in NODES:
            host = f"{name}{each}"
            node = NetNode(each, directory / name / each, etcd.endpoints, election)
            node.host, node.space = host, switch.space(host)
            self.nodes[host] = node

    def report(self, host: str) -> dict[str, Any]:
        """Return what a node says of the election, {} when it says nothing."""
        try:
            found: dict[str, Any] = fetch_status(str(self.nodes[host].socket))["elections"][0]
        except LeaderdError:
            return {}
        return found

    def having(self) -> list[str]:
        """Return the hosts that have the address, by their kernels."""
        return [host for host in self.nodes if self.addresses[0] in self.switch.configured(host)]

    def proven(self) -> list[str]:
        """Return who leads with a proof and who else, by their own word, or has the address."""
        reports = {host: self.report(host) for host in self.nodes}
        leading = [host for host, each in reports.items() if each.get("state") == "leader" and each["proven"]]
        return leading if self.having() == leading else ["undecided"]

    def one_leads(self, timeout: float) -> str:
        """Wait until one leads with a proof and is the only one that has the address; return its host."""
        wait_for("one proven holder", lambda: self.proven() not in ([], ["undecided"]), timeout)
        return self.proven()[0]

    def destroy(self) -> None:
        """Kill all nodes."""
        for node in self.nodes.values():
            if node.running:
                node.kill()


@dataclass
class Story:
    """What was seen; durations in seconds.

    Attributes:
        kept: The client's longest wait for an answer while etcd was away.
        moved: How often another host began to have the address, by chapter.
        reports: What was said by whom holds, by chapter.
        taken: From the death of the leader to the first answer of the next.
        settled: From etcd's return, or the partition's end, to one proven holder.
        outage: The client's longest wait for an answer meanwhile and after.
        shared: For how long two hosts had the address, by chapter.
    """

    kept: float = 0.0
    taken: float = 0.0
    moved: dict[str, int] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    settled: dict[str, float] = field(default_factory=dict)
    outage: dict[str, float] = field(default_factory=dict)
    shared: dict[str, float] = field(default_factory=dict)


def tell(world: World, team: FloorTeam) -> Story:
    """Go through it: etcd away, the leader dead, etcd back; one cut off from etcd; then a partition."""
    story, sight = Story(), world.sight
    for node in team.nodes.values():
        node.start()
    first = team.one_leads(60.0)
    wait_for("candidates", lambda: len(team.report(first).get("candidates", [])) == len(team.nodes), 30.0)
    with world.etcd.killed(list(ETCD)):
        since = now()
        pause_for(AWAY * team.ttl)
        _close(story, sight, team, "etcd away", since)
        story.kept = story.outage["etcd away"]
        assert team.having() == [first]
        story.reports["etcd away"] = team.report(first)
        since = now()
        team.nodes[first].kill()
        taken = _next(team, first)
        story.taken = now() - since
        wait_for("its word", lambda: team.report(taken).get("state") == "leader", 5.0)
        story.reports["leader dead"] = team.report(taken)
        _close(story, sight, team, "leader dead", since)
        team.nodes[first].start()
        since = now()
    _reunite(story, sight, team, "etcd back", since)
    _cut_off(story, sight, team)
    _partition(story, sight, team)
    return story


def _next(team: FloorTeam, first: str) -> str:
    wait_for("another holder", lambda: team.sight.holder(team.addresses[0]) not in ("", first),
             3.0 * team.ttl + SLACK + 10.0)
    return team.sight.holder(team.addresses[0])


def _cut_off(story: Story, sight: Sight, team: FloorTeam) -> None:
    """Cut the holder off from etcd alone: another is elected, is heard on the network, and has it alone."""
    cut = team.one_leads(5.0)
    since = now()
    with team.switch.without_etcd(cut):
        wait_for("another proven holder", lambda: team.proven() not in ([], ["undecided"], [cut]),
                 3.0 * team.ttl + SLACK)
        story.settled["cut off from etcd"] = now() - since
        _close(story, sight, team, "cut off from etcd", since)


def _partition(story: Story, sight: Sight, team: FloorTeam) -> None:
    """Cut the holder off: it holds on, and another one is elected. That is the price."""
    cut = team.one_leads(5.0)
    since = now()
    with team.switch.cut(cut):
        other = _next(team, cut)
        wait_for("a proof of the other's", lambda: bool(team.report(other).get("proven")), 10.0)
        pause_for(2.0)
        story.reports["partition"] = team.report(cut)
        story.shared["partition"] = sight.overlap(team.addresses[0], since)
        since = now()
    _reunite(story, sight, team, "partition over", since)
    assert team.having() == [other], "the one with the proof keeps it"


def _reunite(story: Story, sight: Sight, team: FloorTeam, chapter: str, since: float) -> None:
    team.one_leads(3.0 * team.ttl + SLACK + 10.0)
    story.settled[chapter] = now() - since
    pause_for(STILL)
    team.one_leads(0.5)
    _close(story, sight, team, chapter, since)


def _close(story: Story, sight: Sight, team: FloorTeam, chapter: str, since: float) -> None:
    until = now()
    address = team.addresses[0]
    story.moved[chapter] = sum(begin > since for _, begin, _ in sight.holds(address, since))
    story.outage[chapter] = max(sight.outage(each, since, until) for each in team.addresses)
    holds = [(host, max(begin, since), end) for host, begin, end in sight.holds(address, since)]
    story.shared.setdefault(chapter, shared(holds, until))


