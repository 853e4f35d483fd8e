"""Nodes in containers, broken as one breaks containers: never two answer for the address at once.

The commit gate runs the cases marked `gate`; `make compose-faults` runs all of them.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.compose import documented
from tests.compose.deployment import ADDRESSES, ETCD, NODES, ROOT, Deployment
from tests.compose.engine import docker
from tests.compose.observed import Observer, now
from tests.faults.figures import figure
from tests.faults.trio import wait_for

pytestmark = pytest.mark.timeout(180)

TTL = 10
# After a lease has run out: etcd's own delay, the probe for duplicates, and a busy machine.
SLACK = 4.0
# More than one question may get lost on a busy machine without anybody having stopped to answer.
BLINK = 1.0
FROZEN = TTL + 3.0


@dataclass(frozen=True, slots=True)
class Scene:
    """One case: the deployment, who watches it, and who led when it began."""

    nodes: Deployment
    observer: Observer
    leader: str
    at: float

    @property
    def sidecar(self) -> str:
        return f"leaderd-{self.leader}"

    @property
    def app(self) -> str:
        return f"app-{self.leader}"

    @property
    def pod(self) -> str:
        return f"node-{self.leader}"

    def moved(self, within: float) -> None:
        """Wait until another node answers."""
        wait_for("an answer of another node", lambda: self.observer.holder() not in ("", self.leader), within)

    def silent(self, within: float) -> None:
        """Wait until nobody answers, and its kernel has the address no more."""
        wait_for("silence", lambda: not self.observer.holder(), within)
        assert not self.nodes.holds(self.leader)

    def stays(self, seconds: float) -> None:
        """Assert that the leader answers all that time."""
        until = now() + seconds
        wait_for("the time to pass", lambda: now() > until, seconds + 10)
        assert self.observer.turns(self.at) == [self.leader]
        assert self.outage() < BLINK

    def outage(self) -> float:
        """Return the longest silence since the case began."""
        return self.observer.outage(self.at)


def kill_sidecar(scene: Scene) -> None:
    scene.nodes.do("kill", scene.sidecar)
    scene.moved(TTL + SLACK)
    scene.nodes.do("start", scene.sidecar)


def kill_app(scene: Scene) -> None:
    scene.nodes.do("kill", scene.app)
    scene.moved(2 + SLACK)
    scene.nodes.do("start", scene.app)


def kill_sidecar_and_app(scene: Scene) -> None:
    scene.nodes.do("kill", scene.sidecar, scene.app)
    scene.moved(TTL + SLACK)
    scene.nodes.do("start", scene.sidecar, scene.app)


def kill_etcd_follower(scene: Scene) -> None:
    member = next(member for member in ETCD if member != scene.nodes.etcd_leader())
    scene.nodes.do("kill", member)
    scene.stays(4)
    scene.nodes.do("start", member)


def kill_etcd_leader(scene: Scene) -> None:
    member = scene.nodes.etcd_leader()
    scene.nodes.do("kill", member)
    scene.stays(6)
    scene.nodes.do("start", member)


def kill_etcd_majority(scene: Scene) -> None:
    scene.nodes.do("kill", *ETCD[:2])
    scene.silent(TTL + SLACK)
    scene.nodes.do("start", *ETCD[:2])


def pause_etcd_leader(scene: Scene) -> None:
    member = scene.nodes.etcd_leader()
    scene.nodes.do("pause", member)
    scene.stays(FROZEN)
    scene.nodes.do("unpause", member)


def pause_sidecar(scene: Scene) -> None:
    scene.nodes.do("pause", scene.sidecar)
    scene.silent(TTL + SLACK)
    scene.moved(TTL + SLACK)
    thawed = now()
    scene.nodes.do("unpause", scene.sidecar)
    wait_for("the old leader in the queue", lambda: scene.nodes.state(scene.leader) == "candidate", 30)
    assert scene.leader not in scene.observer.turns(thawed)


def pause_node(scene: Scene) -> None:
    scene.nodes.do("pause", scene.sidecar, scene.app, scene.pod)
    scene.moved(TTL + SLACK)
    thawed = now()
    scene.nodes.do("unpause", scene.pod, scene.app, scene.sidecar)
    wait_for("the old leader in the queue", lambda: scene.nodes.state(scene.leader) == "candidate", 30)
    assert scene.leader not in scene.observer.turns(thawed)


def pause_app(scene: Scene) -> None:
    scene.nodes.do("pause", scene.app)
    scene.moved(4 + SLACK)
    scene.nodes.do("unpause", scene.app)


def disconnect_from_etcd(scene: Scene) -> None:
    scene.nodes.disconnect("etcd", scene.leader)
    scene.moved(TTL + SLACK)
    scene.nodes.connect("etcd", scene.leader)


def disconnect_from_clients(scene: Scene) -> None:
    scene.nodes.disconnect("clients", scene.leader)
    scene.moved(TTL + SLACK)
    scene.nodes.connect("clients", scene.leader)
    restart_all_of(scene)


def disconnect_from_all(scene: Scene) -> None:
    scene.nodes.disconnect("clients", scene.leader)
    scene.nodes.disconnect("etcd", scene.leader)
    scene.moved(TTL + SLACK)
    scene.nodes.connect("clients", scene.leader)
    scene.nodes.connect("etcd", scene.leader)
    restart_all_of(scene)


def restart_all_of(scene: Scene) -> None:
    """Restart the owner of the network, and what has joined it: it must join the new one."""
    scene.nodes.do("restart", scene.pod, time="0")
    scene.nodes.do("restart", scene.app, scene.sidecar, time="5")


def restart_sidecar(scene: Scene) -> None:
    scene.nodes.do("restart", scene.sidecar)
    scene.moved(SLACK)
    assert scene.outage() < BLINK


def restart_app(scene: Scene) -> None:
    scene.nodes.do("restart", scene.app)


def restart_node(scene: Scene) -> None:
    restart_all_of(scene)
    scene.moved(TTL + SLACK)


def upgrade_all(scene: Scene) -> None:
    """Every sidecar replaced, the next when all wait or lead again: one change of leader at most each."""
    for node in NODES:
        at = now()
        scene.nodes.replace_sidecar(node, scene.nodes.newer)
        scene.nodes.settled(scene.observer)
        assert len(scene.observer.turns(at)) <= 2
        assert scene.observer.outage(at) < BLINK


def stop_and_start_all(scene: Scene) -> None:
    scene.nodes.compose("stop", "--timeout", "10")
    scene.silent(5)
    scene.nodes.compose("start")


# What, and whether the commit gate has the time for it.
FAULTS: dict[str, tuple[Callable[[Scene], None], bool]] = {
    "kill of the sidecar": (kill_sidecar, True),
    "kill of the application": (kill_app, True),
    "kill of sidecar and application": (kill_sidecar_and_app, False),
    "kill of an etcd follower": (kill_etcd_follower, False),
    "kill of the etcd leader": (kill_etcd_leader, True),
    "kill of two members of etcd": (kill_etcd_majority, False),
    "pause of the etcd leader": (pause_etcd_leader, False),
    "pause of the sidecar": (pause_sidecar, True),
    "pause of the whole node": (pause_node, False),
    "pause of the application": (pause_app, False),
    "network: no etcd": (disconnect_from_etcd, True),
    "network: no clients": (disconnect_from_clients, False),
    "network: nothing": (disconnect_from_all, False),
    "restart of the sidecar": (restart_sidecar, False),
    "restart of the application": (restart_app, False),
    "restart of the whole node": (restart_node, False),
    "upgrade of all sidecars": (upgrade_all, True),
    "stop and start of everything": (stop_and_start_all, True),
}


def cases() -> list[object]:
    """The cases; those without a place in the gate need the option."""
    return [
        pytest.param(do, id=name, marks=[] if gate else [pytest.mark.compose_faults])
        for name, (do, gate) in FAULTS.items()
    ]


def test_from_up_to_the_first_answer(deployment: Deployment, observer: Observer) -> None:
    """Of images that are there: containers, etcd, and the full window that the first leader ever waits."""
    deployment.settled(observer)
    took = observer.answers()[0].at - deployment.began
    figure(f"compose: first answer {took:.1f} s after `up`")
    assert took < 60


def test_the_address_comes_to_the_network_of_the_clients(deployment: Deployment) -> None:
    """Whatever order the engine gives to the interfaces of a container, which newer ones do not promise."""
    with (ROOT / "deploy/compose/leaderd.toml").open("rb") as file:
        interface = tomllib.load(file)["election"][0]["resource"][0]["interface"]
    found = [deployment.addresses(node)[ADDRESSES["clients"][f"node-{node}"]] for node in NODES]
    assert found == [interface] * len(NODES)


@pytest.mark.parametrize("fault", cases())
def test_never_two_answer(
    deployment: Deployment, observer: Observer, fault: Callable[[Scene], None],
    request: pytest.FixtureRequest,
) -> None:
    """Asked every 20 ms: one node answers before and after, and no question has two answers."""
    scene = Scene(deployment, observer, deployment.settled(observer), now())
    try:
        fault(scene)
        deployment.settled(observer)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{deployment.logs()}") from error
    assert observer.both() == []
    figure(f"compose, {request.node.callspec.id}: nobody answered for {scene.outage():.2f} s; "
           f"asked at least every {observer.slowness(scene.at) * 1000:.0f} ms; never two answers")


BEGUN, WATCHED, *BROKEN = documented.blocks("compose.md")


def test_what_the_page_shows_is_seen(deployment: Deployment, observer: Observer, tmp_path: Path) -> None:
    deployment.settled(observer)
    assert "candidate" in documented.run(WATCHED, deployment, tmp_path)


@pytest.mark.compose_faults
@pytest.mark.parametrize("block", [BEGUN, *BROKEN], ids=lambda block: block.splitlines()[0])
def test_the_page_can_be_copied(
    deployment: Deployment, observer: Observer, tmp_path: Path, block: str,
) -> None:
    """Each block of docs/compose.md leaves three nodes that are well; the last one ends with nothing."""
    deployment.settled(observer)
    block, _, end = block.partition("docker compose down")
    documented.run(block, deployment, tmp_path)
    deployment.settled(observer)
    assert observer.both() == []
    if end:
        documented.run(f"docker compose down{end}", deployment, tmp_path)
        assert docker("ps", "--all", "--quiet", f"--filter=name={deployment.project}") == ""
