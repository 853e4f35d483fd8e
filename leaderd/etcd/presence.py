"""What this node says of itself, for the others to see: one key per election, all on one lease of the node.

A node that leaves a queue, or never joins one, is still seen; when it is gone its keys run out. A change
costs one write, and keeping the lease alive none: keepalives are no raft proposals. Nobody decides anything
by these keys, so their keepalives need no proof.

Source: docs/interfaces.md §8, `node/<node>`.
"""

import asyncio
import contextlib
from typing import Final

from tenacity import AsyncRetrying, retry_if_exception_type, wait_fixed

from leaderd.errors import EtcdError
from leaderd.etcd.client import Endpoint, EtcdClient, KeepaliveStream
from leaderd.etcd.ops import Put

# Whole seconds until the keys of a node that is gone run out.
TTL: Final = 10
# A key is written and a keepalive answered within this (seconds).
_TIMEOUT: Final = 1.0
_PAUSE: Final = 1.0
# What is to be told must stand for so long first (seconds), at most so many times over: a handover passes
# through half a dozen states in less, and the writes for each would slow down the handover itself.
_SETTLE: Final = 0.2
_PATIENCE: Final = 5


class Presence:
    """Keeps the newest value of each key in etcd.

    Args:
        client: The cluster.
    """

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self._turn = 0
        self._lease = 0
        self._wanted: dict[str, str] = {}
        self._changed = asyncio.Event()

    def tell(self, key: str, value: str) -> None:
        """Say something new; never blocks."""
        self._wanted[key] = value
        self._changed.set()

    async def run(self) -> None:
        """Write and keep alive until cancelled."""
        forever = AsyncRetrying(retry=retry_if_exception_type(EtcdError), wait=wait_fixed(_PAUSE))
        await forever(self._keep)

    async def close(self) -> None:
        """Be seen no more, as well as may be within a second."""
        lease, self._lease = self._lease, 0
        if lease:
            with contextlib.suppress(EtcdError):
                await self._client.order()[0].revoke(lease, _TIMEOUT)

    async def _keep(self) -> None:
        endpoints = self._client.endpoints
        endpoint = endpoints[self._turn % len(endpoints)]
        self._turn += 1
        # A new one each time: whether the last is still there is not worth a question.
        self._lease = (await endpoint.grant(TTL, _TIMEOUT)).lease
        stream = await endpoint.keepalives()
        try:
            await self._follow(endpoint, stream)
        finally:
            stream.close()

    async def _follow(self, endpoint: Endpoint, stream: KeepaliveStream) -> None:
        written: dict[str, str] = {}
        while True:
            await self._settled()
            for key, value in list(self._wanted.items()):
                if written.get(key) != value:
                    await endpoint.txn((), (Put(key, value, self._lease),), (), _TIMEOUT)
                    written[key] = value
            try:
                async with asyncio.timeout(TTL / 3):
                    await self._changed.wait()
            except TimeoutError:
                await self._renew(stream)

    async def _settled(self) -> None:
        """Wait until nothing new has been said for a moment."""
        for _ in range(_PATIENCE):
            self._changed.clear()
            try:
                async with asyncio.timeout(_SETTLE):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _renew(self, stream: KeepaliveStream) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                answer = await stream.ask(self._lease)
        except TimeoutError:
            raise EtcdError(f"no answer within {_TIMEOUT:g} s") from None
        if answer.ttl <= 0:
            raise EtcdError("the lease of the node is gone")
