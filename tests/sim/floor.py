"""Schedules of elections at least one: an address, a network that can be asked, and no etcd at times.

The network that is asked may be cut while etcd is reached, and stays so at times when etcd is back.
What the others check, that no two nodes hold, does not apply here. Instead: while etcd is away and somebody
lives, somebody holds again within a bound; once etcd is back exactly one holds within a bound, with a proof,
and stays; and no fault makes the address move more than a bounded number of times.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.atleast import AtLeastOne
from leaderd.core.floor import AddressProbed, Fact, Floor
from leaderd.core.lease import Lease, Timing
from leaderd.core.states import State
from leaderd.errors import LeaderdError
from tests.sim.agent import Agent
from tests.sim.checks import Monitor
from tests.sim.host import Host
from tests.sim.mix import Mix
from tests.sim.resources import Done, Resources
from tests.sim.world import Result, World

# A probe listens for so long (seconds); see `leaderd.resources.probe`.
PROBE_TIME = 0.2
# Beginnings of a hold that one fault may cause: those of every node of three, and one that yields.
MOVES_PER_FAULT = 4


class FloorMonitor(Monitor):
    """Sees who has the address, and for how long nobody had it."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.apart: set[frozenset[str]] = set()
        self.moved_at = 0.0
        self.bare_since: float | None = 0.0

    def hold_begins(self, node: str, token: int) -> None:
        """An address is being installed; also where it stands already."""
        if node not in self.holders:
            self.counts["holds"] += 1
            self.counts["taken without etcd"] += token < 0
            self.moved_at = self.engine.now
        self.holders[node] = token
        self.bare_since = None
        self.engine.note(node, f"HOLD begins, token {token:x}; holders {sorted(self.holders)}")

    def hold_ends(self, node: str, how: str) -> None:
        """An address is gone."""
        if node in self.holders:
            self.moved_at = self.engine.now
        super().hold_ends(node, how)
        if not self.holders and self.bare_since is None:
            self.bare_since = self.engine.now

    def hears(self, one: str, other: str) -> bool:
        """Return whether two nodes hear one another on the address's network."""
        return frozenset((one, other)) not in self.apart


class Address(Resources):
    """An address: the kernel keeps it, whoever dies, until its lifetime ends."""

    def __init__(self, host: Host, *, contained: bool) -> None:
        super().__init__(host, contained=False)
        del contained
        self._ends_at = 0.0
        self.stops_until = 0.0

    def stop(self, limit: float, done: Done) -> None:
        """Remove it; a start that comes meanwhile waits."""

        def over(clean: bool) -> None:
            self.stops_until = 0.0
            done(clean)

        self.stops_until = self.engine.now + limit + 0.01
        super().stop(limit, over)

    def keep(self, lease: Lease) -> None:
        """Let the kernel keep it until a lease ends; that it counts whole seconds is left out here."""
        clock, engine = self.host.clock, self.engine
        left = max(0.0, clock.at(engine.now).left_until(lease.expires_at) / clock.fastest)
        self._ends_at = engine.now + left
        engine.after(left + 1e-6, self._end)

    def _end(self) -> None:
        if self.running and self.engine.now >= self._ends_at:
            self.gone("kernel lifetime")

    def install(self, lease: Lease, token: int, done: Done, alive: Callable[[], bool]) -> None:
        """Begin to install it; where it stands it goes on standing."""
        self.keep(lease)
        self.start(token, done, alive)


class FloorAgent(Agent):
    """An agent whose election is at least one."""

    kind_of_election = AtLeastOne

    def _perform(self, action: a.Action) -> None:
        address = self.host.resources
        assert isinstance(address, Address)
        match action:
            case a.StartResources():
                self.engine.after(self.engine.uniform(0.0005, 0.004), self.do, self._install, action)
            case a.KeepOn() | a.ExtendLease():
                address.keep(action.lease)
                if isinstance(action, a.ExtendLease):
                    super()._perform(action)
            case a.ProbeAddress():
                self.engine.after(PROBE_TIME, self.do, self._asked, action.serial, self.clock())
            case _:
                super()._perform(action)

    def _install(self, action: a.StartResources) -> None:
        address = self.host.resources
        assert isinstance(address, Address)
        if self.alive and address.stops_until > self.engine.now:
            self.engine.after(0.002, self.do, self._install, action)
        elif self.alive:
            address.install(action.lease, action.token, lambda good: self.do(self.post, (
                e.ResourcesStarted(action.token) if good else e.StartFailed(action.token, "start failed")
            )), lambda: self.alive)

    def _asked(self, serial: int, sent_at: Any) -> None:
        monitor, name = self.host.monitor, self.host.name
        assert isinstance(monitor, FloorMonitor)
        others = [each for each in monitor.holders if each != name and monitor.hears(name, each)]
        self.post(AddressProbed(serial, sent_at, sent=True, other=" ".join(others),
                                yields=any(other < name for other in others)))


class FloorHost(Host):
    """A node with an address."""

    kind_of_agent = FloorAgent
    kind_of_resources = Address


class FloorWorld(World):
    """A world of nodes that compete for an address."""

    kind_of_host = FloorHost
    kind_of_monitor = FloorMonitor
    monitor: FloorMonitor

    def __init__(self, seed: int, mix: Mix | None = None, *, trace: bool = False) -> None:
        super().__init__(seed, replace(mix or Mix(), contained=0.0, preferred=0.0), trace=trace)
        for host in self.hosts:
            host.reboots = False
        self.struck = 0

    @property
    def timing(self) -> Timing:
        """The longest budget of a node."""
        return max((host.timing for host in self.hosts), key=lambda timing: timing.ttl)

    def takes_within(self) -> float:
        """Return within how many seconds somebody takes an address that nobody has and etcd knows not of."""
        timing = self.timing
        places = len(self.hosts) * (2 * timing.retry_period + 1.0)
        return 2 * timing.ttl + places + 3.0

    def settles_within(self) -> float:
        """Return within how many seconds exactly one has it once etcd is back and all hear one another."""
        return 3 * self.timing.ttl + 8.0

    # --- what is checked ---

    def holds_somebody(self, what: str) -> None:
        """Check that somebody who lives has had the address lately, over and over until told otherwise."""
        monitor, since = self.monitor, self.monitor.bare_since
        if since is not None and self.engine.now - max(since, self._lived_since) > self.takes_within():
            monitor.violate(f"nobody: {what}, and nobody has had the address since {since:.1f}")

    def one_holds(self, what: str) -> None:
        """Check that exactly one has the address, and has a proof."""
        monitor = self.monitor
        proven = [host.name for host in self.hosts
                  if host.agent is not None and host.agent.election.state is State.LEADER]
        if list(monitor.holders) != proven or len(proven) != 1:
            monitor.violate(f"not one: {what}: {sorted(monitor.holders)} hold, {proven} with a proof")

    def has_not_flapped(self) -> None:
        """Check how often the address has begun to be somewhere."""
        most = 1 + MOVES_PER_FAULT * self.struck
        if self.monitor.counts["holds"] > most:
            self.monitor.violate(f"flapping: {self.monitor.counts['holds']} holds by {self.struck} faults")

    _lived_since = 0.0


def without_etcd(seed: int, *, trace: bool = False) -> Result:
    """Take etcd away, strike nodes meanwhile, and bring it back."""
    world = FloorWorld(seed, Mix(length=0.0, weights={}), trace=trace)
    engine, monitor, rng = world.engine, world.monitor, world.engine.rng
    ttl = world.timing.ttl
    engine.run(2.5 * ttl + 4.0)
    _must(world, len(monitor.holders) == 1, "nobody: no leader before the first fault")
    before = set(monitor.holders)
    _strike(world, lambda: [world.etcd.crash(member) for member in world.etcd.members], "etcd is gone")
    engine.run(engine.now + 1.5 * ttl)
    kept = set(monitor.holders) == before and monitor.counts["holds"] == 1
    _must(world, kept, f"lost: {before} has not kept the address: {monitor.holders}")
    for _ in range(rng.choice((0, 1, 1, 2))):
        _strike_node(world)
        _watch(world, world.takes_within() + rng.uniform(0.0, 2 * ttl))
    if rng.random() < 0.5:
        _together(world)
        _watch(world, world.takes_within())
        found = sorted(monitor.holders)
        _must(world, len(found) == 1, f"not one: {found} hold and hear each other")
    _strike(world, lambda: [world.etcd.heal(member) for member in world.etcd.members], "etcd is back")
    engine.run(engine.now + world.settles_within())
    _settled(world)
    return Result(seed, monitor.violations, monitor.counts, engine.lines, engine.now, engine.events)


def under_any_faults(seed: int, mix: Mix, *, trace: bool = False) -> Result:
    """Run the faults that all schedules have, with cuts of the address's network; then see one hold."""
    world = FloorWorld(seed, mix, trace=trace)
    engine, monitor = world.engine, world.monitor
    world.faults.plan()
    for _ in range(3):
        engine.run(engine.now + mix.length / 3)
        _apart(world)
    for member in world.etcd.members:
        world.etcd.crash(member)
    engine.run(engine.now + 3 * world.timing.ttl)
    world.faults.stop()
    monitor.apart.clear()
    for _ in range(20):
        if world.faults.settled():
            break
        engine.run(engine.now + 0.5)
    engine.run(engine.now + world.settles_within() + 60.0)
    world.struck = 10**6
    _settled(world)
    return Result(seed, monitor.violations, monitor.counts, engine.lines, engine.now, engine.events)


def _settled(world: FloorWorld) -> None:
    """Check that one holds, and that it stays so."""
    engine, monitor = world.engine, world.monitor
    if not monitor.violations:
        world.one_holds("etcd is back")
    since, holds = engine.now, dict(monitor.holders)
    engine.run(engine.now + 3 * world.timing.ttl)
    if not monitor.violations:
        world.one_holds("later")
        _must(world, monitor.holders == holds and monitor.moved_at < since, "flapping: it moves by itself")
        world.has_not_flapped()


def _must(world: FloorWorld, good: bool, what: str) -> None:
    if not good and not world.monitor.violations:
        world.monitor.violate(what)


def _strike(world: FloorWorld, how: Callable[[], Any], what: str) -> None:
    world.engine.note("FAULT", what)
    world.struck += 1
    world.monitor.counts["fault: " + what.partition(":")[0]] += 1
    how()


def _strike_node(world: FloorWorld) -> None:
    rng, monitor = world.engine.rng, world.monitor
    holder = next((host for host in world.hosts if host.name in monitor.holders), world.hosts[0])
    match rng.choice(("kill", "power off", "apart", "pause", "shut down")):
        case "kill" if holder.agent is not None:
            agent = holder.agent
            _strike(world, lambda: holder.agent_dies(agent, "killed"), f"agent killed: {holder.name}")
        case "power off":
            _strike(world, lambda: holder.power_off("fault"), f"power off: {holder.name}")
        case "apart":
            _strike(world, lambda: _apart(world), "nodes apart")
        case "pause" if holder.agent is not None:
            agent = holder.agent
            _strike(world, agent.pause, f"agent stopped: {holder.name}")
            world.engine.after(rng.uniform(0.5, 3 * holder.ttl), agent.resume)
        case "shut down" if holder.agent is not None:
            agent = holder.agent
            _strike(world, lambda: agent.do(agent.post, e.Shutdown()), f"shut down: {holder.name}")


def _apart(world: FloorWorld) -> None:
    rng, names = world.engine.rng, [host.name for host in world.hosts]
    world.monitor.apart = {frozenset((one, other)) for one in names for other in names
                           if one < other and rng.random() < 0.5}


def _together(world: FloorWorld) -> None:
    if world.monitor.apart:
        _strike(world, world.monitor.apart.clear, "nodes together")


def _watch(world: FloorWorld, seconds: float) -> None:
    """Run on, and look all the time whether somebody holds."""
    until = world.engine.now + seconds
    while world.engine.now < until and not world.monitor.violations:
        world.engine.run(min(until, world.engine.now + 0.5))
        if not any(host.agent is not None and not host.agent.paused for host in world.hosts):
            world._lived_since = world.engine.now
        world.holds_somebody("etcd is gone")


PATCHES = {
    "keep": (AtLeastOne, "_may_keep", lambda *_: False),
    "take": (Floor, "facts", lambda floor, *rest: [each for each in _facts(floor, *rest)
                                                   if each is not Fact.FREE]),
    # Who is contradicted is not extended either, so that it would be late in the end.
    "yield": (Floor, "facts", lambda floor, *rest: [each for each in _facts(floor, *rest)
                                                    if each not in (Fact.TAKEN, Fact.LATE)]),
    "obey": (AtLeastOne, "_rival_patience", lambda *_: float("inf")),
}
_facts = Floor.facts


def run(schedule: Callable[..., Result], seeds: range, *arguments: Any) -> tuple[list[str], dict[str, int]]:
    """Return what was violated in which seed, and what has happened how often."""
    found: list[str] = []
    counts: dict[str, int] = {}
    for seed in seeds:
        try:
            result = schedule(seed, *arguments)
        except LeaderdError as error:
            found.append(f"seed {seed}: {error}")
            continue
        found += [f"seed {seed}: {violation}" for violation in result.violations]
        for what, count in result.counts.items():
            counts[what] = counts.get(what, 0) + count
    return found, counts
