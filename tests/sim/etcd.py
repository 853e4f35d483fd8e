"""A model of a three-member etcd: terms, lessors, and members that are paused, stalled, cut off or deposed.

What it must reproduce is in docs/etcd.md: the store is linearizable, leases are not. Only a primary lessor
keeps the time of leases. One that was deposed without knowing (its process paused, its disk stalled,
its peers cut off) acknowledges keepalives as before, and the revocations that it still proposes are
forwarded to its successor and committed: early and wrong. A new leader restarts every TTL.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.sim.engine import Engine
from tests.sim.member import ET, REVOKE_RETRY, Member
from tests.sim.store import Image, Store

Reply = Callable[..., None]


class Etcd:
    """The cluster. Requests arrive at a member; answers are given by calling `reply`."""

    def __init__(self, engine: Engine, rates: list[float]) -> None:
        self.engine = engine
        self.term = 2
        self.leader: Member | None = None
        self.store = Store(self._queue_changed, self._lease_changed, self._control_changed)
        self.members = [Member(engine, index, rate) for index, rate in enumerate(rates)]
        self.watchers: list[Callable[[], None]] = []
        self.control_watchers: list[Callable[[], None]] = []
        self.revoke_failures = 0.0
        self.failed_revoke_at = -1e9
        self.down = False
        self.counts: Counter[str] = Counter()
        self._waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._loss = 0
        self._lost = False
        self._lead(self.members[0])
        for member in self.members:
            engine.after(engine.uniform(0, 0.5), self._check_expiry, member)

    # --- who leads ---

    def has_quorum(self) -> bool:
        """Return whether the leader works and a follower with it."""
        return (self.leader is not None and self.leader.ready
                and any(member.ready for member in self.members if member is not self.leader))

    def reassess(self) -> None:
        """Look again whether there is a working leader, after any change of a member."""
        if self.has_quorum():
            if self._lost:
                self._lost = False
                self._loss += 1
                self._resume_waiting()
            return
        if not self._lost:
            self._lost = True
            self._loss += 1
            uniform = self.engine.uniform
            self.engine.after(uniform(ET, 2 * ET), self._step_down, self.leader)
            self.engine.after(uniform(ET, 2.2 * ET), self._elect, self._loss)

    def _step_down(self, leader: Member | None) -> None:
        # Check-quorum: a leader that runs notices that it is alone; a paused or stalled one does not.
        if leader is None or not leader.runs or leader.stalled or leader.behind:
            return
        if leader.isolated or (leader is self.leader and not self.has_quorum()):
            self._demote(leader)
            if self.leader is leader:
                self.leader = None

    def _elect(self, loss: int) -> None:
        if loss != self._loss:
            return
        ready = [member for member in self.members if member.ready]
        if self.down or len(ready) < 2:
            self.engine.after(self.engine.uniform(0.2, ET), self._elect, loss)
            return
        self._lost = False
        self._loss += 1
        others = [member for member in ready if member is not self.leader]
        self._lead(self.engine.rng.choice(others or ready))
        self._resume_waiting()

    def _lead(self, member: Member) -> None:
        """Make a member the leader of a new term: `Promote` restarts every lease, plus ET."""
        old, self.leader = self.leader, member
        self.term += 1
        self.counts["etcd leader changes"] += 1
        self.engine.note("etcd", f"term {self.term}: m{member.index} leads, every ttl restarts")
        if old is not None and old is not member and old.ready:
            self._demote(old)
        member.promote(self.term, self.store.leases)
        for other in self.members:
            if other is not member and other.ready:
                self._tell(other)

    def _tell(self, member: Member) -> None:
        """A follower learns first who leads, and only later applies an entry of the new term."""
        first = self.engine.uniform(0, 0.15)
        self.engine.after(first, self._learn_leader, member, self.term)
        self.engine.after(first + self.engine.uniform(0, 0.1), self._learn_term, member, self.term)

    def _learn_leader(self, member: Member, term: int) -> None:
        if term == self.term and member.ready:
            member.view = self.leader

    def _learn_term(self, member: Member, term: int) -> None:
        if term == self.term and member.ready:
            member.applied_term = max(member.applied_term, term)

    def _demote(self, member: Member) -> None:
        self.engine.note("etcd", f"m{member.index} is a follower") if member.primary else None
        member.primary = False
        member.expiry.clear()

    def move_leader(self) -> None:
        """Change the leader without any fault, as `etcdctl move-leader` does."""
        ready = [member for member in self.members if member.ready and member is not self.leader]
        if self.has_quorum() and ready:
            self._lead(self.engine.rng.choice(ready))

    # --- faults of members ---

    def pause(self, member: Member) -> None:
        """SIGSTOP."""
        member.paused = True
        self.reassess()

    def stall(self, member: Member) -> None:
        """The disk takes no more writes: nothing is applied or proposed, keepalives are still answered."""
        member.stalled = True
        self.reassess()

    def isolate(self, member: Member) -> None:
        """Cut a member from its peers, not from the clients."""
        member.isolated = True
        self.reassess()

    def crash(self, member: Member) -> None:
        """SIGKILL."""
        member.crash()
        if self.leader is member:
            self.leader = None
        self.reassess()

    def heal(self, member: Member) -> None:
        """End whatever ails a member. It needs a moment to learn what it missed, and acts until then."""
        if member.ready:
            return
        member.paused = member.stalled = member.isolated = False
        member.alive = True
        member.behind = True
        member.drain()
        self._propose_stale_revocations(member)
        self.engine.after(self.engine.uniform(0.01, 0.4), self._rejoin, member)

    def _propose_stale_revocations(self, member: Member) -> None:
        if member.primary and member is not self.leader:
            for lease in member.expired():
                self.engine.after(self.engine.uniform(0.0, 0.3), self._forwarded_revocation, member, lease)

    def _forwarded_revocation(self, member: Member, lease: int) -> None:
        if self.has_quorum() and lease in self.store.leases:
            early = self.leader is not None and self.leader.expiry.get(lease, 0) > self.leader.clock()
            self.counts["lease revoked wrongly by a deposed etcd leader"] += early
            self.engine.note("etcd", f"m{member.index}, deposed, revokes {lease:x}")
            self.store.revoke(lease)

    def _rejoin(self, member: Member) -> None:
        if not (member.alive and member.behind) or member.paused or member.stalled or member.isolated:
            return
        member.behind = False
        member.drain()
        if member.primary and member is not self.leader:
            self._propose_stale_revocations(member)
            self._demote(member)
        if self.leader is not None and member is not self.leader:
            self._tell(member)
        self.reassess()
        self._resume_waiting()

    # --- restore ---

    def restore(self, image: Image) -> None:
        """Bring the whole cluster back from a backup: revision and term go back, old leases return."""
        for member in self.members:
            member.crash()
            member.alive = True
            member.applied_term = 0
            member.view = None
        self._waiting.clear()
        self.store.restore(image)
        self.down = False
        self.term = 1
        self.leader = None
        self._lost = False
        self.reassess()

    def shut(self) -> None:
        """Stop every member, for a restore."""
        self.down = True
        for member in self.members:
            self.crash(member)

    # --- lease expiry ---

    def _check_expiry(self, member: Member) -> None:
        self.engine.after(0.5 / member.rate, self._check_expiry, member)
        if not member.primary or not member.runs or member.stalled:
            return
        for lease in member.expired():
            if member is self.leader and self.has_quorum():
                if self.engine.chance(self.revoke_failures):
                    self._revoke_failed(member, lease)
                else:
                    self.engine.after(self.engine.uniform(0, 0.02), self._expire, member, lease)
            elif member.behind:
                self.engine.after(self.engine.uniform(0, 0.1), self._forwarded_revocation, member, lease)
            else:
                self._revoke_failed(member, lease)

    def _revoke_failed(self, member: Member, lease: int) -> None:
        member.not_before[lease] = self.engine.now + REVOKE_RETRY
        self.failed_revoke_at = self.engine.now

    def _expire(self, member: Member, lease: int) -> None:
        if self.has_quorum() and self.store.revoke(lease):
            self.engine.note("etcd", f"m{member.index} expires {lease:x}")

    def _lease_changed(self, lease: int, ttl: int) -> None:
        for member in self.members:
            if not ttl:
                if member.ready or member is self.leader:
                    member.expiry.pop(lease, None)
            elif member is self.leader:
                member.expiry[lease] = member.clock() + ttl
                member.granted[lease] = ttl

    def _queue_changed(self) -> None:
        for watcher in self.watchers:
            watcher()

    def _control_changed(self) -> None:
        for watcher in self.control_watchers:
            watcher()

    # --- requests ---

    def _resume_waiting(self) -> None:
        if self.has_quorum() and self._waiting:
            waiting, self._waiting = self._waiting, []
            for call, args in waiting:
                self.engine.after(self.engine.uniform(0.001, 0.2), call, *args)

    def _wait(self, call: Callable[..., None], *args: Any) -> None:
        # Whether a request that nobody could serve is served late or never is up to chance.
        if self.engine.chance(0.6):
            self._waiting.append((call, args))

    def propose(self, member: Member, change: Callable[[], Any], reply: Reply, failed: Reply) -> None:
        """Commit `change` through a member, now or when a leader is there again, or never."""
        if not member.receive(failed, self.propose, member, change, reply, failed):
            return
        if not member.ready or not self.has_quorum():
            self._wait(self.propose, member, change, reply, failed)
            return
        reply(change())

    def read(self, member: Member, reply: Reply, failed: Reply) -> None:
        """Answer a linearizable read: reply(member index, term, what the store shows)."""
        if not member.receive(failed, self.read, member, reply, failed):
            return
        if not member.ready or not self.has_quorum():
            self._wait(self.read, member, reply, failed)
            return
        # The member has applied everything up to the read index, which a quorum confirmed.
        member.applied_term = self.term
        member.view = self.leader
        store = self.store
        reply(member.index, self.term, (store.revision, store.queue, store.holder, store.holder_revision,
                                        store.epoch, store.epoch_revision, store.controls))

    def keepalive(self, member: Member, lease: int, reply: Reply, failed: Reply) -> None:
        """Renew a lease at whoever this member takes for the leader: reply(term, ttl).

        The header's term is filled before the renewal, and says what this member has applied.
        """
        if not member.receive(failed, self.keepalive, member, lease, reply, failed):
            return
        self._at_primary(member, self._renew, lease, member.applied_term, reply, failed)

    def _renew(self, primary: Member, member: Member, lease: int, term: int, reply: Reply) -> None:
        if lease not in self.store.leases and lease in primary.expiry:
            self.counts["keepalive acknowledged for a lease that is gone"] += 1
        elif primary is not self.leader:
            self.counts["keepalive acknowledged by a deposed etcd leader"] += 1
        reply(term, primary.renew(lease, self.store.leases))

    def time_to_live(self, member: Member, lease: int, reply: Reply, failed: Reply) -> None:
        """Tell the remaining seconds of a lease: reply(term, remaining, granted); −1 and 0 when unknown."""
        if not member.receive(failed, self.time_to_live, member, lease, reply, failed):
            return
        self._at_primary(member, self._time_to_live, lease, 0, reply, failed)

    def _time_to_live(self, primary: Member, member: Member, lease: int, term: int, reply: Reply) -> None:
        if lease in primary.expiry:
            granted = self.store.leases.get(lease, primary.granted.get(lease, 0))
            reply(member.applied_term, int(primary.expiry[lease] - primary.clock()), granted)
        else:
            reply(member.applied_term, -1, 0)

    def _at_primary(self, member: Member, call: Callable[..., None], lease: int, term: int,
                    reply: Reply, failed: Reply) -> None:
        if member.primary:
            call(member, member, lease, term, reply)
            return
        primary = member.view
        if primary is None or member.isolated or primary.isolated or not primary.alive:
            failed()
        elif not primary.paused:
            if primary.primary:
                call(primary, member, lease, term, reply)
            else:
                failed()
