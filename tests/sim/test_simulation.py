"""Many random schedules: no two nodes hold at once, tokens grow, somebody leads again (design §8.2)."""

from collections import Counter

import pytest

from leaderd.core.states import State
from tests.sim import scripts
from tests.sim.campaign import Campaign
from tests.sim.mix import WEIGHTS
from tests.sim.runner import report
from tests.sim.scripts import CALM, NOTHING
from tests.sim.world import World

# What docs/etcd.md found, and what the rules are about, must really come up in the schedules.
MUST_HAPPEN = (
    "holds", "etcd leader changes", "keepalive acknowledged for a lease that is gone",
    "keepalive acknowledged by a deposed etcd leader", "lease revoked wrongly by a deposed etcd leader",
    "released by the guard", "agent died: kernel timer", "agent died: late for its guard",
    "power off: fence: reboot", "demoting: switchover", "demoting: preempted", "demoting: standby",
    "standby: switchover", "standby: preempted",
)


@pytest.mark.timeout(1800)
def test_no_promise_breaks(campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    """Schedules of random faults keep every promise, and the faults do come up."""
    summary = campaign.finish()
    with capsys.disabled():
        print("\n" + report(summary))
    assert not summary.violations, report(summary)
    if summary.schedules >= 2000:
        missing = [what for what in MUST_HAPPEN if not summary.counts[what]]
        missing += [kind for kind in WEIGHTS if not summary.counts["fault: " + kind]]
        assert not missing


def test_a_seed_gives_the_same_schedule_again() -> None:
    """A schedule depends on its seed alone."""
    first, second = World(4711, trace=True).run(), World(4711, trace=True).run()
    assert first.lines == second.lines
    assert first.lines


def test_without_faults_one_node_leads_all_the_time() -> None:
    """The model itself disturbs nobody."""
    for seed in range(20):
        world = World(seed, NOTHING)
        result = world.run()
        assert not result.violations
        assert result.counts["holds"] == 1
        states = Counter(host.agent.election.state for host in world.hosts if host.agent is not None)
        assert states[State.LEADER] == 1


def test_the_preferred_node_ends_up_leading_and_nothing_goes_back_and_forth() -> None:
    """Without faults a leadership moves only up, so that there are no more terms than nodes."""
    moved = 0
    for seed in range(200):
        world = World(seed, CALM)
        result = world.run()
        assert not result.violations
        assert 1 <= result.counts["holds"] <= len(world.hosts)
        moved += result.counts["holds"] > 1
        leader = next(host for host in world.hosts if host.name in world.monitor.holders)
        best = max(host.preference.priority for host in world.hosts)
        assert leader.preference.preempt_delay is None or leader.preference.priority == best
    assert moved > 10


def test_a_wanted_node_leads_next_and_a_marked_one_stops_at_once() -> None:
    """Without faults, whichever place in the queue it has; a standby costs the time of a stop."""
    landed = [scripts.switched_over(seed) for seed in range(60)]
    assert all(wanted == got for wanted, got, _ in landed)
    assert max(gap for _, _, gap in landed) < 0.2
    assert max(scripts.put_into_standby(seed) for seed in range(20)) < 0.3
