"""What operators and nodes write, against three real members: conditions, the history's bound, presence."""

import asyncio
import contextlib
import json
from collections.abc import Callable

import pytest

from leaderd.core.actions import RecordStart
from leaderd.core.events import ControlChanged, TakeoverRefused, TookOver
from leaderd.core.records import token_epoch
from leaderd.errors import RefusedError
from leaderd.etcd.chronicle import KEPT, Chronicle
from leaderd.etcd.control import ElectionControl
from leaderd.etcd.presence import Presence
from leaderd.keys import ElectionKeys
from leaderd.operators import Operators
from tests.cluster import Cluster
from tests.etcd.conftest import Player

Make = Callable[..., Player]


def control(player: Player) -> ElectionControl:
    """Return what an operator at this node's daemon asks."""
    return ElectionControl(player.client, player.keys, player.node, player.timing, player.clock)


@pytest.mark.parametrize("mark", ["paused", "standby"])
async def test_a_mark_that_races_a_takeover_is_decided_by_etcd(player: Make, mark: str) -> None:
    """Judged on a read from before the mark, the transaction is refused all the same."""
    a, b = player("a"), player("b")
    await a.join()
    order = a.take_over(await a.snapshot())
    if mark == "paused":
        await control(b).set_paused(paused=True)
    else:
        await control(b).stand_by("a", await control(b).check_standby("a", force=True))
    await a.answer(order, TakeoverRefused)
    await control(b).set_paused(paused=False)
    await control(b).go_online("a")
    await a.answer(order, TookOver)


async def test_two_standbys_at_once_do_not_leave_an_election_without_a_leader(player: Make) -> None:
    """Both were judged while the other node was fit: the second is refused."""
    a, b = player("a"), player("b")
    await a.join()
    await b.join()
    first = await control(a).check_standby("a", force=False)
    second = await control(b).check_standby("b", force=False)
    a.end(give_up=True)
    await control(a).stand_by("a", first)
    with pytest.raises(RefusedError, match="something has just changed"):
        await control(b).stand_by("b", second)


async def test_a_node_that_does_not_leave_is_not_said_to_have_left(
    player: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever works on it next must know: it holds, or it only queues; one that goes is waited for."""
    a, b = player("a"), player("b")
    monkeypatch.setattr("leaderd.etcd.control._TO_LEAVE", 0.2 - a.timing.ttl)
    await a.join()
    order = a.take_over(await a.snapshot())
    await a.answer(order, TookOver)
    await b.join()
    for node, why in (("a", "may still hold its resources"), ("b", "is still in the queue")):
        await control(b).stand_by(node, await control(b).check_standby(node, force=True))
        with pytest.raises(RefusedError, match=f"{node} is marked, but {why}"):
            await control(b).until_left(node)
    monkeypatch.undo()
    leaving = asyncio.ensure_future(control(a).until_left("b"))
    await asyncio.sleep(0)
    assert not leaving.done()
    b.end(give_up=True)
    await leaving


async def test_a_node_that_nobody_knows_is_named_as_such(player: Make, cluster: Cluster) -> None:
    """A slip of the pen must not look like success; a mark that stands for it can be taken away."""
    a = player("a")
    await a.join()
    with pytest.raises(RefusedError, match="no node aa is known; there are: a"):
        await control(a).go_online("aa")
    await control(a).stand_by("aa", await control(a).check_standby("aa", force=True))
    assert await control(a).known() == {"a", "aa"}
    await control(a).go_online("aa")
    assert await control(a).known() == {"a"}


async def test_all_elections_of_a_node_are_those_that_it_competes_in(player: Make, cluster: Cluster) -> None:
    """Not all of the node that is asked: b is in one of a's two."""
    a = player("a")
    await a.join()
    cluster.etcdctl("put", a.keys.node("b"), json.dumps({"state": "standby", "reason": "unhealthy"}))
    db = control(a)
    web = ElectionControl(a.client, ElectionKeys("/elsewhere", "web"), "a", a.timing, a.clock)
    operators = Operators("a")
    operators.add("db", db, lambda: 0)
    operators.add("web", web, lambda: 0)
    for standby in (True, False):
        await operators.set_standby("", "b", standby=standby, force=False)
        with pytest.raises(RefusedError, match="no node c is known in any election of this node"):
            await operators.set_standby("", "c", standby=standby, force=False)
    assert (await db.known(), await web.known()) == ({"a", "b"}, {"a"})
    await operators.set_standby("", "c", standby=True, force=True)
    assert await web.known() == {"a", "c"}


async def test_the_epoch_is_raised_above_all_that_is_known(player: Make) -> None:
    """Above what this node remembers, too: etcd may have been restored to before an earlier raise."""
    a = player("a")
    await a.join()
    assert await control(a).raise_epoch(known=4) == 5
    assert await control(a).raise_epoch(known=0) == 6
    await a.answer(a.take_over(await a.snapshot()), TookOver)
    assert token_epoch(await control(a).newest_token()) == 6


async def test_the_history_keeps_the_newest(player: Make, cluster: Cluster, keys: ElectionKeys) -> None:
    """Two hundred; what somebody else has written there is passed over."""
    a = player("a")
    chronicle = Chronicle(keys, "a", 5.0)
    for token in range(1, KEPT + 6):
        order = RecordStart(token, token - 1, released=token % 2 == 0)
        await chronicle.write_start(a.client.endpoints[0], order, chronicle.begin(order))
        await chronicle.drop_oldest(a.client.endpoints[0])
    cluster.etcdctl("put", keys.leadership(7), "what?")
    past = await control(a).history(1000)
    assert [each["token"] for each in past] == [n for n in range(KEPT + 5, 5, -1) if n != 7]
    closed = {(each["reason"], each["clean"]) for each in past[1:]}
    assert closed == {("agent-died", True), ("lease-lost", False)}
    assert past[0]["to"] == ""


async def test_a_node_is_seen_again_after_its_lease_was_taken_away(player: Make, cluster: Cluster) -> None:
    """On a new lease; and no more as soon as it is closed."""
    a = player("a")
    seen = asyncio.ensure_future(a.store.run())
    presence = Presence(a.client)
    running = asyncio.ensure_future(presence.run())
    presence.tell(a.keys.node("a"), json.dumps({"state": "standby"}))
    await a.expect(ControlChanged, lambda event: [key.name for key in event.found] == ["node/a"])
    await asyncio.to_thread(cluster.etcdctl, "lease", "revoke", f"{presence._lease:x}")
    await a.expect(ControlChanged, lambda event: event.found == ())
    await a.expect(ControlChanged, lambda event: [key.name for key in event.found] == ["node/a"])
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await presence.close()
    await a.expect(ControlChanged, lambda event: event.found == ())
    seen.cancel()
    await asyncio.gather(seen, return_exceptions=True)
