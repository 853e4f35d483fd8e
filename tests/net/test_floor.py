"""At least one: an address that stays without etcd, is taken without etcd, and is one's again with it."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.faults.figures import figure
from tests.net.floor import AWAY, SLACK, FloorTeam, Story, tell
from tests.net.world import Entry, World
from tests.netns import needs_netns

pytestmark = [needs_netns, pytest.mark.timeout(200)]

TTL = 5


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """All of it, once."""
    directory = tmp_path_factory.mktemp("floor")
    with closing(World(directory, [Entry("f", TTL, v6=True, make=FloorTeam)])) as world:
        [team] = world.teams
        try:
            yield world.run(team, tell, world, team).result()
        except AssertionError as error:
            logs = [f"{node.host}: {node.log.read_text()[-4000:]}" for node in team.nodes.values()]
            raise AssertionError("\n".join([str(error), *logs])) from None


def test_etcd_gone_the_leader_keeps_the_address(story: Story) -> None:
    """For twice a lease, with no answer missing, and it says on what ground."""
    figure(f"at least one, ttl {TTL}: etcd away for {AWAY * TTL:g} s: client without an answer for "
           f"{story.kept:.2f} s at most")
    assert story.kept < 0.5
    assert story.moved["etcd away"] == 0
    said = story.reports["etcd away"]
    assert (said["state"], said["guarantee"], said["proven"], said["token"]) == (
        "leader", "at-least-one", False, 0)
    assert said["valid_for"] > 0
    assert said["reason"] == "store-lost"


def test_the_leader_dead_without_etcd_another_takes_it(story: Story) -> None:
    """Killed as by a power failure: its kernel ends the address, then it is silent for a ttl."""
    figure(f"at least one, ttl {TTL}: leader and all of its processes killed without etcd: another answers "
           f"after {story.taken:.1f} s")
    assert story.taken < 2 * TTL + 2 * 2.2 + SLACK
    assert story.moved["leader dead"] == 1
    assert not story.shared["leader dead"]
    assert not story.reports["leader dead"]["proven"]


@pytest.mark.parametrize("chapter", ["etcd back", "cut off from etcd", "partition over"])
def test_in_the_end_one_has_it_with_a_proof(story: Story, chapter: str) -> None:
    """And stays: it has moved once at most, and the client has hardly noticed."""
    figure(f"at least one, ttl {TTL}, {chapter}: one proven holder after {story.settled[chapter]:.1f} s; "
           f"client without an answer for {story.outage[chapter]:.2f} s; at two hosts for "
           f"{story.shared[chapter]:.2f} s")
    assert story.moved[chapter] <= 1
    assert story.settled[chapter] < 3 * TTL + SLACK
    assert story.outage[chapter] < 2.0


def test_a_partition_has_two_holders_and_that_is_the_price(story: Story) -> None:
    """The one that was cut off holds on without a proof; the promise of the others would be broken here."""
    assert story.shared["partition"] > 1.0
    assert (story.reports["partition"]["state"], story.reports["partition"]["proven"]) == ("leader", False)
    figure(f"at least one, ttl {TTL}: a partition of the holder: at two hosts for "
           f"{story.shared['partition']:.1f} s and until it ended")
