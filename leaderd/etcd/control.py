"""What operators ask of an election, carried out in etcd from whichever node they ask.

Each request is one transaction, conditional on what it was judged by, so that of two at a time one is
refused. No node has to be asked: the marks `paused` and `standby/<node>` are seen by every watch and by the
condition of every takeover, and the wish for another leader is written straight onto the leader's lease.

Source: docs/design.md §4; docs/interfaces.md §8.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from leaderd.clock import Clock
from leaderd.core.control import Controls, Intent
from leaderd.core.handover import INTENT_LIFE, heirs, refusal, standing_leader
from leaderd.core.lease import Timing
from leaderd.core.queue import is_foreign
from leaderd.core.records import CandidateKey, Snapshot, token_epoch
from leaderd.errors import EtcdError, RefusedError, UnreachableError
from leaderd.etcd.chronicle import read_entry
from leaderd.etcd.client import Endpoint, EtcdClient
from leaderd.etcd.hedge import first_answer
from leaderd.etcd.ops import Compare, Delete, Op, Put, Range, Relation, Target, TxnAnswer
from leaderd.etcd.retry import retrying
from leaderd.etcd.snapshot import take_snapshot
from leaderd.keys import ElectionKeys
from leaderd.wall import wall_time

T = TypeVar("T")

# How often is looked how far a request has come (seconds).
_LOOK: Final = 0.05
# How long is waited beyond what the budget allows for: a loaded machine, a hook that reports late.
_PATIENCE: Final = 3.0
# And beyond the lease of a node that does not see that it is to leave.
_TO_LEAVE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Progress:
    """One piece of news on the way to a new leader; `api.control.SwitchoverStep` has the words."""

    text: str
    leader: str = ""
    token: int = 0
    gap: float | None = None
    done: bool = False


class ElectionControl:
    """One election, for operators. Every method raises UnreachableError when etcd does not answer.

    Args:
        client: The cluster.
        keys: The election.
        node: Our name, for the marks' `by`.
        timing: The configured budget.
        clock: For deadlines.
    """

    def __init__(
        self, client: EtcdClient, keys: ElectionKeys, node: str, timing: Timing, clock: Clock
    ) -> None:
        self._client = client
        self._keys = keys
        self._node = node
        self._timing = timing
        self._clock = clock

    # --- another leader ---

    async def switchover(self, to: str) -> AsyncIterator[Progress]:
        """Hand the leadership to node `to`, or to the fittest for ""; yield how it goes.

        Raises:
            RefusedError: It cannot be, or came to nothing; the leader is the same as before.
        """
        seen = await self._look()
        controls = Controls.read(seen.controls)
        if why := refusal(seen.queue, seen.holder, controls, to):
            raise RefusedError(f"election {self._keys.name}: {why}")
        leader = standing_leader(seen.queue, seen.holder)
        if leader is None or seen.holder is None:
            raise RefusedError(f"election {self._keys.name}: nobody leads")
        to = to or heirs(seen.queue, leader.key, controls)[0].node
        old = seen.holder.token
        await self._wish(seen, leader, to)
        yield Progress(f"{leader.node} leads and is to hand over to {to}", leader.node, old)
        async for step in self._follow(old, leader.node, to):
            yield step

    async def _wish(self, seen: Snapshot, leader: CandidateKey, to: str) -> None:
        stands = next((key for key in seen.controls if key.name == "switchover"), None)
        conditions = (
            Compare(self._keys.holder, Target.MOD, Relation.EQUAL, seen.holder_revision),
            Compare(leader.key, Target.LEASE, Relation.EQUAL, leader.lease),
            Compare(self._keys.switchover, Target.MOD, Relation.EQUAL, stands.revision if stands else 0),
            Compare(self._keys.paused, Target.CREATE, Relation.EQUAL, 0),
        )
        token = seen.holder.token if seen.holder else 0
        intent = Put(self._keys.switchover, Intent(token, to, "switchover", 0).encode(), leader.lease)
        await self._change(conditions, intent)

    async def _follow(self, old: int, leader: str, to: str) -> AsyncIterator[Progress]:
        """Yield what happens until somebody leads after `old`."""
        timing = self._timing
        until = self._clock.now().plus(INTENT_LIFE + timing.stop_timeout + timing.kill_time + _PATIENCE)
        promoted = 0
        while self._clock.now().left_until(until) > 0:
            await self._pause()
            seen = await self._look()
            holder = seen.holder
            if holder is None:
                continue
            controls = Controls.read(seen.controls)
            if holder.token == old:
                if holder.state == "held" and (controls.intent is None or controls.intent.token != old):
                    raise RefusedError(
                        f"election {self._keys.name}: {to} was not ready in time; {leader} leads on"
                    )
                continue
            if holder.token != promoted:
                promoted, until = holder.token, self._clock.now().plus(timing.start_timeout + _PATIENCE)
                yield Progress(f"{leader} has stopped, {holder.node} starts", holder.node, promoted)
            reports = {report.node: report for report in controls.nodes}
            report = reports.get(holder.node)
            if report and report.state == "leader" and report.token == promoted:
                yield await self._arrived(promoted, holder.node)
                return
        await self._withdraw_wish(old)
        raise RefusedError(f"election {self._keys.name}: {to} has not started its resources in time")

    async def _arrived(self, token: int, node: str) -> Progress:
        span = Range(self._keys.leadership(token), self._keys.leadership(token) + "\0")
        until = self._clock.now().plus(1.0)
        while True:
            found = await self._ask(lambda endpoint: endpoint.read(span, self._timing.attempt_timeout))
            entry = read_entry(found.found[0]) if found.found else {}
            if entry or self._clock.now().left_until(until) <= 0:
                return Progress(f"{node} leads", node, token, entry.get("gap"), done=True)
            await self._pause()

    async def _withdraw_wish(self, token: int) -> None:
        seen = await self._look()
        intent = Controls.read(seen.controls).intent
        if intent is not None and intent.token == token:
            same = Compare(self._keys.switchover, Target.MOD, Relation.EQUAL, intent.revision)
            await self._transact((same,), (Delete(self._keys.switchover),))

    # --- marks ---

    async def known(self) -> set[str]:
        """Return the nodes that are in the queue, say how they are, or are marked; this one anyway."""
        return self._known(await self._look())

    def _known(self, seen: Snapshot) -> set[str]:
        controls = Controls.read(seen.controls)
        return {self._node, *(report.node for report in controls.nodes), *controls.standby,
                *(key.node for key in seen.queue if not is_foreign(key))}

    async def check_standby(self, node: str, *, force: bool) -> Snapshot:
        """Return what the refusal of a standby is judged by.

        Raises:
            RefusedError: Nobody knows the node; or nobody else is fit to lead, and `force` is not given.
        """
        seen = await self._look()
        controls = Controls.read(seen.controls)
        if node not in (known := self._known(seen)) and not force:
            raise RefusedError(f"election {self._keys.name}: no node {node} is known; "
                               f"there are: {', '.join(sorted(known))}; --force marks it all the same")
        if not force and node not in controls.standby:
            if controls.paused:
                raise RefusedError(f"election {self._keys.name}: it is paused, so that nobody could take "
                                   "over; resume it first, or give --force")
            if all(key.node == node for key in heirs(seen.queue, "", controls)):
                raise RefusedError(f"election {self._keys.name}: no other node is fit to lead; "
                                   "give --force to leave it without a leader")
        return seen

    async def stand_by(self, node: str, seen: Snapshot) -> None:
        """Mark a node, unless another was marked since `seen`; `until_left` waits for what it does then."""
        keys = self._keys
        if node not in Controls.read(seen.controls).standby:
            others = Compare(keys.standby(""), Target.MOD, Relation.LESS, seen.revision + 1, keys.standby_end)
            await self._change((others,), Put(keys.standby(node), self._by()))

    async def until_left(self, node: str) -> None:
        """Wait until a marked node has stopped its resources and left.

        Raises:
            RefusedError: It has not, though even one that does not see the mark would have lost its lease.
                The mark stands.
        """
        until = self._clock.now().plus(self._timing.ttl + _TO_LEAVE)
        while True:
            seen = await self._look()
            holds = seen.holder is not None and seen.holder.node == node and seen.holder.state == "held"
            if not holds and all(key.node != node for key in seen.queue):
                return
            if self._clock.now().left_until(until) <= 0:
                text = "may still hold its resources" if holds else "is still in the queue"
                raise RefusedError(f"election {self._keys.name}: {node} is marked, but {text}; look there")
            await self._pause()

    async def go_online(self, node: str) -> None:
        """Drop a node's mark; fine when there is none.

        Raises:
            RefusedError: Nobody knows the node, which therefore has no mark.
        """
        if node not in (known := await self.known()):
            raise RefusedError(f"election {self._keys.name}: no node {node} is known; "
                               f"there are: {', '.join(sorted(known))}")
        await self._transact((), (Delete(self._keys.standby(node)),))

    async def set_paused(self, *, paused: bool) -> None:
        """Put the mark or drop it. A wish for another leader goes with the pause: it could not be met."""
        keys = self._keys
        if paused:
            absent = Compare(keys.paused, Target.CREATE, Relation.EQUAL, 0)
            await self._transact((absent,), (Put(keys.paused, self._by()), Delete(keys.switchover)))
        else:
            await self._transact((), (Delete(keys.paused),))

    # --- to look up ---

    async def history(self, limit: int) -> list[dict[str, Any]]:
        """Return past leaderships, newest first; `etcd.chronicle` has their shape."""
        span = Range(self._keys.history, self._keys.history_end)
        reading = await self._ask(lambda endpoint: endpoint.read(span, self._timing.attempt_timeout))
        found = sorted(reading.found, key=lambda each: each.key, reverse=True)
        return [entry for each in found if (entry := read_entry(each))][:limit]

    async def newest_token(self) -> int:
        """Return the newest fencing token by a linearizable read; 0 for none."""
        seen = await self._look()
        if seen.broken:
            raise UnreachableError(f"election {self._keys.name}: {seen.broken}")
        return seen.holder.token if seen.holder else 0

    async def raise_epoch(self, known: int) -> int:
        """Raise the epoch above etcd's own, the holder's and `known`; return the new one.

        Raises:
            RefusedError: Somebody else changed it at the same time.
        """
        seen = await self._look()
        epoch = 1 + max(seen.epoch, known, token_epoch(seen.holder.token) if seen.holder else 0)
        same = Compare(self._keys.epoch, Target.MOD, Relation.EQUAL, seen.epoch_revision)
        text = json.dumps({"epoch": epoch, "by": self._node, "since": wall_time()})
        await self._change((same,), Put(self._keys.epoch, text))
        return epoch

    # --- etcd ---

    def _by(self) -> str:
        return json.dumps({"by": self._node, "since": wall_time()})

    @staticmethod
    async def _pause() -> None:
        # Not a watch: what is waited for stands in three records, and hardly ever for long.
        await asyncio.wait((asyncio.get_running_loop().create_future(),), timeout=_LOOK)

    async def _look(self) -> Snapshot:
        return await self._ask(
            lambda endpoint: take_snapshot(endpoint, self._keys, self._timing.attempt_timeout)
        )

    async def _change(self, conditions: tuple[Compare, ...], change: Put) -> None:
        if not (await self._transact(conditions, (change,))).succeeded:
            # Perhaps it was ourselves, in an attempt whose answer was lost.
            span = Range(change.key, change.key + "\0")
            found = await self._ask(lambda endpoint: endpoint.read(span, self._timing.attempt_timeout))
            if not found.found or found.found[0].value != change.value:
                raise RefusedError(f"election {self._keys.name}: something has just changed there; "
                                   "nothing was done, look and try again")

    async def _transact(self, conditions: tuple[Compare, ...], then: tuple[Op, ...]) -> TxnAnswer:
        try:
            return await self._ask(
                lambda endpoint: endpoint.txn(conditions, then, (), self._timing.attempt_timeout)
            )
        except UnreachableError as error:
            # What was sent may lie in front of a member that only stands still.
            text = f"{error}; it may be done all the same: see `leaderd status {self._keys.name}`"
            raise UnreachableError(text) from error

    async def _ask(self, leg: Callable[[Endpoint], Awaitable[T]]) -> T:
        timing = self._timing
        until = self._clock.now().plus(_PATIENCE)

        async def attempt() -> T:
            _, result = await first_answer(
                self._client.order(), leg, hedge_after=timing.hedge_after, timeout=timing.attempt_timeout
            )
            return result

        try:
            return await retrying(self._clock, until)(attempt)
        except EtcdError as error:
            raise UnreachableError(f"etcd does not answer: {error}") from error
