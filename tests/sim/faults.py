"""What goes wrong in a schedule, and when: drawn from the schedule's own randomness."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.states import State
from tests.sim.host import Host
from tests.sim.member import Member
from tests.sim.network import Link

if TYPE_CHECKING:
    from tests.sim.world import World

WEIGHTS: dict[str, float] = {
    "pause member": 6, "stall member": 6, "isolate member": 3, "crash member": 3, "move leader": 3,
    "failing revokes": 1,
    "cut node": 7, "cut link": 3, "slow link": 3, "lossy link": 2,
    "pause agent": 4, "pause guard": 2, "pause both": 3, "kill agent": 4, "kill guard": 2, "kill both": 2,
    "power off": 4, "shutdown": 3,
    "revoke lease": 5, "delete key": 4, "foreign candidate": 2, "restore": 1,
    "at a step": 6, "slow disk": 2, "laggy node": 2, "bad start": 2, "bad stop": 3, "resource fails": 2,
}


STEPS = (a.TakeOver, a.TakeOver, a.ArmGuard, a.StartResources, a.StopResources, a.Release, a.Renew,
         a.ExtendLease)


@dataclass(frozen=True)
class Mix:
    """How much of what goes wrong; times in seconds."""

    length: float = 22.0
    pause: float = 1.1
    contained: float = 0.5
    short: float = 0.35
    longest: float = 8.0
    stop_share: float = 0.15
    aim: float = 0.65
    """How often a fault strikes the holder rather than any node."""
    lag: tuple[float, float] = (0.05, 0.25)
    drifts: tuple[float, ...] = (0.10, 0.10, 0.01)
    steps: tuple[type[a.Action], ...] = STEPS
    hits: tuple[str, ...] = ("pause", "kill", "cut", "power off", "revoke", "late news")
    ttls: tuple[int, ...] = (3, 4, 4, 5)
    weights: dict[str, float] = field(default_factory=lambda: WEIGHTS)


class Faults:
    """Draws faults, brings them about and heals them."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.engine = world.engine
        self.etcd = world.etcd
        self.hosts = world.hosts
        self.over = False
        self._image = world.etcd.store.image()
        self._restored = False
        self._raise_wanted = False
        self._kinds = list(world.mix.weights)
        self._weights = list(world.mix.weights.values())

    def plan(self) -> None:
        """Begin; the first fault comes when somebody may lead."""
        if self._kinds:
            self.engine.after(self.engine.uniform(1.0, 3.0), self._next)
        self.engine.after(self.engine.uniform(2.0, 10.0), self._back_up)

    def _back_up(self) -> None:
        self._image = self.etcd.store.image()

    def _next(self) -> None:
        if self.over:
            return
        kind = self.engine.rng.choices(self._kinds, self._weights)[0]
        self.bring(kind)
        self.engine.after(self.engine.rng.expovariate(1 / self.world.mix.pause), self._next)

    def bring(self, kind: str) -> None:
        """Bring one fault about, where it applies now."""
        if getattr(self, "_" + kind.replace(" ", "_"))():
            self.world.monitor.counts["fault: " + kind] += 1

    def _note(self, text: str) -> bool:
        self.engine.note("FAULT", text)
        return True

    def _while(self, heal: Callable[[], None]) -> None:
        """Heal after a while: mostly short, sometimes longer than any lease."""
        uniform = self.engine.uniform
        mix = self.world.mix
        self.engine.after(
            uniform(0.05, 1.5) if self.engine.chance(mix.short) else uniform(1.0, mix.longest), heal)

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

    def _host(self) -> Host:
        holders = [host for host in self.hosts if host.name in self.world.monitor.holders]
        if holders and self.engine.chance(self.world.mix.aim):
            return holders[0]
        return self.engine.rng.choice(self.hosts)

    def _cut(self, links: list[Link], what: str) -> bool:
        out, back = self.engine.rng.choice(((True, True), (True, True), (True, False), (False, True)))
        for link in links:
            link.cut(out=out, back=back)
        self._while(lambda: self._heal_links(links))
        return self._note(f"{what} cut, {'there' if out else ''} {'back' if back else ''}")

    def _heal_links(self, links: list[Link]) -> None:
        for link in links:
            link.heal()

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

    # --- processes ---

    def _pause_processes(self, *, agent: bool, guard: bool) -> bool:
        host = self._host()
        if guard and not host.resources.contained:
            return False
        processes = [process for process, wanted in ((host.agent, agent), (host.guard, guard))
                     if wanted and process is not None and not process.paused]
        for process in processes:
            process.pause()
            self._while(process.resume)
        names = " ".join(type(process).__name__.lower() for process in processes)
        return bool(processes) and self._note(f"{host.name}: {names} stopped")

    def _pause_agent(self) -> bool:
        return self._pause_processes(agent=True, guard=False)

    def _pause_guard(self) -> bool:
        return self._pause_processes(agent=False, guard=True)

    def _pause_both(self) -> bool:
        return self._pause_processes(agent=True, guard=True)

    def _at_a_step(self) -> bool:
        """Wait for a node to do one certain thing, and hit it right then."""
        host, choice = self._host(), self.engine.rng.choice
        step, what = choice(self.world.mix.steps), choice(self.world.mix.hits)
        host.trap = (step, lambda: self._spring(host, step, what))
        return True

    def _spring(self, host: Host, step: type[a.Action], what: str) -> None:
        if self.over:
            return
        self._note(f"{host.name}: {what} right after {step.__name__}")
        agent = host.agent
        if what == "revoke" and agent is not None and agent.client.joined is not None:
            self.etcd.store.revoke(agent.client.joined.lease)
        elif what == "power off":
            host.power_off("fault")
        elif what == "kill" and agent is not None:
            host.agent_dies(agent, "killed")
        elif what == "late news" and agent is not None:
            self.engine.after(0.001, agent.do, agent.late_news)
        elif what == "cut":
            for link in host.links:
                link.cut(out=self.engine.chance(0.7), back=True)
            self._while(lambda: self._heal_links(host.links))
        elif what == "pause" and agent is not None:
            agent.pause()
            self._while(agent.resume)

    def _slow_disk(self) -> bool:
        host = self._host()
        host.slow_disk = self.engine.uniform(0.2, 5.0)
        self._while(lambda: setattr(host, "slow_disk", 0.0))
        return self._note(f"{host.name}: the guard needs {host.slow_disk:.1f} s to write a term down")

    def _laggy_node(self) -> bool:
        host = self._host()
        host.lag = self.engine.uniform(*self.world.mix.lag)
        self._while(lambda: setattr(host, "lag", 0.0))
        return self._note(f"{host.name}: everything is {host.lag:.2f} s late")

    def _kill_agent(self) -> bool:
        host = self._host()
        if host.agent is None:
            return False
        host.agent_dies(host.agent, "killed")
        return self._note(f"{host.name}: agent killed")

    def _kill_guard(self) -> bool:
        host = self._host()
        if host.guard is None or not host.resources.contained:
            return False
        self._note(f"{host.name}: guard killed")
        host.guard_dies()
        return True

    def _kill_both(self) -> bool:
        host = self._host()
        if host.guard is None or not host.resources.contained:
            return False
        self._note(f"{host.name}: guard and agent killed")
        host.guard_dies()
        if host.agent is not None:
            host.agent_dies(host.agent, "killed")
        return True

    def _crash_service(self) -> bool:
        """Kill guard and agent, with a service manager that restarts them at once."""
        host = self._host()
        if host.guard is None or not host.resources.running:
            return False
        self._note(f"{host.name}: guard and agent killed, restarted at once")
        host.guard_dies()
        if host.agent is not None:
            host.agent_dies(host.agent, "killed")
        return True

    def _power_off(self) -> bool:
        host = self._host()
        host.power_off("fault")
        return True

    def _shutdown(self) -> bool:
        host = self._host()
        if host.agent is None:
            return False
        self._note(f"{host.name}: told to shut down")
        host.agent.do(host.agent.post, e.Shutdown())
        return True

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

    # --- resources ---

    def _bad_start(self) -> bool:
        host = self._host()
        host.resources.behaviour.start = kind = self.engine.rng.choice(("slow", "slow", "fail", "hang"))
        self._while(lambda: setattr(host.resources.behaviour, "start", ""))
        return self._note(f"{host.name}: starts {kind}")

    def _bad_stop(self) -> bool:
        host = self._host()
        host.resources.behaviour.stop = kind = self.engine.rng.choice(("slow", "slow", "fail", "hang"))
        self._while(lambda: setattr(host.resources.behaviour, "stop", ""))
        return self._note(f"{host.name}: stops {kind}")

    def _resource_fails(self) -> bool:
        for host in self.hosts:
            agent = host.agent
            if agent is not None and agent.election.state is State.LEADER:
                self._note(f"{host.name}: a resource fails")
                agent.do(agent.post, e.ResourceFailed(agent.election.status().token, "it fell over"))
                return True
        return False

    # --- the end ---

    def stop(self) -> None:
        """Heal everything and bring no more."""
        self.over = True
        self.engine.note("FAULT", "--- no more faults ---")
        self._come_back()
        for member in self.etcd.members:
            self.etcd.heal(member)
        self.etcd.revoke_failures = 0.0
        self._foreign_leaves()
        for host in self.hosts:
            self._heal_links(host.links)
            host.resources.behaviour.start = host.resources.behaviour.stop = ""
            host.slow_disk = host.lag = 0.0
            host.trap = None
            for process in (host.agent, host.guard):
                if process is not None and process.paused:
                    process.resume()
        self._raise_epoch()

    def settled(self) -> bool:
        """Return whether etcd has a leader, every node is up, and no operator is at work."""
        return (self.etcd.has_quorum() and not self._raise_wanted
                and all(host.agent is not None for host in self.hosts))
