"""An address that moves between hosts, and a daemon with it: never at two of them, whatever is done."""

from concurrent.futures import Future

import pytest

from leaderd.core.lease import Timing
from tests.faults.figures import figure
from tests.net.campaign import one_team, table, told
from tests.net.faults import ETCD_FAULTS, FAULTS, suffer_etcd
from tests.net.measure import SLACK, Row
from tests.net.peers import why_no_keepalived
from tests.net.takeovers import Takeovers
from tests.net.world import World
from tests.netns import needs_netns

pytestmark = [needs_netns, pytest.mark.timeout(300)]

TTLS = (5, 10)
TAKEOVERS, SEED = 14, 1
# Those that are to take as long as each other, so that no team waits for the rest.
FIRST_HALF = (
    "planned stop", "kill -9 of guard and agent", "SIGSTOP of the agent", "node death",
    "partition from etcd only",
)
Rows = dict[tuple[str, int], Row]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """What was said while the faults were done."""
    return []


@pytest.fixture(scope="module")
def peer_row(world: World, lines: list[str]) -> "Future[list[Row]]":
    """What comes of the partition of keepalived's holder, done beside the rest."""
    [team] = [team for team in world.teams if team.system == "keepalived"] or [None]
    if team is None:
        pytest.skip(why_no_keepalived())
    return world.run(team, one_team, team, ["partition of the holder"], lines.append, linger=2.0)


@pytest.fixture(scope="module")
def rows(world: World, lines: list[str]) -> Rows:
    """All faults, done once: those to nodes at the same time to all teams, those to etcd to everybody."""
    halves = {True: FIRST_HALF, False: [name for name in FAULTS if name not in FIRST_HALF]}
    teams = [team for team in world.teams if team.system == "leaderd"]
    done = world.each(lambda team: one_team(team, halves[team.name.endswith("x")], lines.append), teams)
    found = [row for each in done for row in each]
    for name in ETCD_FAULTS:
        found += suffer_etcd(world, teams[::2], name)
    for line in table(found):
        figure(line)
    return {(row.fault, row.ttl): row for row in found}


def test_the_same_observer_sees_keepalived_overlap(peer_row: "Future[list[Row]]", rows: Rows) -> None:
    """What the harness is for: a partitioned holder keeps the address, and a second one gets it."""
    [row] = peer_row.result()
    assert row.another is not None
    assert row.overlap > 1.0
    assert row.work > 1.0
    figure(f"keepalived, partition of the holder: {told(row)}")


@pytest.mark.parametrize("ttl", TTLS)
@pytest.mark.parametrize("fault", [*FAULTS, *ETCD_FAULTS])
def test_nothing_is_at_two_hosts(rows: Rows, fault: str, ttl: int) -> None:
    """The kernels' own reports and the daemon's beats: overlap 0; somebody answers in time, or stays."""
    row = rows[fault, ttl]
    assert row.overlap == 0
    assert row.work == 0
    bound = FAULTS[fault].bound if fault in FAULTS else None
    if bound is not None:
        assert row.another is not None, told(row)
        assert row.another < bound(ttl), told(row)
    elif fault in FAULTS:
        assert row.another is None, told(row)
        assert row.outage_v4 < 1.0, told(row)
    elif fault == "etcd's leader killed" and ttl == 10:
        assert row.another is None, f"a change of etcd's leader has cost the leadership: {told(row)}"


@pytest.mark.parametrize("ttl", TTLS)
@pytest.mark.parametrize("fault", ["kill -9 of guard and agent", "everything killed at once"])
def test_the_kernel_alone_ends_it(rows: Rows, fault: str, ttl: int) -> None:
    """Nobody of ours is left, the guard neither: the address is gone within V, before the next has it."""
    row = rows[fault, ttl]
    assert row.gone is not None
    assert row.gone <= Timing.scaled(ttl, vip=True).window
    assert row.unheld is not None
    assert row.unheld > 0
    # The contained daemon died at once: its last beat was 20 ms before at most, or is on its way.
    assert row.work_ended < 0.1
    figure(f"vip, ttl {ttl}, {fault}: its daemon ended after {max(0.0, row.work_ended):.3f} s; the kernel "
           f"removed the address after {row.gone:.2f} s (V = {Timing.scaled(ttl, vip=True).window:.1f}), "
           f"{row.unheld:.2f} s before the next node had it")


@pytest.mark.parametrize("ttl", TTLS)
def test_a_dead_node_costs_its_lease(rows: Rows, ttl: int) -> None:
    """The remaining lease, and what etcd and a busy machine add."""
    row = rows["node death", ttl]
    figure(f"vip, ttl {ttl}, node death: client without an answer for {row.outage_v4 - row.lease_left:+.2f} "
           f"s beyond the {row.lease_left:.2f} s of lease that were left")
    assert row.outage_v4 < row.lease_left + SLACK


def test_takeovers_in_a_row(world: World, rows: Rows) -> None:
    """By random faults: 0 overlaps, and no process, address, mount, descriptor or memory is left behind.

    Comes last: at its end the teams are stopped.
    """
    run = Takeovers(TAKEOVERS, SEED, lambda _: None)
    run.run(world)
    for line in run.table():
        figure(line)
    assert not run.problems, "\n".join(run.problems)
    assert len(run.rows) == TAKEOVERS
