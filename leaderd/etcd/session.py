"""A session: one lease, its candidate key, and the proven renewals that keep it (rule R11)."""

from typing import Protocol

from leaderd.core.lease import Timing
from leaderd.core.proof import KeepaliveAnswer, Verdict, judge_renewal
from leaderd.core.records import Snapshot
from leaderd.errors import EtcdError, LeaseLostError
from leaderd.etcd.client import Endpoint, EtcdClient, KeepaliveStream
from leaderd.etcd.hedge import first_answer
from leaderd.etcd.snapshot import take_snapshot
from leaderd.instant import Instant
from leaderd.keys import ElectionKeys


class Meter(Protocol):
    """Takes note of renewals; never in their way."""

    def renewal(self, endpoint: str, outcome: str) -> None:
        """Note how a renewal went at one endpoint: proven, failed, gone or abandoned."""

    def keepalive(self, endpoint: str, seconds: float) -> None:
        """Note how long an answered keepalive took."""


class Session:
    """One lease and its key, as etcd knows them.

    Args:
        client: The cluster.
        keys: The election.
        timing: The budget, with the granted TTL.
        lease: Lease id.
        create_revision: Of the candidate key.
        meter: Takes note of every leg.
    """

    def __init__(
        self,
        client: EtcdClient,
        keys: ElectionKeys,
        timing: Timing,
        lease: int,
        create_revision: int,
        meter: Meter | None = None,
    ) -> None:
        self.lease = lease
        self.key = keys.key(lease)
        self.create_revision = create_revision
        self._client = client
        self._keys = keys
        self._timing = timing
        self._meter = meter
        # Streams with no request out. A stream in use is not in here, so that two attempts can
        # never share one.
        self._streams: dict[Endpoint, KeepaliveStream] = {}
        self._closed = False

    async def renew(self) -> tuple[Instant, Snapshot]:
        """Make one attempt at a proven renewal, over as many endpoints as it takes.

        Returns:
            When the proven keepalive was sent, and the read that proves it.

        Raises:
            LeaseLostError: A linearizable read shows that key or lease is gone.
            EtcdError: The attempt proved nothing within `attempt_timeout`.
        """
        order = self._client.order()
        for left in self._streams.keys() - set(order):
            self._streams.pop(left).close()
        try:
            endpoint, proof = await first_answer(
                order, self._leg,
                hedge_after=self._timing.hedge_after, timeout=self._timing.attempt_timeout,
            )
        except EtcdError:
            self._client.avoid(order[0])
            raise
        self._client.prefer(endpoint)
        return proof

    def close(self) -> None:
        """Close every stream."""
        self._closed = True
        while self._streams:
            self._streams.popitem()[1].close()

    async def _leg(self, endpoint: Endpoint) -> tuple[Instant, Snapshot]:
        # What is cancelled says nothing of itself: another endpoint was faster, or time is up.
        outcome = "abandoned"
        try:
            proof = await self._prove(endpoint)
            outcome = "proven"
        except LeaseLostError:
            outcome = "gone"
            raise
        except EtcdError:
            outcome = "failed"
            raise
        finally:
            if self._meter is not None:
                self._meter.renewal(endpoint.url, outcome)
        return proof

    async def _prove(self, endpoint: Endpoint) -> tuple[Instant, Snapshot]:
        # The read is sent after the keepalive's answer, through the same member: rule R11.
        answer = await self._keepalive(endpoint)
        snapshot = await take_snapshot(endpoint, self._keys, self._timing.attempt_timeout)
        verdict = judge_renewal(self.key, self.lease, self.create_revision, answer, snapshot)
        if verdict is Verdict.GONE:
            raise LeaseLostError(f"{self.key} is gone from etcd (keepalive answered ttl {answer.ttl})")
        if verdict is Verdict.UNKNOWN:
            raise EtcdError(
                f"{endpoint.url}: keepalive not proven: raft term {answer.raft_term} in its answer "
                f"(ttl {answer.ttl}), {snapshot.raft_term} in the read after it"
            )
        if answer.ttl < self._timing.ttl:
            # The deadlines were computed for the granted TTL.
            raise EtcdError(f"{endpoint.url}: renewed for {answer.ttl} s, granted {self._timing.ttl} s")
        return answer.sent_at, snapshot

    async def _keepalive(self, endpoint: Endpoint) -> KeepaliveAnswer:
        try:
            return await self._ask(endpoint)
        except EtcdError:
            # The stream may have ended while it was idle, or the token on it expired: a new one
            # at once, within the same attempt.
            return await self._ask(endpoint)

    async def _ask(self, endpoint: Endpoint) -> KeepaliveAnswer:
        stream = self._streams.pop(endpoint, None) or await endpoint.keepalives()
        answer = await stream.ask(self.lease)
        if self._meter is not None:
            self._meter.keepalive(endpoint.url, endpoint.clock.now().held_since(answer.sent_at))
        if self._closed or endpoint in self._streams:
            stream.close()
        else:
            self._streams[endpoint] = stream
        return answer
