"""One etcd cluster for all tests here; each test gets it whole again and an election of its own."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal, TypeVar

import pytest
import pytest_asyncio

from leaderd.clock import BootClock
from leaderd.core.actions import EndSession, GatherEvidence, Join, Release, Renew, TakeOver
from leaderd.core.events import ControlChanged, Event, Joined, QueueChanged, Renewed, TookOver
from leaderd.core.lease import Timing
from leaderd.core.records import HolderRecord, Known, Snapshot, fencing_token
from leaderd.etcd.client import EtcdClient
from leaderd.etcd.store import ElectionStore, StoreAction
from leaderd.keys import ElectionKeys
from leaderd.plan import EtcdPlan
from tests.cluster import Cluster

E = TypeVar("E", bound=Event)
_numbers = itertools.count(1)


class Player:
    """A store, and a dialogue with it: perform an action, expect an event."""

    def __init__(self, client: EtcdClient, keys: ElectionKeys, node: str, timing: Timing) -> None:
        self.client = client
        self.keys = keys
        self.node = node
        self.timing = timing
        self.clock = BootClock()
        self.seen: list[Event] = []
        self._news = asyncio.Event()
        self._serial = itertools.count(1)
        self.store = ElectionStore(client, keys, node, 100, timing, self.clock, self._take)
        self.joined: Joined
        self.serial = 0

    def _take(self, event: Event) -> None:
        self.seen.append(event)
        self._news.set()

    async def expect(
        self, kind: type[E], wanted: Callable[[E], bool] = lambda _: True, timeout: float = 20.0
    ) -> E:
        """Wait for an event of a kind; those before it are forgotten."""
        async with asyncio.timeout(timeout):
            while True:
                while self.seen:
                    event = self.seen.pop(0)
                    if isinstance(event, kind) and wanted(event):
                        return event
                self._news.clear()
                await self._news.wait()

    async def answer(self, action: StoreAction, *kinds: type[Event]) -> Any:
        """Perform an action and return its answer, which must be of one of these kinds."""
        self.store.perform(action)
        event = await self.expect(Event, lambda e: not isinstance(e, ControlChanged | QueueChanged))
        assert isinstance(event, kinds), event
        return event

    async def join(self) -> Joined:
        """Start a new session."""
        self.serial = next(self._serial)
        self.joined = await self.answer(Join(self.serial, Known()), Joined)
        return self.joined

    async def renew(self, *kinds: type[Event]) -> Any:
        """Make one renewal attempt."""
        return await self.answer(Renew(self.serial, Known()), *(kinds or (Renewed,)))

    async def snapshot(self) -> Snapshot:
        """Read the election."""
        renewed: Renewed = await self.renew()
        return renewed.snapshot

    def record(self, state: Literal["held", "released"] = "held", epoch: int = 0) -> HolderRecord:
        """Return the record of a term of the current session."""
        token = fencing_token(epoch, self.joined.create_revision)
        timing = self.timing.granted(self.joined.ttl)
        return HolderRecord(
            token,
            self.node,
            self.joined.lease,
            state,
            timing.ttl,
            timing.window,
            timing.stop_after,
            timing.clock_drift,
        )

    def take_over(self, snapshot: Snapshot) -> TakeOver:
        """Return the takeover that was judged on a snapshot."""
        return TakeOver(
            self.serial,
            self.joined.create_revision,
            snapshot.holder_revision,
            snapshot.epoch_revision,
            self.record(epoch=snapshot.epoch),
        )

    async def lead(self) -> TookOver:
        """Join and take over."""
        await self.join()
        took: TookOver = await self.answer(self.take_over(await self.snapshot()), TookOver)
        return took

    def release(self, took: TookOver) -> Release:
        """Return the release of a term."""
        return Release(took.token, self.record("released"), took.holder_revision)

    def evidence_on(self, holder: HolderRecord) -> GatherEvidence:
        """Return the action that looks at a holder's lease."""
        return GatherEvidence(self.serial, holder.token, holder.lease)

    def end(self, *, give_up: bool) -> None:
        """End the current session."""
        self.store.perform(EndSession(self.serial, give_up))


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Cluster]:
    """Three members for the whole run."""
    with Cluster(3) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Iterator[Cluster]:
    """The shared cluster, healed afterwards."""
    yield shared_cluster
    shared_cluster.heal()


@pytest.fixture
def keys() -> ElectionKeys:
    """An election that no other test uses."""
    return ElectionKeys("/leaderd", f"e{next(_numbers)}")


@pytest_asyncio.fixture
async def player(cluster: Cluster, keys: ElectionKeys) -> AsyncIterator[Callable[..., Player]]:
    """Make players of the test's election; whatever they leave running is a failure."""
    players: list[Player] = []

    def make(node: str = "a", endpoints: tuple[str, ...] = (), ttl: int = 10, **plan: Any) -> Player:
        client = EtcdClient(EtcdPlan(endpoints or cluster.endpoints, **plan), BootClock())
        players.append(Player(client, keys, node, Timing.scaled(ttl)))
        return players[-1]

    yield make
    for each in players:
        await each.store.close()
        await each.client.close()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        # gRPC's own task per stream ends a moment after its channel.
        _, left = await asyncio.wait(left, timeout=2.0)
    assert not left, f"tasks left running: {left}"
