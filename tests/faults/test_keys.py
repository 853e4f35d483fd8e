"""Hands on etcd's data under a running leader: revoked, deleted, compacted, restored, foreign candidates."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.faults.actions import candidate_key, compact, epoch_key, kill, pause_for, paused
from tests.faults.conftest import MakeTrio
from tests.faults.figures import figure
from tests.faults.trio import Trio, now, wait_for

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def hands_on(make_trio: MakeTrio) -> Trio:
    """One trio; contained where that is possible."""
    return make_trio("keys", ttl=5, contain=os.geteuid() == 0)


@pytest.fixture
def nodes(hands_on: Trio) -> Iterator[Trio]:
    """It, settled before the case and after it."""
    hands_on.settle()
    yield hands_on
    hands_on.settle()
    hands_on.check()


def test_revoked_lease(cluster: Cluster, nodes: Trio) -> None:
    """`etcdctl lease revoke` of the leader's lease: it stops, releases its record, and another leads."""
    old, begun = nodes.last(), now()
    cluster.etcdctl("lease", "revoke", nodes.report(nodes.leader())["lease"])
    new = nodes.next_term(old, nodes.bound)
    figure(f"lease revoked → next start {new.start_at - begun:.3f} s")


def test_deleted_key(cluster: Cluster, nodes: Trio) -> None:
    """`etcdctl del` of the leader's key: the same."""
    old, begun = nodes.last(), now()
    key = candidate_key(nodes, nodes.report(nodes.leader())["lease"])
    assert cluster.etcdctl("del", key).strip() == "1"
    new = nodes.next_term(old, nodes.bound)
    figure(f"key deleted → next start {new.start_at - begun:.3f} s")


def test_compaction_during_a_watch(cluster: Cluster, nodes: Trio) -> None:
    """A member that slept through a compaction cancels its watches: the queue is followed all the same."""
    old = nodes.last()
    follower = cluster.follower()
    with paused(cluster, [follower]):
        compact(cluster)
        pause_for(1.0)
    compact(cluster)
    nodes.settle()
    assert nodes.last().token == old.token, "a compaction has cost the leadership"
    kill(nodes.leader(), agent=True)
    nodes.next_term(old, nodes.bound)
    nodes.settle()
    for node in nodes.nodes.values():
        assert len(nodes.report(node)["candidates"]) == 3


def test_foreign_candidate_goes_first(cluster: Cluster, make_trio: MakeTrio) -> None:
    """An `etcdctl elect` that stands before us is respected; we take over when it leaves."""
    trio = make_trio("foreign", ttl=5)
    with cluster.etcdctl_process("elect", f"/leaderd/election/{trio.name}", "by hand") as elected:
        assert elected.stdout is not None
        elected.stdout.readline()
        trio.revive()
        wait_for("three candidates", lambda: _states(trio) == ["candidate"] * 3, 30)
        pause_for(trio.ttl + 1.5)
        assert not trio.holds(), "it was not respected"
        assert _states(trio) == ["candidate"] * 3
        begun = now()
        elected.send_signal(signal.SIGINT)
        wait_for("a leader", trio.leads, trio.bound)
        figure(f"`etcdctl elect` resigned → next start {trio.last().start_at - begun:.3f} s")
    trio.settle()


def _states(trio: Trio) -> list[str]:
    return sorted(trio.report(node).get("state", "") for node in trio.nodes.values())


def test_restored_snapshot(cluster: Cluster, nodes: Trio, tmp_path: Path) -> None:
    """An etcd restored from an older snapshot promotes nobody until the epoch is raised."""
    snapshot = tmp_path / "snapshot"
    cluster.save_snapshot(snapshot)
    old = nodes.last()
    kill(nodes.leader(), agent=True)
    newer = nodes.next_term(old, nodes.bound)
    nodes.settle()
    compact(cluster)
    cluster.restore_snapshot(snapshot)

    def blocked() -> bool:
        return all(nodes.report(node).get("reason") == "revision-regressed" for node in nodes.nodes.values())

    wait_for("all nodes to notice", blocked, nodes.bound)
    # Longer than every lease and window that the snapshot may have brought back.
    pause_for(2 * nodes.ttl + 3)
    assert not nodes.leads()
    assert nodes.last().token == newer.token, f"promoted over a restored etcd: {nodes.holds()[-3:]}"
    assert blocked()
    begun = now()
    raised = {"epoch": 1, "by": "test", "since": "2026-01-01T00:00:00Z"}
    cluster.etcdctl("put", epoch_key(nodes), json.dumps(raised))
    after = nodes.next_term(newer, nodes.bound)
    assert after.token >> 40 == 1
    figure(f"restored, epoch raised → next start {after.start_at - begun:.3f} s, "
           f"token {newer.token} → {after.token}")
    nodes.settle()
    kill(nodes.leader(), agent=True)
    assert nodes.next_term(after, nodes.bound).token > after.token
