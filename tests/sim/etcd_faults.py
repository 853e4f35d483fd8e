"""What goes wrong in etcd, between it and the nodes, and by its operators."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from leaderd.core.control import PAUSED, STANDBY_PREFIX, SWITCHOVER, Controls, Intent
from leaderd.core.handover import heirs, refusal, standing_leader
from tests.sim.member import Member
from tests.sim.network import Link
from tests.sim.trouble import Trouble

if TYPE_CHECKING:
    from tests.sim.world import World


class EtcdFaults(Trouble):
    """Faults of members, links and operators."""

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._image = world.etcd.store.image()
        self._restored = False
        self._raise_wanted = False

    # --- etcd ---

    def _member(self) -> Member | None:
        leader = self.etcd.leader
        if leader is not None and self.engine.chance(0.7):
            member = leader
        else:
            member = self.engine.rng.choice(self.etcd.members)
        others_ready = sum(other.ready for other in self.etcd.members if other is not member)
        if not member.ready or (others_ready < 2 and self.engine.chance(0.8)) or self.etcd.down:
            return None
        return member

    def _ail(self, ail: Callable[[Member], None], what: str) -> bool:
        member = self._member()
        if member is None:
            return False
        ail(member)
        self._while(lambda: self._heal_member(member))
        leader = " (leader)" if member.primary else ""
        return self._note(f"m{member.index}{leader} {what}")

    def _heal_member(self, member: Member) -> None:
        if not self.etcd.down and not member.ready:
            self.engine.note("FAULT", f"m{member.index} healed")
            self.etcd.heal(member)

    def _pause_member(self) -> bool:
        return self._ail(self.etcd.pause, "paused")

    def _stall_member(self) -> bool:
        return self._ail(self.etcd.stall, "stalled")

    def _isolate_member(self) -> bool:
        return self._ail(self.etcd.isolate, "cut from its peers")

    def _crash_member(self) -> bool:
        return self._ail(self.etcd.crash, "killed")

    def _move_leader(self) -> bool:
        self.etcd.move_leader()
        return self._note("leader moved")

    def _failing_revokes(self) -> bool:
        self.etcd.revoke_failures = 0.6
        self._while(lambda: setattr(self.etcd, "revoke_failures", 0.0))
        return self._note("revokes fail")

    # --- network ---

    def _cut(self, links: list[Link], what: str) -> bool:
        out, back = self.engine.rng.choice(((True, True), (True, True), (True, False), (False, True)))
        for link in links:
            link.cut(out=out, back=back)
        self._while(lambda: self._heal_links(links))
        return self._note(f"{what} cut, {'there' if out else ''} {'back' if back else ''}")

    def _cut_node(self) -> bool:
        host = self._host()
        return self._cut(host.links, f"{host.name} from all members:")

    def _cut_link(self) -> bool:
        host = self._host()
        index = self.engine.rng.randrange(len(host.links))
        return self._cut([host.links[index]], f"{host.name}-m{index}")

    def _slow_link(self) -> bool:
        host = self._host()
        for link in host.links:
            link.slow = self.engine.uniform(0.05, 1.0)
        self._while(lambda: self._heal_links(host.links))
        return self._note(f"{host.name}: slow links")

    def _lossy_link(self) -> bool:
        host = self._host()
        for link in host.links:
            link.loss = self.engine.uniform(0.2, 0.6)
        self._while(lambda: self._heal_links(host.links))
        return self._note(f"{host.name}: lossy links")

    # --- operators ---

    def _victim(self) -> tuple[str, int] | None:
        queue = self.etcd.store.queue
        if not queue or not self.etcd.has_quorum():
            return None
        entry = queue[0] if self.engine.chance(0.7) else self.engine.rng.choice(queue)
        return (entry.key, entry.lease) if entry.window > 0 else None

    def _revoke_lease(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        self._note(f"an operator revokes {victim[1]:x}")
        return self.etcd.store.revoke(victim[1])

    def _delete_key(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        self._note(f"an operator deletes {victim[0]}")
        self.etcd.store.delete(victim[0])
        return True

    def _foreign_candidate(self) -> bool:
        if not self.etcd.has_quorum():
            return False
        lease = self.etcd.store.grant(60)
        key = f"e/{lease:x}"
        self.etcd.store.campaign(key, lease, "etcdctl", 0, 0.0)
        self._while(self._foreign_leaves)
        return self._note(f"a foreign candidate queues: {key}")

    def _foreign_leaves(self) -> None:
        # Looked up in the store: a restored backup may have brought an old one back.
        for entry in self.etcd.store.queue:
            if entry.window <= 0:
                self.engine.note("FAULT", f"the foreign candidate {entry.key} leaves")
                self.etcd.store.delete(entry.key)
                self.etcd.store.revoke(entry.lease)

    def _switchover(self) -> bool:
        """Have an operator ask for another leader, as `etcd.control` does."""
        store = self.etcd.store
        to = self.engine.rng.choice(("", *(host.name for host in self.hosts)))
        controls = Controls.read(store.controls)
        leader = standing_leader(store.queue, store.holder)
        if (not self.etcd.has_quorum() or leader is None or store.holder is None
                or refusal(store.queue, store.holder, controls, to)):
            return False
        to = to or heirs(store.queue, leader.key, controls)[0].node
        intent = Intent(store.holder.token, to, "switchover", 0)
        store.put_control(SWITCHOVER, intent.encode(), leader.lease)
        return self._note(f"an operator wants {to} to lead after {leader.node}")

    def _pause_election(self) -> bool:
        if not self.etcd.has_quorum():
            return False
        self.etcd.store.put_control(PAUSED)
        self.etcd.store.drop_control(SWITCHOVER)
        self._while(lambda: self._unmark(PAUSED))
        return self._note("an operator pauses the election")

    def _standby(self) -> bool:
        if not self.etcd.has_quorum():
            return False
        mark = STANDBY_PREFIX + self._host().name
        self.etcd.store.put_control(mark)
        self._while(lambda: self._unmark(mark))
        return self._note(f"an operator marks {mark}")

    def _unmark(self, mark: str) -> None:
        # An operator whose request finds no etcd tries again.
        if not self.over and not self.etcd.has_quorum():
            self.engine.after(0.3, self._unmark, mark)
            return
        self.engine.note("FAULT", f"an operator drops {mark}")
        self.etcd.store.drop_control(mark)

    # --- a backup is restored ---

    def _restore(self) -> bool:
        store = self.etcd.store
        # A node that never saw the newest holder record cannot know of the restore (R8): outside.
        known = all(host.known.holder_revision == store.holder_revision for host in self.hosts)
        if self._restored or self.etcd.down or self.world.monitor.engine.now < 10.5:
            return False
        if not known and self._image.holder_revision != store.holder_revision:
            return False
        self._restored = True
        self._raise_wanted = True
        self.etcd.shut()
        self.engine.after(self.engine.uniform(0.5, 3.0), self._come_back)
        self.engine.after(self.engine.uniform(3.0, 9.0), self._raise_epoch)
        return self._note(f"etcd is stopped, to be restored to revision {self._image.revision}")

    def _come_back(self) -> None:
        if self.etcd.down:
            self.engine.note("FAULT", "etcd restored")
            self.etcd.restore(self._image)

    def _raise_epoch(self) -> None:
        if not self._raise_wanted:
            return
        if not self.etcd.has_quorum():
            self.engine.after(0.3, self._raise_epoch)
            return
        self._raise_wanted = False
        self.etcd.store.raise_epoch()
        self.engine.note("FAULT", f"an operator raises the epoch to {self.etcd.store.epoch}")
