"""The faults of docs/faults.md: what is done, and what is to come of it."""

from collections.abc import Sequence
from contextlib import ExitStack

from leaderd.demo.nodes import Node
from tests.faults.actions import kill, pause_for, stopped
from tests.faults.trio import SETTLE, now, wait_for
from tests.net.measure import SLACK, Competitors, Fault, Row, finish
from tests.net.switch import ETCD
from tests.net.world import World


def planned_stop(team: Competitors, node: Node, stack: ExitStack) -> None:
    node.stop()
    stack.callback(node.wait, 30)


def kill_agent(team: Competitors, node: Node, stack: ExitStack) -> None:
    node.kill_agent()


def kill_guard_and_agent(team: Competitors, node: Node, stack: ExitStack) -> None:
    kill(node, guard=True, agent=True)


def kill_everything(team: Competitors, node: Node, stack: ExitStack) -> None:
    node.kill()


def stop_agent(team: Competitors, node: Node, stack: ExitStack) -> None:
    stack.enter_context(stopped(node, agent=True))


def stop_guard(team: Competitors, node: Node, stack: ExitStack) -> None:
    stack.enter_context(stopped(node, guard=True))


def stop_guard_and_agent(team: Competitors, node: Node, stack: ExitStack) -> None:
    stack.enter_context(stopped(node, guard=True, agent=True))


def node_death(team: Competitors, node: Node, stack: ExitStack) -> None:
    """Without its link first; a dead node's kernel has no addresses either."""
    stack.enter_context(team.switch.unplugged(node.host))
    node.kill()
    for address in team.addresses:
        team.switch.remove(node.host, address)


def partition(team: Competitors, node: Node, stack: ExitStack) -> None:
    stack.enter_context(team.switch.cut(node.host))


def partition_from_etcd(team: Competitors, node: Node, stack: ExitStack) -> None:
    stack.enter_context(team.switch.without_etcd(node.host))


def interface_down(team: Competitors, node: Node, stack: ExitStack) -> None:
    stack.enter_context(team.switch.down(node.host))


def after_lease(ttl: int) -> float:
    return ttl + SLACK


FAULTS = {
    "planned stop": Fault(planned_stop, lambda ttl: 1.5),
    "kill -9 of the agent": Fault(kill_agent, lambda ttl: 2.0),
    "kill -9 of guard and agent": Fault(kill_guard_and_agent, after_lease),
    "everything killed at once": Fault(kill_everything, after_lease),
    "SIGSTOP of the agent": Fault(stop_agent, after_lease),
    "SIGSTOP of the guard": Fault(stop_guard, None, lasts=6.0),
    "SIGSTOP of guard and agent": Fault(stop_guard_and_agent, after_lease),
    "node death": Fault(node_death, after_lease),
    "partition of the holder": Fault(partition, after_lease),
    "partition from etcd only": Fault(partition_from_etcd, after_lease),
    "interface down": Fault(interface_down, after_lease),
}
# What is done to etcd is done to everybody at once; so many seconds each.
ETCD_FAULTS = {"etcd's leader killed": 4.0, "etcd away": 8.0}


def suffer_etcd(
    world: World, teams: Sequence[Competitors], name: str, linger: float = 0.3
) -> list[Row]:
    """Kill etcd's leader, or all of etcd, start it again, and wait until somebody of every team answers."""
    victims = [world.etcd.leader()] if name == "etcd's leader killed" else list(ETCD)
    holders = world.each(lambda team: team.steady(), teams)
    rows = [Row(team.system, team.ttl, name, now(), node.host)
            for team, node in zip(teams, holders, strict=True)]
    with world.etcd.killed(victims):
        pause_for(ETCD_FAULTS[name])

    def recover(team: Competitors) -> None:
        row = rows[teams.index(team)]
        wait_for("an answer", lambda: bool(team.sight.holder(team.addresses[0])), SETTLE)
        pause_for(linger)
        until = now()
        team.repair(team.hosts[row.host])
        team.steady()
        finish(team, row, until)

    world.each(recover, teams)
    return rows
