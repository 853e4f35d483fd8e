"""Operators' commands as operators give them, to three real daemons over real etcd.

tests/faults/test_control.py has what the daemons then do; this is about the whole way from the command line.
"""

import json
from collections.abc import Iterator

import pytest

from leaderd.demo.nodes import Node
from tests.cli.helpers import leaderd
from tests.faults.conftest import MakeTrio
from tests.faults.trio import Trio, wait_for

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def settled(make_trio: MakeTrio) -> Trio:
    """Three nodes, started once."""
    return make_trio("verbs", ttl=5)


@pytest.fixture
def nodes(settled: Trio) -> Iterator[Trio]:
    """The trio, steady before and after the case."""
    settled.settle()
    yield settled
    settled.settle()
    settled.check()


def said(node: Node, *words: str, code: int = 0) -> str:
    """Give a command to one node's daemon; return what it prints, on whichever stream."""
    result = leaderd(*words, "--socket", str(node.socket))
    assert result.returncode == code, f"{words}: {result.returncode} {result.stdout}{result.stderr}"
    assert (result.stderr if code == 0 else "") == ""
    return result.stdout or result.stderr


def other(trio: Trio) -> Node:
    """Return a node that does not lead."""
    return next(node for node in trio.nodes.values() if node is not trio.leader())


def test_a_handover_from_the_command_line(nodes: Trio) -> None:
    """Named, verified, in the history, explained, and in the log of whoever was asked."""
    old, to = nodes.last(), other(nodes)
    assert "is the newest token" in said(nodes.leader(), "verify", nodes.name, str(old.token))
    *_, last = said(to, "switchover", nodes.name, "--to", to.name, "-o", "json").splitlines()
    step = json.loads(last)
    assert (step["leader"], step["done"]) == (to.name, True)
    new = nodes.next_term(old, 5.0)
    assert (new.node, new.token) == (to.name, step["token"])
    assert "is stale" in said(to, "verify", nodes.name, str(old.token), code=1)
    newest, before, *_ = json.loads(said(to, "history", nodes.name, "-o", "json"))
    assert (newest["token"], newest["node"], newest["to"]) == (new.token, to.name, "")
    assert (before["token"], before["reason"], before["clean"]) == (old.token, "switchover", True)
    assert f"Node {to.name} leads with token {new.token}" in said(to, "explain", nodes.name)
    asked = [json.loads(line) for line in to.log.read_text().splitlines() if "asked by an operator" in line]
    assert (asked[-1]["verb"], asked[-1]["to"]) == ("switchover", to.name)
    assert asked[-1]["caller"].startswith("pid ")


def test_a_refusal_from_the_command_line(nodes: Trio) -> None:
    """One line, exit 1, the same leader."""
    old = nodes.last()
    text = said(other(nodes), "switchover", nodes.name, "--to", old.node, code=1)
    assert text.startswith("leaderd: ")
    assert "leads already" in text
    assert len(text.splitlines()) == 1
    assert nodes.last().token == old.token


def test_maintenance_of_the_leader(nodes: Trio) -> None:
    """Standby moves the leadership away; status and explain say why the node is out; online ends it."""
    old, leader = nodes.last(), nodes.leader()
    said(leader, "standby")
    assert nodes.next_term(old, 10.0).node != leader.name
    wait_for("the standby", lambda: nodes.report(leader)["reason"] == "standby", 5.0)
    assert f"`leaderd online {nodes.name}`" in said(leader, "explain")
    said(other(nodes), "online", "--node", leader.name)
    wait_for("its return", lambda: nodes.report(leader)["state"] == "candidate", 10.0)


def test_a_pause_is_seen_and_explained_on_every_node(nodes: Trio) -> None:
    """Until it is resumed, on whichever node."""
    said(nodes.leader(), "pause", nodes.name)
    asked = other(nodes)
    wait_for("the pause", lambda: bool(nodes.report(asked)["paused"]), 5.0)
    assert f"`leaderd resume {nodes.name}`" in said(asked, "explain")
    said(asked, "resume", nodes.name)
    wait_for("the end of it", lambda: not any(nodes.report(n)["paused"] for n in nodes.nodes.values()), 5.0)


def test_a_raised_epoch_makes_larger_tokens(nodes: Trio) -> None:
    """As after a restore; what was handed out before stays smaller."""
    old = nodes.last()
    epoch = json.loads(said(other(nodes), "epoch", "raise", nodes.name, "-o", "json"))["epoch"]
    assert epoch == 1
    nodes.settle()
    said(other(nodes), "switchover", nodes.name)
    new = nodes.next_term(old, nodes.bound)
    assert new.token >> 40 == epoch
    said(nodes.leader(), "verify", nodes.name, str(new.token))


def test_without_etcd_it_cannot_be_said(nodes: Trio) -> None:
    """Exit 4 and the endpoints, well before anybody's patience; what the daemon knows itself it tells."""
    asked = other(nodes)
    members = range(len(nodes.cluster.members))
    for index in members:
        nodes.cluster.pause(index)
    try:
        text = said(asked, "verify", nodes.name, "7", code=4)
        assert "etcd" in text
        assert len(text.splitlines()) == 1
        assert "it may be done all the same" in said(asked, "pause", nodes.name, code=4)
        assert nodes.name in said(asked, "status")
    finally:
        for index in members:
            nodes.cluster.resume(index)
    nodes.cluster.wait_healthy()
    # The members may have found it when they went on.
    said(asked, "resume", nodes.name)
