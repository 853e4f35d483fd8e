"""Following keys: a watch on a prefix, and a list whenever it cannot be trusted.

A watch can go silent (a member that hangs), be cancelled (compaction, no leader) or miss a
deletion near a compaction (etcd issue 18089). So the keys are listed again every few seconds through
the member that the watch runs on; whatever is wrong then, the watch moves to the next endpoint.
What is posted is a hint: it promotes nobody.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from leaderd.core.events import ControlChanged, Event, QueueChanged
from leaderd.errors import EtcdError
from leaderd.etcd.client import Endpoint, EtcdClient, WatchStream
from leaderd.etcd.hedge import cancelled
from leaderd.etcd.ops import Change, KeyValue, Range
from leaderd.etcd.retry import PAUSE
from leaderd.etcd.snapshot import candidate, control_keys, snapshot_ranges
from leaderd.instant import Instant
from leaderd.keys import ElectionKeys

_RELIST_PERIOD: Final = 5.0
_LONGEST_PAUSE: Final = 1.0


class Watch:
    """All keys of a range, kept up to date.

    Args:
        client: The cluster.
        span: The range.
        timeout: Seconds for one listing.
        event: Makes the event of a revision and the keys as they are then, in the order of their creation.
        post: Takes it whenever it differs from what was posted last in more than its revision.
    """

    def __init__(
        self,
        client: EtcdClient,
        span: Range,
        timeout: float,
        event: Callable[[int, list[KeyValue]], Event],
        post: Callable[[Event], None],
    ) -> None:
        self._client = client
        self._span = span
        self._timeout = timeout
        self._event = event
        self._post = post
        self._endpoint = client.order()[0]
        self._failures = 0
        self._found: dict[str, KeyValue] = {}
        self._revision = 0
        self._posted: Event | None = None

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
                stream = await endpoint.watch(self._span.key, self._span.range_end, self._revision + 1)
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
                    believed = self._found.copy()
                    listed_at = await self._list(endpoint)
                    if self._found != believed and not reading.done():
                        raise EtcdError(f"{endpoint.url}: the watch missed a change")
                    self._failures = 0
        finally:
            stream.close()
            await cancelled([reading])

    async def _list(self, endpoint: Endpoint) -> Instant:
        reading = await endpoint.read(self._span, self._timeout)
        # Even when the revision is lower: etcd was restored then, and the watch must begin there.
        self._found = {each.key: each for each in reading.found}
        self._revision = reading.header.revision
        self._publish()
        return endpoint.clock.now()

    def _apply(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            # A listing may have been ahead of the watch.
            if change.revision <= self._revision:
                continue
            if change.now is None:
                self._found.pop(change.key, None)
            else:
                self._found[change.key] = change.now
        self._revision = max(self._revision, changes[-1].revision)
        self._publish()

    def _publish(self) -> None:
        found = sorted(self._found.values(), key=lambda each: each.create_revision)
        # With no revision in it, so that it differs only where the keys do.
        event = self._event(0, found)
        if event != self._posted:
            self._posted = event
            self._post(self._event(self._revision, found))


def queue_watch(
    client: EtcdClient, keys: ElectionKeys, timeout: float, post: Callable[[Event], None]
) -> Watch:
    """Return the watch that posts `QueueChanged`."""
    return Watch(client, snapshot_ranges(keys)[0], timeout, _queue_changed, post)


def control_watch(
    client: EtcdClient, keys: ElectionKeys, timeout: float, post: Callable[[Event], None]
) -> Watch:
    """Return the watch that posts `ControlChanged`."""
    def changed(revision: int, found: list[KeyValue]) -> ControlChanged:
        return ControlChanged(revision, control_keys(keys, found))

    return Watch(client, snapshot_ranges(keys)[1], timeout, changed, post)


def _queue_changed(revision: int, found: list[KeyValue]) -> QueueChanged:
    return QueueChanged(revision, tuple(candidate(each) for each in found))
