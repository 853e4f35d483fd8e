"""What operators ask of three real daemons over real etcd: another leader, standby, pause, the past."""

import json
import statistics
from collections.abc import Iterator
from typing import Any

import pytest

from leaderd.api.client import fetch_history, set_paused, set_standby, switch_over
from leaderd.demo.nodes import Node
from leaderd.errors import RefusedError
from tests.faults.actions import stopped
from tests.faults.conftest import MakeTrio
from tests.faults.figures import FIGURES
from tests.faults.trio import Trio, now, wait_for

pytestmark = pytest.mark.timeout(120)

# How often in a row the leadership is handed over for the figure.
HANDOVERS = 20


@pytest.fixture(scope="module")
def settled(make_trio: MakeTrio) -> Trio:
    """Three nodes, started once."""
    return make_trio("control", ttl=5)


@pytest.fixture
def nodes(settled: Trio) -> Iterator[Trio]:
    """The trio, steady before and after the case."""
    settled.settle()
    yield settled
    settled.settle()
    settled.check()


def hand_over(trio: Trio, asked: Node, to: str = "") -> dict[str, Any]:
    """Switch over by asking one node; return the last step."""
    return list(switch_over(str(asked.socket), trio.name, to, 30.0))[-1]


def others(trio: Trio) -> list[Node]:
    """Return the nodes that do not lead."""
    leader = trio.leader()
    return [node for node in trio.nodes.values() if node is not leader]


def states(trio: Trio, asked: Node) -> dict[str, tuple[str, str]]:
    """Return state and reason of every node as one of them sees it."""
    return {each["node"]: (each["state"], each["reason"]) for each in trio.report(asked)["nodes"]}


def test_the_named_node_leads_next_and_nobody_holds_for_milliseconds_only(nodes: Trio) -> None:
    """From whichever node it is asked for, past whoever stands before it; the gap is measured."""
    gaps, reported = [], []
    for turn in range(HANDOVERS):
        old = nodes.last()
        to = others(nodes)[turn % 2]
        asked = list(nodes.nodes.values())[turn % 3]
        step = hand_over(nodes, asked, to.name)
        assert (step["leader"], step["done"]) == (to.name, True)
        new = nodes.next_term(old, 5.0)
        assert (new.node, new.token) == (to.name, step["token"])
        gaps.append(new.start_at - old.end_at)
        reported.append(step["gap"])
        # The former leader is back in the queue before it may be named again.
        nodes.settle()
    FIGURES.append(
        f"switchover, {HANDOVERS} in a row: from stop to start {statistics.median(reported) * 1000:.0f} ms "
        f"in the median by the history, at most {max(reported) * 1000:.0f} ms; from last to first word of "
        f"the hooks' writers {statistics.median(gaps) * 1000:.0f} ms, at most {max(gaps) * 1000:.0f} ms"
    )
    assert statistics.median(reported) < 0.3


def test_without_a_name_the_oldest_of_the_highest_priority_leads_next(nodes: Trio) -> None:
    """All have the same priority here."""
    oldest = nodes.report(nodes.leader())["candidates"][1]["node"]
    assert hand_over(nodes, others(nodes)[0])["leader"] == oldest


def test_what_cannot_be_is_refused_and_changes_nothing(nodes: Trio) -> None:
    """Unknown, leading already, in standby: the same leader, the same term, no key left."""
    old, asked = nodes.last(), others(nodes)[0]
    with pytest.raises(RefusedError, match=r"no node x is known in this election; there are: a, b, c"):
        hand_over(nodes, asked, "x")
    with pytest.raises(RefusedError, match="leads already"):
        hand_over(nodes, asked, old.node)
    set_standby(str(asked.socket), nodes.name, "", standby=True, force=False)
    with pytest.raises(RefusedError, match=f"{asked.name} is in standby"):
        hand_over(nodes, asked, asked.name)
    set_standby(str(asked.socket), nodes.name, "", standby=False, force=False)
    assert nodes.last().token == old.token
    assert not nodes.cluster.etcdctl("get", f"/leaderd/control/{nodes.name}/switchover")


def test_a_node_that_does_not_answer_is_not_handed_over_to(nodes: Trio) -> None:
    """Its key still stands, but its processes do: the leader leads on, and says so in time."""
    old, to = nodes.last(), others(nodes)[1]
    refused = pytest.raises(RefusedError, match=f"{to.name} was not ready in time; {old.node} leads on")
    with stopped(to, guard=True, agent=True), refused:
        hand_over(nodes, nodes.leader(), to.name)
    assert nodes.last().token == old.token
    assert nodes.leads()


def test_standby_moves_the_leadership_and_survives_a_restart(nodes: Trio) -> None:
    """The resources stop first; the node says why it is out, others see it, and only `online` ends it."""
    old, leader = nodes.last(), nodes.leader()
    observer = others(nodes)[0]
    set_standby(str(observer.socket), nodes.name, leader.name, standby=True, force=False)
    assert not [key for key in nodes.report(observer)["candidates"] if key["node"] == leader.name]
    new = nodes.next_term(old, 10.0)
    assert new.node != leader.name
    wait_for("others to see it", lambda: states(nodes, observer)[leader.name] == ("standby", "standby"), 5.0)
    leader.kill()
    leader.start()
    wait_for("the restarted node", lambda: nodes.report(leader).get("reason") == "standby", 20.0)
    set_standby(str(leader.socket), nodes.name, "", standby=False, force=False)
    wait_for("its return", lambda: nodes.report(leader)["state"] == "candidate", 10.0)
    assert nodes.last().token == new.token


def test_the_last_fit_node_goes_into_standby_by_force_only(nodes: Trio) -> None:
    """Refused, nothing changed; with force nobody leads, until somebody is back."""
    leader = nodes.leader()
    for node in others(nodes):
        set_standby(str(node.socket), nodes.name, "", standby=True, force=False)
    with pytest.raises(RefusedError, match="no other node is fit to lead; give --force"):
        set_standby(str(leader.socket), nodes.name, "", standby=True, force=False)
    assert nodes.leads()
    set_standby(str(leader.socket), nodes.name, "", standby=True, force=True)
    wait_for("the end of the last hold", lambda: not nodes.leads(), 5.0)
    for node in nodes.nodes.values():
        set_standby(str(leader.socket), nodes.name, node.name, standby=False, force=False)


def test_while_paused_nobody_follows_a_leader_that_goes(nodes: Trio) -> None:
    """A leader leads on; when it is gone, the next one waits for `resume`, and then leads at once."""
    old, leader, (first, second) = nodes.last(), nodes.leader(), others(nodes)
    set_paused(str(first.socket), nodes.name, paused=True)
    wait_for("all to see it", lambda: all(nodes.report(n)["paused"] for n in nodes.nodes.values()), 5.0)
    with pytest.raises(RefusedError, match="the election is paused"):
        hand_over(nodes, first, second.name)
    assert nodes.leads()
    leader.stop()
    assert leader.wait(30) == 0
    wait_for("it to leave", lambda: nodes.report(first)["candidates"][0]["node"] != leader.name, 5.0)
    until = now() + nodes.ttl
    wait_for("the lease of nobody", lambda: now() > until or nodes.last().token > old.token, nodes.ttl + 5)
    assert nodes.last().token == old.token
    set_paused(str(second.socket), nodes.name, paused=False)
    resumed = now()
    assert nodes.next_term(old, 5.0).start_at - resumed < 2.0


def test_the_past_is_told_newest_first(nodes: Trio) -> None:
    """Who led from when to when, why it ended, how long nobody held; a killed node's term is closed too."""
    first, leader = nodes.last(), nodes.leader()
    leader.stop()
    assert leader.wait(30) == 0
    second = nodes.next_term(first, 10.0)
    killed = nodes.leader()
    killed.kill()
    third = nodes.next_term(second, nodes.bound)
    observer = nodes.leader()

    def told() -> bool:
        past = fetch_history(str(observer.socket), nodes.name, 3)
        return past[0]["token"] == third.token and bool(past[1]["to"])

    wait_for("the history of the newest term", told, 5.0)
    newest, lost, handed = fetch_history(str(observer.socket), nodes.name, 3)
    assert [each["token"] for each in (newest, lost, handed)] == [third.token, second.token, first.token]
    assert (newest["to"], newest["node"]) == ("", third.node)
    assert (lost["node"], lost["reason"], lost["clean"]) == (killed.name, "lease-lost", False)
    assert (handed["node"], handed["reason"], handed["clean"]) == (leader.name, "shutdown", True)
    assert 0 <= lost["gap"] < 1.0
    key = f"/leaderd/history/{nodes.name}/{first.token:020d}"
    assert json.loads(nodes.cluster.etcdctl("get", key, "--print-value-only"))["from"] == handed["from"]
