"""The calls of the client: joining, proven renewals, evidence, the takeover, the release."""

from typing import Any

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.proof import KeepaliveAnswer, Verdict, judge_renewal
from leaderd.core.records import CandidateKey, Snapshot
from leaderd.instant import Instant
from tests.sim.client import CALLS, Call, Client, Shown, nothing


def election_key(lease: int) -> str:
    """Return the candidate key of a lease."""
    return f"e/{lease:x}"


class Renewal(Call):
    """One attempt at a proven renewal, hedged to the next member when the first is slow."""

    __slots__ = ("known", "legs", "open")

    def __init__(self, client: Client, action: a.Renew) -> None:
        super().__init__(client, action.serial)
        self.known = action.known
        self.legs = 0
        self.open = 0

    def begin(self) -> None:
        """Ask the first member, and set the timers."""
        timing = self.client.timing
        self._leg()
        self.client.timer(timing.hedge_after, self._hedge)
        self.client.timer(timing.attempt_timeout, self._timeout)

    def _leg(self) -> None:
        client = self.client
        joined = client.joined
        if joined is None:
            return
        endpoint = (client.endpoint + self.legs) % len(client.links)
        self.legs += 1
        self.open += 1
        sent_at = client.process.clock()
        client.ask(endpoint, client.etcd.keepalive, joined.lease,
                   then=lambda term, ttl: self._acknowledged(endpoint, joined, sent_at, term, ttl),
                   failed=self._failed)

    def _acknowledged(self, endpoint: int, joined: e.Joined, sent_at: Instant, term: int, ttl: int) -> None:
        if self.done:
            return
        client = self.client
        now = client.process.clock()
        answer = KeepaliveAnswer(sent_at, now, min(ttl, joined.ttl), term)
        client.ask(endpoint, client.etcd.read, failed=self._failed,
                   then=lambda member, term, shown: self._judge(
                       joined, answer, client.snapshot(member, term, shown, now)))

    def _judge(self, joined: e.Joined, answer: KeepaliveAnswer, snapshot: Snapshot) -> None:
        if self.done:
            return
        self.client.seen = snapshot
        verdict = judge_renewal(joined.key, joined.lease, joined.create_revision, answer, snapshot)
        if verdict is Verdict.PROVEN:
            self.finish(e.Renewed(self.serial, answer.sent_at, snapshot, self.known))
        elif verdict is Verdict.GONE:
            self.finish(e.SessionGone(self.serial, "the own key is gone"))
        else:
            self._failed()

    def _failed(self) -> None:
        self.open -= 1
        if self.legs < 2:
            self._hedge()
        elif not self.open:
            self._give_up("every member failed")

    def _hedge(self) -> None:
        if not self.done and self.legs < 2:
            self._leg()

    def _timeout(self) -> None:
        self._give_up("timed out")

    def _give_up(self, why: str) -> None:
        if not self.done:
            self.next_endpoint()
            self.finish(e.RenewalFailed(self.serial, why))


class Joining(Call):
    """Grant a lease, create our key: at up to three members in turn, each bounded in time."""

    __slots__ = ("known", "lease", "sent_at", "tries")

    def __init__(self, client: Client, action: a.Join) -> None:
        super().__init__(client, action.serial)
        self.known = action.known
        self.tries = 0
        self.lease = 0

    def begin(self) -> None:
        """Ask the next member for a lease."""
        if self.done:
            return
        client = self.client
        attempt = self.tries = self.tries + 1
        self.lease = 0
        self.sent_at = client.process.clock()
        store, ttl = client.etcd.store, client.ttl
        client.ask(client.endpoint, client.etcd.propose, lambda: store.grant(ttl),
                   then=lambda lease: self._granted(attempt, lease),
                   failed=lambda: self._failed(attempt))
        client.timer(client.timing.attempt_timeout * 2, self._failed, attempt)

    def _granted(self, attempt: int, lease: int) -> None:
        client = self.client
        key = election_key(lease)
        if self.done or attempt != self.tries:
            client.give_up(lease, key)
            return
        self.lease = lease
        window = client.timing.granted(client.ttl).window
        store = client.etcd.store

        def change() -> tuple[CandidateKey | None, Shown]:
            return store.campaign(key, lease, client.node, client.priority, window), client.shown()

        client.ask(client.endpoint, client.etcd.propose, change,
                   then=lambda answer: self._joined(attempt, lease, key, answer),
                   failed=lambda: self._failed(attempt))

    def _joined(self, attempt: int, lease: int, key: str,
                answer: tuple[CandidateKey | None, Shown]) -> None:
        client = self.client
        entry, shown = answer
        if self.done or attempt != self.tries or entry is None:
            return
        snapshot = client.snapshot(client.endpoint, client.etcd.term, shown, client.process.clock())
        client.joined = e.Joined(self.serial, lease, client.ttl, self.sent_at, key,
                                 entry.create_revision, snapshot, self.known)
        self.finish(client.joined)

    def _failed(self, attempt: int) -> None:
        if self.done or attempt != self.tries:
            return
        if self.lease:
            self.client.give_up(self.lease, election_key(self.lease))
        self.next_endpoint()
        if self.tries < 3:
            self.begin()
        else:
            self.finish(e.JoinFailed(self.serial, "no member answered"))


class Evidence(Call):
    """Read, time to live, read: all through one member, all of one raft term (rule R6b)."""

    __slots__ = ("action", "ended_at", "endpoint", "granted", "remaining", "started_at", "term")

    def __init__(self, client: Client, action: a.GatherEvidence) -> None:
        super().__init__(client, action.serial)
        self.action = action
        self.endpoint = client.endpoint

    def begin(self) -> None:
        """Send the first read."""
        client = self.client
        self.started_at = client.process.clock()
        client.ask(self.endpoint, client.etcd.read, then=self._first, failed=self._failed)
        client.timer(client.timing.attempt_timeout, self._failed)

    def _shows_holder(self, shown: Shown) -> bool:
        holder = shown[2]
        return holder is not None and holder.token == self.action.token and holder.state == "held"

    def _first(self, member: int, term: int, shown: Shown) -> None:
        if self.done:
            return
        if not self._shows_holder(shown):
            self._failed()
            return
        self.term = term
        self.client.ask(self.endpoint, self.client.etcd.time_to_live, self.action.lease,
                        then=self._time_to_live, failed=self._failed)

    def _time_to_live(self, term: int, remaining: int, granted: int) -> None:
        if self.done:
            return
        self.ended_at = self.client.process.clock()
        self.remaining, self.granted = remaining, granted
        if term != self.term or granted <= 0 or not 0 <= remaining <= granted:
            self._failed()
            return
        self.client.ask(self.endpoint, self.client.etcd.read, then=self._second, failed=self._failed)

    def _second(self, member: int, term: int, shown: Shown) -> None:
        if self.done:
            return
        if term != self.term or not self._shows_holder(shown):
            self._failed()
            return
        self.finish(e.EvidenceGathered(self.serial, self.action.token, self.remaining, self.granted,
                                       self.started_at, self.ended_at))

    def _failed(self) -> None:
        if not self.done:
            self.next_endpoint()
            self.finish(e.EvidenceFailed(self.serial, "no evidence"))


class Takeover(Call):
    """The takeover transaction: one attempt, and silence may mean that it was committed."""

    __slots__ = ("action",)

    def __init__(self, client: Client, action: a.TakeOver) -> None:
        super().__init__(client, action.serial)
        self.action = action

    def begin(self) -> None:
        """Send it."""
        client, action, store = self.client, self.action, self.client.etcd.store
        joined = client.joined
        if joined is None:
            return

        def change() -> int:
            return store.takeover(joined.key, joined.lease, action.create_revision,
                                  action.holder_revision, action.epoch_revision, action.record)

        client.ask(client.endpoint, client.etcd.propose, change, then=self._answered, failed=self._failed)
        client.timer(client.timing.attempt_timeout, self._failed)

    def _answered(self, holder_revision: int) -> None:
        if holder_revision:
            self.finish(e.TookOver(self.serial, self.action.record.token, holder_revision))
        else:
            self.finish(e.TakeoverRefused(self.serial))

    def _failed(self) -> None:
        if not self.done:
            self.next_endpoint()
            self.finish(e.TakeoverFailed(self.serial, "no answer"))


class Releasing(Call):
    """The release transaction of R5, at one member after the other, then the lease's revocation."""

    __slots__ = ("action", "tries")

    def __init__(self, client: Client, action: a.Release) -> None:
        super().__init__(client, 0)
        self.action = action
        self.tries = 0

    def begin(self) -> None:
        """Ask the next member."""
        if self.done:
            return
        client, action, store = self.client, self.action, self.client.etcd.store
        attempt = self.tries = self.tries + 1
        lease = action.record.lease

        def change() -> None:
            store.release(election_key(lease), action.record, action.holder_revision)

        client.ask(client.endpoint, client.etcd.propose, change,
                   then=self._answered, failed=lambda: self._failed(attempt))
        client.timer(client.timing.attempt_timeout, self._failed, attempt)

    def _answered(self, *_: Any) -> None:
        if self.done:
            return
        client, store, lease = self.client, self.client.etcd.store, self.action.record.lease
        client.ask(client.endpoint, client.etcd.propose, lambda: store.revoke(lease),
                   then=nothing, failed=nothing)
        self.finish(e.Released(self.action.token))

    def _failed(self, attempt: int) -> None:
        if self.done or attempt != self.tries:
            return
        self.next_endpoint()
        if self.tries < 2 * len(self.client.links):
            self.begin()
        else:
            self.finish(e.ReleaseFailed(self.action.token, "no member answered"))


CALLS.update({a.Renew: Renewal, a.Join: Joining, a.GatherEvidence: Evidence, a.TakeOver: Takeover,
              a.Release: Releasing})
