"""What the agent talks to: performs an election's etcd actions and posts what came of them."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from leaderd.clock import Clock
from leaderd.core.actions import (
    AnswerIntent,
    DropIntent,
    EndSession,
    GatherEvidence,
    Join,
    RecordEnd,
    RecordStart,
    Release,
    Renew,
    TakeOver,
    WriteIntent,
)
from leaderd.core.events import (
    Event,
    EvidenceFailed,
    EvidenceGathered,
    Joined,
    JoinFailed,
    Released,
    ReleaseFailed,
    RenewalFailed,
    Renewed,
    SessionGone,
    TakeoverFailed,
    TakeoverRefused,
    TookOver,
)
from leaderd.core.lease import Timing
from leaderd.errors import EtcdError, LeaseLostError
from leaderd.etcd.campaign import Campaign, Candidacy
from leaderd.etcd.chronicle import Chronicle
from leaderd.etcd.client import Endpoint, EtcdClient
from leaderd.etcd.evidence import Evidence, gather_evidence
from leaderd.etcd.hedge import cancelled, first_answer
from leaderd.etcd.lull import lull
from leaderd.etcd.session import Meter, Session
from leaderd.etcd.watch import control_watch, queue_watch
from leaderd.keys import ElectionKeys

StoreAction = (
    Join | Renew | GatherEvidence | TakeOver | Release | EndSession
    | WriteIntent | DropIntent | AnswerIntent | RecordStart | RecordEnd
)


class ElectionStore:
    """One election in etcd.

    Args:
        client: The cluster; shared by all elections of the daemon, closed by whoever made it.
        keys: The election.
        node: Our name.
        priority: Ours.
        timing: The budget with the TTL to ask for.
        clock: For instants.
        post: Takes the events, in the event loop's thread; must not block.
        meter: Takes note of renewals.
    """

    def __init__(
        self,
        client: EtcdClient,
        keys: ElectionKeys,
        node: str,
        priority: int,
        timing: Timing,
        clock: Clock,
        post: Callable[[Event], None],
        meter: Meter | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._timing = timing
        self._post = post
        self._meter = meter
        self._campaign = Campaign(client, keys, node, priority, timing, clock, self._in_background)
        self._chronicle = Chronicle(keys, node, timing.attempt_timeout)
        self._watch = queue_watch(client, keys, timing.attempt_timeout, post)
        self._controls = control_watch(client, keys, timing.attempt_timeout, post)
        self._sessions: dict[int, Session] = {}
        self._candidacies: dict[int, Candidacy] = {}
        # Every running task and the session it belongs to, 0 for none.
        self._tasks: dict[asyncio.Task[None], int] = {}
        self._clean_ups: set[asyncio.Task[None]] = set()
        self._bugs: asyncio.Queue[BaseException] = asyncio.Queue()

    def perform(self, action: StoreAction) -> None:
        """Start an action; its outcome is posted. Never blocks."""
        match action:
            case Join(serial=serial):
                self._start(self._join(action), serial)
            case Renew(serial=serial):
                self._start(self._renew(action), serial)
            case GatherEvidence(serial=serial):
                self._start(self._gather_evidence(action), serial)
            case TakeOver(serial=serial):
                self._start(self._take_over(action), serial)
            case Release():
                self._start(self._release(action), 0)
            case EndSession():
                self._end_session(action)
            case _:
                self._note(action)

    def _note(self, action: WriteIntent | DropIntent | AnswerIntent | RecordStart | RecordEnd) -> None:
        """Start what nobody waits for: whether it worked shows in etcd, or it is asked for again."""
        match action:
            case WriteIntent():
                self._quietly(self._campaign.write_intent(action))
            case DropIntent():
                self._quietly(self._campaign.drop_intent(action.revision))
            case AnswerIntent() if action.serial in self._candidacies:
                self._quietly(self._campaign.answer(self._candidacies[action.serial], action.intent))
            case RecordStart():
                self._quietly(self._record_start(action, self._chronicle.begin(action)))
            case RecordEnd():
                last_words = self._chronicle.end(action)
                # Those of a clean end go into the release.
                if last_words is not None and not action.clean:
                    self._quietly(self._campaign.insist(
                        lambda endpoint: endpoint.txn((), (last_words,), (), self._timing.attempt_timeout)
                    ))

    async def _record_start(self, action: RecordStart, entry: dict[str, Any]) -> None:
        """Write the history of a term that starts, at once: it may be a short one."""
        await self._campaign.insist(lambda endpoint: self._chronicle.write_start(endpoint, action, entry))
        await lull()
        await self._campaign.insist(self._chronicle.drop_oldest)

    async def run(self) -> None:
        """Follow queue and controls until cancelled.

        Raises:
            ExceptionGroup: Something failed in a way that is no answer of etcd's: a bug. The
                agent must stop.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch.run())
            group.create_task(self._controls.run())
            group.create_task(self._raise_bugs())

    @property
    def priority(self) -> int:
        """What our keys say."""
        return self._campaign.priority

    def prefer(self, priority: int) -> None:
        """Compete with another priority from now on, and say so in a key that stands already."""
        self._campaign.priority = priority
        for serial in self._candidacies:
            self._restate(serial)

    def _restate(self, serial: int) -> None:
        restated = self._campaign.restated(self._candidacies[serial])
        if restated != self._candidacies[serial]:
            self._candidacies[serial] = restated
            self._quietly(self._campaign.restate(restated))

    async def close(self) -> None:
        """Cancel what runs; leases that are being given up get one more attempt's time for it."""
        await cancelled(self._tasks)
        if self._clean_ups:
            await asyncio.wait(self._clean_ups, timeout=self._timing.attempt_timeout)
        await cancelled(self._clean_ups)
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _start(self, work: Coroutine[Any, Any, None], serial: int) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[task] = serial
        task.add_done_callback(self._ended)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._clean_ups.add(task)
        task.add_done_callback(self._ended)

    def _quietly(self, work: Coroutine[Any, Any, object]) -> None:
        async def run() -> None:
            with contextlib.suppress(EtcdError):
                await work

        self._in_background(run())

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._clean_ups.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._bugs.put_nowait(error)

    async def _raise_bugs(self) -> None:
        raise await self._bugs.get()

    async def _join(self, action: Join) -> None:
        try:
            got = await self._campaign.join()
        except EtcdError as error:
            self._post(JoinFailed(action.serial, str(error)))
            return
        session = Session(
            self._client, self._keys, got.timing, got.lease, got.create_revision, self._meter
        )
        self._sessions[action.serial], self._candidacies[action.serial] = session, got
        # The priority may have changed on the way.
        self._restate(action.serial)
        self._post(Joined(
            action.serial, got.lease, got.timing.ttl, got.sent_at, got.key, got.create_revision,
            got.snapshot, action.known,
        ))

    async def _renew(self, action: Renew) -> None:
        session = self._sessions.get(action.serial)
        if session is None:
            self._post(RenewalFailed(action.serial, "the session is over"))
            return
        try:
            sent_at, snapshot = await session.renew()
        except LeaseLostError as error:
            self._post(SessionGone(action.serial, str(error)))
        except EtcdError as error:
            self._post(RenewalFailed(action.serial, str(error)))
        else:
            self._post(Renewed(action.serial, sent_at, snapshot, action.known))

    async def _gather_evidence(self, action: GatherEvidence) -> None:
        timeout = self._timing.attempt_timeout

        async def leg(endpoint: Endpoint) -> Evidence | str:
            return await gather_evidence(endpoint, self._keys, action.token, action.lease, timeout)

        try:
            _, found = await first_answer(
                self._client.order(), leg, hedge_after=self._timing.hedge_after, timeout=timeout
            )
        except EtcdError as error:
            found = str(error)
        if isinstance(found, str):
            self._post(EvidenceFailed(action.serial, found))
            return
        self._post(EvidenceGathered(
            action.serial, action.token, found.remaining, found.granted, found.started_at, found.ended_at
        ))

    async def _take_over(self, action: TakeOver) -> None:
        try:
            revision = await self._campaign.take_over(action)
        except EtcdError as error:
            self._post(TakeoverFailed(action.serial, str(error)))
            return
        if revision is None:
            self._post(TakeoverRefused(action.serial))
        else:
            self._post(TookOver(action.serial, action.record.token, revision))

    async def _release(self, action: Release) -> None:
        try:
            last_words = self._chronicle.last_words(action.token)
            await self._campaign.release(action, *([last_words] if last_words else []))
        except EtcdError as error:
            self._post(ReleaseFailed(action.token, str(error)))
        else:
            self._post(Released(action.token))

    def _end_session(self, action: EndSession) -> None:
        for task, serial in self._tasks.items():
            if serial == action.serial:
                task.cancel()
        self._candidacies.pop(action.serial, None)
        session = self._sessions.pop(action.serial, None)
        if session is not None:
            session.close()
            if action.give_up:
                self._in_background(self._campaign.give_up(session.lease))
