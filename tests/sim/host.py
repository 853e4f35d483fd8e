"""One node: its clocks, disk, resources, guard and agent, and the ways in which they die."""

from collections.abc import Callable

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.handover import Preference
from leaderd.core.lease import Timing
from leaderd.core.records import Known
from tests.sim.agent import Agent
from tests.sim.checks import Monitor
from tests.sim.clocks import NodeClock
from tests.sim.deadman import Deadman
from tests.sim.engine import Engine
from tests.sim.etcd import Etcd
from tests.sim.guard import Entry, Guard
from tests.sim.network import Link
from tests.sim.resources import Resources


class Host:
    """A node.

    Args:
        reboots: The last `fence` step is a reboot; always so where nothing contains the resources.
    """

    kind_of_agent: type[Agent] = Agent
    kind_of_resources: type[Resources] = Resources

    def __init__(self, engine: Engine, etcd: Etcd, monitor: Monitor, name: str, timing: Timing, *,
                 contained: bool, reboots: bool, preference: Preference, granted: int, drift: float) -> None:
        self.engine = engine
        self.etcd = etcd
        self.monitor = monitor
        self.name = name
        self.timing = timing
        self.ttl = granted
        self.preference = preference
        monitor.priorities[name] = preference.priority
        self.reboots = reboots
        self.links = [Link(engine) for _ in etcd.members]
        self.clock = NodeClock(engine.rng, drift)
        self.resources = self.kind_of_resources(self, contained=contained)
        self.deadman = Deadman(self)
        self.known = Known()
        self.journal: Entry | None = None
        self.agent: Agent | None = None
        self.guard: Guard | None = None
        self.trap: tuple[type[a.Action], Callable[[], None]] | None = None
        self.restart = 1.5
        self.slow_disk = 0.0
        self.lag = 0.0
        self.ill = False
        self.up = False
        self.boots = 0
        etcd.watchers.append(self._queue_changed)
        etcd.control_watchers.append(self._controls_changed)

    def _controls_changed(self) -> None:
        if self.agent is not None and self.agent.alive:
            self.agent.client.controls_changed()

    def _queue_changed(self) -> None:
        if self.agent is not None and self.agent.alive:
            self.agent.client.queue_changed()

    # --- life ---

    def boot(self) -> None:
        """Power on, and let the service manager start us."""
        self.up = True
        self._start_service()

    def _start_service(self) -> None:
        if self.up and self.guard is None and self.agent is None:
            self.engine.note(self.name, "service starts")
            self.guard = Guard(self)

    def start_agent(self) -> None:
        """Start an agent, as the guard does."""
        if self.up and self.agent is None and self.guard is not None:
            self.agent = self.kind_of_agent(self)
            self.agent.begin(*self.guard.recovery())

    # --- death ---

    def agent_dies(self, agent: Agent, why: str) -> None:
        """The agent process ends, by itself or by SIGKILL; what it contained is killed with it."""
        if not agent.alive:
            return
        self.engine.note(self.name, f"agent dies: {why}")
        self.monitor.counts["agent died: " + why] += 1
        agent.alive = False
        self.agent = None
        self.deadman.disarm()
        if self.resources.contained:
            self.engine.after(self.kill_delay(), self._namespace_dies, self.resources)
        guard = self.guard
        if guard is not None:
            self.engine.after(self.engine.uniform(0.001, 0.01) + self.lag * self.engine.rng.random(),
                              guard.do, guard.agent_died)
        else:
            self._restart_service()

    def kill_delay(self) -> float:
        """Return how long the kernel takes to kill what is to be killed: on a bad day all of `kill_time`."""
        if self.lag:
            return self.timing.kill_time * self.engine.uniform(0.6, 0.98)
        return 0.005 * self.engine.rng.random()

    def _namespace_dies(self, resources: Resources) -> None:
        if self.agent is None:
            resources.kill_contained(guard_stops=self.guard is not None and self.guard.cleaning)

    def guard_dies(self) -> None:
        """The guard process is killed: the agent sees the pipe close."""
        guard, self.guard = self.guard, None
        if guard is None:
            return
        guard.alive = False
        if self.agent is not None:
            self.engine.after(0.0005, self.agent.do, self.agent.post, e.GuardLost())
        else:
            self._restart_service()

    def _restart_service(self) -> None:
        self.engine.after(self.engine.uniform(0.1, self.restart), self._start_service)

    def power_off(self, why: str) -> None:
        """Everything of the node ends at once; it comes back after a while."""
        if not self.up:
            return
        self.engine.note(self.name, f"power off: {why}")
        self.monitor.counts["power off: " + why] += 1
        self.up = False
        self.boots += 1
        for process in (self.agent, self.guard):
            if process is not None:
                process.alive = False
        self.agent = self.guard = None
        self.deadman.disarm()
        self.resources.kill_hooks()
        self.resources.gone("power off")
        uniform = self.engine.uniform
        self.engine.after(uniform(0.5, 3.0) if self.engine.chance(0.4) else uniform(3.0, 9.0), self.boot)
