"""Kill, stop and stall etcd's members: nobody holds beside another, and somebody leads again."""

import contextlib
from collections.abc import Iterator

import pytest

from leaderd.core.lease import Timing
from tests.cluster import Cluster, why_no_stall
from tests.faults.actions import killed, move_leader, pause_for, paused, stalled
from tests.faults.conftest import MakeTrio
from tests.faults.figures import figure
from tests.faults.trio import Trio, now, wait_for

pytestmark = pytest.mark.timeout(240)

ALL = (0, 1, 2)
# A revocation that failed is repeated by etcd after so many seconds (docs/etcd.md §2).
REVOKE_AGAIN = 7.0
# Long enough for etcd to choose another leader, and for a renewal or two after that.
DOWN = 4.0


@pytest.fixture(scope="module")
def both(make_trio: MakeTrio) -> list[Trio]:
    """A trio at the defaults that knows all members, and one with half the TTL, each node with one member."""
    trios = [make_trio("ten", ttl=10), make_trio("five", ttl=5, local=True)]
    for trio in trios:
        trio.revive()
    return trios


@pytest.fixture
def trios(both: list[Trio]) -> Iterator[list[Trio]]:
    """Both, settled before the case and after it."""
    for trio in both:
        trio.settle()
    yield both
    for trio in both:
        trio.settle()
        trio.check()


@contextlib.contextmanager
def leading_again(trios: list[Trio]) -> Iterator[None]:
    """Assert that after the block somebody leads within the bound."""
    yield
    for trio in trios:
        wait_for(f"a leader of {trio.name}", trio.leads, trio.bound + REVOKE_AGAIN)


@pytest.mark.parametrize("member", ALL)
def test_kill_member(cluster: Cluster, trios: list[Trio], member: int) -> None:
    """Kill −9 of one member, etcd's leader or not."""
    role = "leader" if cluster.leader() == member else "follower"
    before = {trio.name: trio.last().token for trio in trios}
    with leading_again(trios), killed(cluster, [member]):
        pause_for(DOWN)
    demotions = [trio.name for trio in trios if trio.last().token != before[trio.name]]
    figure(f"member {member} ({role}) killed for {DOWN:g} s: leadership lost by {demotions or 'none'}")
    assert "ten" not in demotions


@pytest.mark.parametrize("member", ALL)
def test_pause_member(cluster: Cluster, trios: list[Trio], member: int) -> None:
    """SIGSTOP of one member for longer than the shorter TTL."""
    role = "leader" if cluster.leader() == member else "follower"
    before = {trio.name: trio.last().token for trio in trios}
    with leading_again(trios), paused(cluster, [member]):
        pause_for(trios[1].ttl + 1)
    demotions = [trio.name for trio in trios if trio.last().token != before[trio.name]]
    figure(f"member {member} ({role}) stopped for {trios[1].ttl + 1} s: "
           f"leadership lost by {demotions or 'none'}")
    assert "ten" not in demotions


@pytest.mark.parametrize("kind", ["killed", "stopped"])
def test_lose_etcd_leader(cluster: Cluster, trios: list[Trio], kind: str) -> None:
    """Kill −9 or SIGSTOP of whichever member leads etcd, the latter beyond both TTLs."""
    fault, seconds = (killed, DOWN) if kind == "killed" else (paused, trios[0].ttl + 1)
    before = {trio.name: trio.last().token for trio in trios}
    with leading_again(trios), fault(cluster, [cluster.leader()]):
        pause_for(seconds)
    demotions = [trio.name for trio in trios if trio.last().token != before[trio.name]]
    figure(f"etcd's leader {kind} for {seconds:g} s: leadership lost by {demotions or 'none'}")
    assert "ten" not in demotions


@pytest.mark.parametrize("kind", ["killed", "stopped"])
def test_lose_all_members(cluster: Cluster, trios: list[Trio], kind: str) -> None:
    """Without any etcd the leaders step down at `stop_at`, before the lease runs out."""
    fault = killed if kind == "killed" else paused
    with leading_again(trios), fault(cluster, ALL):
        lost_at = now()
        for trio in trios:
            wait_for(f"{trio.name} to stop", lambda trio=trio: not trio.leads(), trio.ttl + 1)
            window = Timing.scaled(trio.ttl).window
            held = trio.last().end_at - lost_at
            figure(f"all members {kind}, ttl {trio.ttl}: held {held:.3f} s more, at most {window:.1f} s")
            assert held <= window
        pause_for(2.0)
        assert not any(trio.leads() for trio in trios)


@pytest.mark.skipif(bool(why_no_stall()), reason=why_no_stall())
@pytest.mark.parametrize("what", ["wal", "everything"])
def test_stall_etcd_leader(cluster: Cluster, trios: list[Trio], what: str) -> None:
    """The disk of etcd's leader stalls beyond the TTL: it acknowledges leases that another has deleted.

    It is the one member that a holder knows; what that holder does without our rules, the control of
    `tests/chaos` shows.
    """
    ten, five = trios
    seconds = (ten.ttl if what == "wal" else five.ttl) + 3.0
    move_leader(cluster, five.index(five.leader()))
    before = {trio.name: trio.last().token for trio in trios}
    with leading_again(trios), stalled(cluster, seconds, wal_only=what == "wal"):
        pass
    demotions = [trio.name for trio in trios if trio.last().token != before[trio.name]]
    figure(f"fsync of etcd's leader stalled ({what}) for {seconds:g} s: "
           f"leadership lost by {demotions or 'none'}")
    assert "five" in demotions, "nothing was proven, and yet it led on"
