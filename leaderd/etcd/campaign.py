"""Entering the queue, taking over, and letting go: the transactions of an election.

Source: docs/design.md rules R3 and R5; docs/etcd.md §5; `Campaign` and `Resign` in etcd's
client/v3/concurrency/election.go, whose unwatched own key and forgotten keys are not repeated here.
"""

import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from leaderd.clock import Clock
from leaderd.core.actions import Release, TakeOver, WriteIntent
from leaderd.core.control import Intent
from leaderd.core.lease import Timing
from leaderd.core.records import Snapshot
from leaderd.errors import EtcdError, EtcdRefusedError, InvariantError
from leaderd.etcd.client import Endpoint, EtcdClient
from leaderd.etcd.hedge import first_answer
from leaderd.etcd.lull import lull
from leaderd.etcd.ops import Compare, Delete, Grant, Put, Relation, Target
from leaderd.etcd.retry import retrying
from leaderd.etcd.snapshot import build_snapshot, snapshot_ranges
from leaderd.instant import Instant
from leaderd.keys import ElectionKeys

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidacy:
    """A place in the queue.

    Attributes:
        lease: Lease id.
        timing: The budget, with the TTL that etcd granted.
        sent_at: Just before the grant was sent.
        key: The candidate key.
        create_revision: Its create revision.
        value: What stands there.
        snapshot: The state right after it was created.
    """

    lease: int
    timing: Timing
    sent_at: Instant
    key: str
    create_revision: int
    value: str
    snapshot: Snapshot


class Campaign:
    """One node's dealings with one election's queue and holder record.

    Args:
        client: The cluster.
        keys: The election.
        node: Our name.
        priority: Ours, for the value of the candidate key.
        timing: The budget with the TTL to ask for.
        clock: For instants and deadlines.
        background: Runs what nobody waits for: giving up a lease after a failure.

    Attributes:
        priority: What new keys say; may be changed.
    """

    def __init__(
        self,
        client: EtcdClient,
        keys: ElectionKeys,
        node: str,
        priority: int,
        timing: Timing,
        clock: Clock,
        background: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._client = client
        self._keys = keys
        self._node = node
        self.priority = priority
        self._timing = timing
        self._clock = clock
        self._background = background

    async def join(self) -> Candidacy:
        """Grant a lease and put our key into the queue; a few attempts, each on the next endpoint.

        Every attempt uses a lease of its own: one that failed half-way is given up.

        Raises:
            EtcdError: No place in the queue.
        """
        attempts = max(2, len(self._client.endpoints))
        until = self._clock.now().plus(2 * self._timing.attempt_timeout * attempts)
        return await retrying(self._clock, until, attempts)(self._join_once)

    async def take_over(self, order: TakeOver) -> int | None:
        """Send the takeover transaction once (rule R3).

        Returns:
            The mod revision of the record that it wrote, or None when a condition failed.

        Raises:
            EtcdError: No answer: it may or may not have committed.
        """
        lease = order.record.lease
        key = self._keys.key(lease)
        older = Compare(
            self._keys.prefix, Target.CREATE, Relation.GREATER, order.create_revision - 1,
            range_end=self._keys.range_end,
        )
        conditions = (
            Compare(key, Target.CREATE, Relation.EQUAL, order.create_revision),
            Compare(key, Target.LEASE, Relation.EQUAL, lease),
            older,
            Compare(self._keys.holder, Target.MOD, Relation.EQUAL, order.holder_revision),
            Compare(self._keys.epoch, Target.MOD, Relation.EQUAL, order.epoch_revision),
            # What operators have written since the proof counts as well.
            Compare(self._keys.paused, Target.CREATE, Relation.EQUAL, 0),
            Compare(self._keys.standby(self._node), Target.CREATE, Relation.EQUAL, 0),
        )
        endpoint = self._client.order()[0]
        put = Put(self._keys.holder, order.record.encode())
        # The read makes the refusal, too, an answer that a quorum stands behind.
        otherwise = snapshot_ranges(self._keys)
        try:
            answer = await endpoint.txn(conditions, (put,), otherwise, self._timing.attempt_timeout)
        except EtcdError:
            self._client.avoid(endpoint)
            raise
        return answer.header.revision if answer.succeeded else None

    async def release(self, order: Release, *more: Put) -> None:
        """Give a term up: record released, key deleted; the lease is revoked afterwards (rule R5).

        One transaction. Where the record is no longer this term's own it stays as it is and only
        the key goes; where the key is gone already only the record changes. Tried on all
        endpoints until one answers; a repetition finds the record changed and does no harm.

        Args:
            order: What to release.
            more: What goes into the same transaction whatever it finds: the last words of the history.

        Raises:
            EtcdError: Nobody answered in time; or etcd refused, then the lease was revoked at
                least, and the record is still to be released.
        """
        key = self._keys.key(order.record.lease)
        held = replace(order.record, state="held").encode()
        # After a restore another term's record may have the same revision, and this be a late copy.
        ours = (
            Compare(self._keys.holder, Target.MOD, Relation.EQUAL, order.holder_revision),
            Compare(self._keys.holder, Target.VALUE, Relation.EQUAL, held),
        )
        put = Put(self._keys.holder, order.record.encode())

        async def leg(endpoint: Endpoint) -> None:
            await endpoint.txn(
                ours, (put, Delete(key), *more), (Delete(key), *more), self._timing.attempt_timeout
            )

        try:
            await self.insist(leg)
        except EtcdRefusedError:
            # No space left, or no permission for the record: revoking is still possible, and the
            # successor then waits for the whole window, which is safe.
            await self._revoke(order.record.lease)
            raise
        self._background(self._revoke_later(order.record.lease))

    async def answer(self, candidacy: Candidacy, intent: int) -> None:
        """Say in our own key that we are ready for an intent.

        Raises:
            EtcdError: No answer; saying it again does no harm.
        """
        await self._rewrite(candidacy, json.dumps({**json.loads(candidacy.value), "ready_for": intent}))

    def restated(self, candidacy: Candidacy) -> Candidacy:
        """Return a place in the queue as it would be got with today's priority."""
        value = {**json.loads(candidacy.value), "priority": self.priority}
        return replace(candidacy, value=json.dumps(value))

    async def restate(self, candidacy: Candidacy) -> None:
        """Write the value of a place into its key.

        Raises:
            EtcdError: No answer; writing it again does no harm.
        """
        await self._rewrite(candidacy, candidacy.value)

    async def _rewrite(self, candidacy: Candidacy, value: str) -> None:
        """Write into our own key, if it still is; it keeps its lease and its place."""
        ours = (
            Compare(candidacy.key, Target.CREATE, Relation.EQUAL, candidacy.create_revision),
            Compare(candidacy.key, Target.LEASE, Relation.EQUAL, candidacy.lease),
        )
        await self._write(ours, Put(candidacy.key, value, candidacy.lease))

    async def write_intent(self, order: WriteIntent) -> None:
        """Wish for another leader than ourselves, unless one is wished for already or all is paused.

        Raises:
            EtcdError: No answer.
        """
        conditions = (
            Compare(self._keys.key(order.lease), Target.LEASE, Relation.EQUAL, order.lease),
            Compare(self._keys.switchover, Target.CREATE, Relation.EQUAL, 0),
            Compare(self._keys.paused, Target.CREATE, Relation.EQUAL, 0),
        )
        intent = Intent(order.token, order.to, order.reason, 0)
        await self._write(conditions, Put(self._keys.switchover, intent.encode(), order.lease))

    async def drop_intent(self, revision: int) -> None:
        """Delete the wish with this mod revision.

        Raises:
            EtcdError: No answer.
        """
        same = Compare(self._keys.switchover, Target.MOD, Relation.EQUAL, revision)
        await self._write((same,), Delete(self._keys.switchover))

    async def give_up(self, lease: int) -> None:
        """Delete the key of a lease that never held and revoke the lease, as well as may be."""
        async def leg(endpoint: Endpoint) -> None:
            await endpoint.txn((), (Delete(self._keys.key(lease)),), (), self._timing.attempt_timeout)

        # Deleting comes first and by itself: it alone lets the next one come up.
        with contextlib.suppress(EtcdError):
            await self.insist(leg)
        await self._revoke(lease)

    async def insist(self, leg: Callable[[Endpoint], Awaitable[T]]) -> T:
        """Try a harmlessly repeatable leg on all endpoints, again and again within a bound.

        Raises:
            EtcdError: No leg had a result.
        """
        timing = self._timing
        until = self._clock.now().plus(2 * timing.attempt_timeout * len(self._client.endpoints))

        async def attempt() -> T:
            left = self._clock.now().left_until(until)
            endpoint, result = await first_answer(
                self._client.order(), leg,
                hedge_after=timing.hedge_after, timeout=min(timing.attempt_timeout, left),
            )
            self._client.prefer(endpoint)
            return result

        return await retrying(self._clock, until)(attempt)

    async def _write(self, conditions: tuple[Compare, ...], change: Put | Delete) -> None:
        async def leg(endpoint: Endpoint) -> None:
            await endpoint.txn(conditions, (change,), (), self._timing.attempt_timeout)

        await self.insist(leg)

    async def _revoke_later(self, lease: int) -> None:
        # The successor is just taking over; nothing waits for this but the end of the agent.
        await lull()
        await self._revoke(lease)

    async def _revoke(self, lease: int) -> None:
        async def leg(endpoint: Endpoint) -> None:
            await endpoint.revoke(lease, self._timing.attempt_timeout)

        # A lease without a key that nobody renews harms nobody.
        with contextlib.suppress(EtcdError):
            await self.insist(leg)

    async def _join_once(self) -> Candidacy:
        endpoint = self._client.order()[0]
        try:
            sent_at = self._clock.now()
            grant = await endpoint.grant(self._timing.ttl, self._timing.attempt_timeout)
            return await self._enter(endpoint, grant, sent_at)
        except EtcdError:
            self._client.avoid(endpoint)
            raise

    async def _enter(self, endpoint: Endpoint, grant: Grant, sent_at: Instant) -> Candidacy:
        key = self._keys.key(grant.lease)
        ranges = snapshot_ranges(self._keys)
        try:
            timing = self._granted(grant)
            value = self._value(timing)
            put = Put(key, value, grant.lease)
            asked_at = self._clock.now()
            answer = await endpoint.txn(
                (Compare(key, Target.CREATE, Relation.EQUAL, 0),), (put, *ranges), ranges,
                self._timing.attempt_timeout,
            )
            snapshot = build_snapshot(
                self._keys, answer.header, answer.ranges, asked_at, self._clock.now()
            )
            ours = next((each for each in snapshot.queue if each.key == key), None)
            if ours is None or ours.lease != grant.lease:
                raise EtcdError(f"{endpoint.url}: {key} stands there already without our lease")
        except BaseException:
            self._background(self.give_up(grant.lease))
            raise
        return Candidacy(grant.lease, timing, sent_at, key, ours.create_revision, value, snapshot)

    def _granted(self, grant: Grant) -> Timing:
        try:
            return self._timing.granted(grant.ttl)
        except InvariantError as error:
            raise EtcdRefusedError(
                f"etcd granted a ttl of {grant.ttl} s where {self._timing.ttl} s was asked for: {error}"
            ) from error

    def _value(self, timing: Timing) -> str:
        # Wall time, for people only.
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return json.dumps({
            "node": self._node, "since": since, "priority": self.priority, "ttl": timing.ttl,
            "window_ms": -int(-timing.window * 1000 // 1), "stop_ms": -int(-timing.stop_after * 1000 // 1),
        })
