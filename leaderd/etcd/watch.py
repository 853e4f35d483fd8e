"""Following the queue: a watch on the election prefix, and a list whenever it cannot be trusted.

A watch can go silent (a member that hangs), be cancelled (compaction, no leader) or miss a
deletion near a compaction (etcd issue 18089). So the queue is listed again every few seconds through
the member that the watch runs on; whatever is wrong then, the watch moves to the next endpoint.
What is posted is a hint: it promotes nobody.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from leaderd.core.events import Event, QueueChanged
from leaderd.core.records import CandidateKey
from leaderd.errors import EtcdError
from leaderd.etcd.client import Endpoint, EtcdClient, WatchStream
from leaderd.etcd.hedge import cancelled
from leaderd.etcd.ops import Change
from leaderd.etcd.retry import PAUSE
from leaderd.etcd.snapshot import candidate, take_snapshot
from leaderd.instant import Instant
from leaderd.keys import ElectionKeys

_RELIST_PERIOD: Final = 5.0
_LONGEST_PAUSE: Final = 1.0


class QueueWatch:
    """One election's queue, kept up to date.

    Args:
        client: The cluster.
        keys: The election.
        timeout: Seconds for one listing.
        post: Takes `QueueChanged` whenever the queue differs from what was posted last.
    """

    def __init__(
        self, client: EtcdClient, keys: ElectionKeys, timeout: float, post: Callable[[Event], None]
    ) -> None:
        self._client = client
        self._keys = keys
        self._timeout = timeout
        self._post = post
        self._endpoint = client.order()[0]
        self._failures = 0
        self._queue: dict[str, CandidateKey] = {}
        self._revision = 0
        self._posted: tuple[CandidateKey, ...] | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        forever = AsyncRetrying(retry=retry_if_exception_type(EtcdError), wait=self._pause)
        await forever(self._follow)

    def _pause(self, _: RetryCallState) -> float:
        return min(_LONGEST_PAUSE, PAUSE * 2.0 ** min(self._failures, 10))

    async def _follow(self) -> None:
        endpoint = self._endpoint
        try:
            listed_at = await self._list(endpoint)
            async with asyncio.timeout(self._timeout):
                stream = await endpoint.watch(self._keys.prefix, self._keys.range_end, self._revision + 1)
            await self._read(endpoint, stream, listed_at)
        except TimeoutError:
            self._move_on(endpoint)
            raise EtcdError(f"{endpoint.url}: no answer within {self._timeout:g} s") from None
        except EtcdError:
            self._move_on(endpoint)
            raise

    def _move_on(self, endpoint: Endpoint) -> None:
        self._failures += 1
        self._endpoint = self._client.after(endpoint)

    async def _read(self, endpoint: Endpoint, stream: WatchStream, listed_at: Instant) -> None:
        # A task of its own: cancelling a read, as a time-out on it would, ends the whole watch.
        reading = asyncio.ensure_future(stream.read())
        try:
            while True:
                patience = _RELIST_PERIOD - endpoint.clock.now().held_since(listed_at)
                await asyncio.wait({reading}, timeout=max(0.0, patience))
                if reading.done():
                    self._apply(reading.result())
                    self._failures = 0
                    reading = asyncio.ensure_future(stream.read())
                if endpoint.clock.now().held_since(listed_at) >= _RELIST_PERIOD:
                    believed = self._sorted()
                    listed_at = await self._list(endpoint)
                    if self._sorted() != believed and not reading.done():
                        raise EtcdError(f"{endpoint.url}: the watch missed a change")
                    self._failures = 0
        finally:
            stream.close()
            await cancelled([reading])

    async def _list(self, endpoint: Endpoint) -> Instant:
        snapshot = await take_snapshot(endpoint, self._keys, self._timeout)
        # Even when the revision is lower: etcd was restored then, and the watch must begin there.
        self._queue = {each.key: each for each in snapshot.queue}
        self._revision = snapshot.revision
        self._publish()
        return snapshot.received_at

    def _apply(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            # A listing may have been ahead of the watch.
            if change.revision <= self._revision:
                continue
            if change.now is None:
                self._queue.pop(change.key, None)
            else:
                self._queue[change.key] = candidate(change.now)
        self._revision = max(self._revision, changes[-1].revision)
        self._publish()

    def _publish(self) -> None:
        queue = self._sorted()
        if queue != self._posted:
            self._posted = queue
            self._post(QueueChanged(self._revision, queue))

    def _sorted(self) -> tuple[CandidateKey, ...]:
        return tuple(sorted(self._queue.values(), key=lambda each: each.create_revision))
