"""What every fault needs: the world, its randomness, and a way to end again."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.sim.host import Host
from tests.sim.network import Link

if TYPE_CHECKING:
    from tests.sim.world import World


class Trouble:
    """The base of the fault classes."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.engine = world.engine
        self.etcd = world.etcd
        self.hosts = world.hosts
        self.over = False

    def _note(self, text: str) -> bool:
        self.engine.note("FAULT", text)
        return True

    def _while(self, heal: Callable[[], None]) -> None:
        """Heal after a while: mostly short, sometimes longer than any lease."""
        uniform = self.engine.uniform
        mix = self.world.mix
        self.engine.after(
            uniform(0.05, 1.5) if self.engine.chance(mix.short) else uniform(1.0, mix.longest), heal)

    def _host(self) -> Host:
        holders = [host for host in self.hosts if host.name in self.world.monitor.holders]
        if holders and self.engine.chance(self.world.mix.aim):
            return holders[0]
        return self.engine.rng.choice(self.hosts)

    def _heal_links(self, links: list[Link]) -> None:
        for link in links:
            link.heal()
