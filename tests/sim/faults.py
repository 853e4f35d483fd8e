"""What goes wrong in a schedule, and when: drawn from the schedule's own randomness."""

from typing import TYPE_CHECKING

from leaderd.core.control import SWITCHOVER
from tests.sim.etcd_faults import EtcdFaults
from tests.sim.node_faults import NodeFaults

if TYPE_CHECKING:
    from tests.sim.world import World


class Faults(EtcdFaults, NodeFaults):
    """Draws faults, brings them about and heals them."""

    def __init__(self, world: "World") -> None:
        super().__init__(world)
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
            self._well(host)
            host.trap = None
            for process in (host.agent, host.guard):
                if process is not None and process.paused:
                    process.resume()
        self._raise_epoch()
        # Whatever stands by then, a restored backup's included.
        for mark in self.etcd.store.controls:
            if mark.name != SWITCHOVER:
                self._unmark(mark.name)

    def settled(self) -> bool:
        """Return whether etcd has a leader, every node is up, and no operator is at work."""
        return (self.etcd.has_quorum() and not self._raise_wanted
                and all(host.agent is not None for host in self.hosts))
