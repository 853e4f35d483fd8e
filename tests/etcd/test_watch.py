"""The queue is followed through compaction, kills, hangs and missed events."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from leaderd.core.events import QueueChanged
from leaderd.errors import EtcdError
from leaderd.etcd.client import Endpoint, WatchStream
from leaderd.etcd.ops import Change, KeyValue
from leaderd.keys import ElectionKeys
from tests.cluster import Cluster
from tests.etcd.conftest import Player

Make = Callable[..., Player]


@pytest_asyncio.fixture
async def watcher(player: Make) -> AsyncIterator[Player]:
    """A player whose watch runs and has listed once."""
    a = player("a")
    running = asyncio.ensure_future(a.store.run())
    await a.expect(QueueChanged)
    yield a
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def nodes(*names: str) -> Callable[[QueueChanged], bool]:
    """Match a queue of these nodes in this order."""
    return lambda event: [each.node for each in event.queue] == list(names)


def watched(player: Player, cluster: Cluster) -> int:
    """Return the index of the member that the watch runs on."""
    return cluster.endpoints.index(player.store._watch._endpoint.url)


async def test_joins_and_leaves_are_seen_in_order(watcher: Player, player: Make) -> None:
    """Complete queues, up to a revision that never falls."""
    b, c = player("b"), player("c")
    await b.join()
    first = await watcher.expect(QueueChanged, nodes("b"))
    await c.join()
    second = await watcher.expect(QueueChanged, nodes("b", "c"))
    b.end(give_up=True)
    third = await watcher.expect(QueueChanged, nodes("c"))
    assert first.revision < second.revision < third.revision


async def test_other_keys_are_not_reported(
    watcher: Player, player: Make, cluster: Cluster, keys: ElectionKeys
) -> None:
    """Neither an election whose name begins alike, nor the records."""
    cluster.etcdctl("put", f"/leaderd/election/{keys.name}x/1", "x")
    cluster.etcdctl("put", keys.holder, "x")
    b = player("b")
    await b.join()
    changed = await watcher.expect(QueueChanged)
    assert nodes("b")(changed)


async def test_the_watch_survives_a_compaction(watcher: Player, player: Make, cluster: Cluster) -> None:
    """Of everything, while it runs."""
    b, c = player("b"), player("c")
    joined = await b.join()
    await watcher.expect(QueueChanged, nodes("b"))
    await asyncio.to_thread(cluster.etcdctl, "compact", str(joined.create_revision), "--physical")
    await c.join()
    await watcher.expect(QueueChanged, nodes("b", "c"))


async def test_a_watch_cancelled_by_compaction_lists_again(
    player: Make, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asked for a revision that is compacted by then."""
    a, b = player("a"), player("b")
    joined = await b.join()
    await asyncio.to_thread(cluster.etcdctl, "compact", str(joined.create_revision))
    stream = await a.client.endpoints[0].watch(a.keys.prefix, a.keys.range_end, 1)
    with pytest.raises(EtcdError, match="compacted"):
        await stream.read()
    stream.close()
    original, asked = Endpoint.watch, []

    async def late(self: Endpoint, key: str, range_end: str, revision: int) -> WatchStream:
        if key == a.keys.prefix:
            asked.append(revision)
        first = key == a.keys.prefix and len(asked) == 1
        return await original(self, key, range_end, 1 if first else revision)

    monkeypatch.setattr(Endpoint, "watch", late)
    running = asyncio.ensure_future(a.store.run())
    await a.expect(QueueChanged, nodes("b"))
    b.end(give_up=True)
    await a.expect(QueueChanged, nodes())
    assert len(asked) == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_the_watch_leaves_a_member_that_is_killed_or_hangs(
    watcher: Player, player: Make, cluster: Cluster, fault: str
) -> None:
    """A hanging one is noticed by the next listing, at most five seconds later."""
    index = watched(watcher, cluster)
    getattr(cluster, fault)(index)
    others = tuple(m.client_url for i, m in enumerate(cluster.members) if i != index)
    b = player("b", endpoints=others)
    await asyncio.to_thread(cluster.leader)
    await b.join()
    await watcher.expect(QueueChanged, nodes("b"), timeout=12.0)
    assert watched(watcher, cluster) != index


async def test_an_event_that_the_watch_missed_is_found_by_listing(
    player: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch that delivers nothing although the queue changed is given up."""
    a, b = player("a"), player("b")

    async def deaf(self: WatchStream) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(WatchStream, "read", deaf)
    running = asyncio.ensure_future(a.store.run())
    await a.expect(QueueChanged, nodes())
    first = a.store._watch._endpoint
    await b.join()
    await a.expect(QueueChanged, nodes("b"), timeout=8.0)
    await asyncio.sleep(0.3)
    assert a.store._watch._endpoint is not first
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_watch_comes_back_after_an_outage_of_everything(
    watcher: Player, player: Make, cluster: Cluster
) -> None:
    """All members killed for a while, then restarted."""
    b = player("b")
    await b.join()
    await watcher.expect(QueueChanged, nodes("b"))
    for index in range(3):
        cluster.kill(index)
    await asyncio.sleep(2.0)
    await asyncio.to_thread(cluster.heal)
    b.end(give_up=True)
    await watcher.expect(QueueChanged, nodes())


async def test_changes_that_a_listing_has_overtaken_are_dropped(player: Make) -> None:
    """Or a key that is gone would come back for a moment."""
    a = player("a")
    watch = a.store._watch
    await watch._list(a.client.endpoints[0])
    late = KeyValue(a.keys.key(1), "ghost", watch._revision, watch._revision, 1)
    watch._apply((Change(late.key, late.mod_revision, late),))
    new = KeyValue(a.keys.key(2), "new", watch._revision + 1, watch._revision + 1, 2)
    watch._apply((Change(new.key, new.mod_revision, new),))
    await a.expect(QueueChanged, nodes())
    await a.expect(QueueChanged, nodes("new"))


async def test_an_etcd_that_is_down_is_asked_less_and_less_often(player: Make) -> None:
    """No busy loop; never more than a second apart."""
    a = player("a", endpoints=("http://127.0.0.1:1", "http://127.0.0.1:2"))
    running = asyncio.ensure_future(a.store.run())
    await asyncio.sleep(2.0)
    assert 3 <= a.store._watch._failures <= 8
    assert a.store._watch._pause(None) <= 1.0  # type: ignore[arg-type]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_bug_stops_run(player: Make) -> None:
    """Whatever is no answer of etcd's comes out of run() instead of being lost."""
    a = player("a")
    running = asyncio.ensure_future(a.store.run())
    await a.expect(QueueChanged)

    async def bug() -> None:
        raise ZeroDivisionError("a bug")

    a.store._start(bug(), 0)
    with pytest.raises(ExceptionGroup):
        await running
