"""The kernel timer that kills the agent."""

from typing import TYPE_CHECKING

from leaderd.instant import Instant

if TYPE_CHECKING:
    from tests.sim.agent import Agent
    from tests.sim.host import Host

# As in `guard.deadman`.
_OBSERVATION = 1.0
_WILDEST = 1.11


class Deadman:
    """The POSIX timer that delivers SIGKILL to the agent at `fence_at`."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self._due: float | None = None
        self._agent: Agent | None = None
        self._set = False

    def arm(self, agent: "Agent", deadline: Instant) -> None:
        """Set or move the deadline."""
        self._agent = agent
        self._due = self._on_boottime(agent.started_at, deadline)
        if not self._set:
            self._wait(self._due)

    def disarm(self) -> None:
        """Take the timer back."""
        self._due = None

    def _on_boottime(self, first: Instant, deadline: Instant) -> float:
        """Return when the timer fires, in true time: it runs on BOOTTIME, as `guard.deadman` sets it."""
        engine, clock = self.host.engine, self.host.clock
        now = clock.at(engine.now)
        raw, boot = now.raw - first.raw, now.boot - first.boot
        rate = min(max(boot / raw if raw >= _OBSERVATION else 1.0, 1 / _WILDEST), 1.0)
        return engine.now + min(deadline.boot - now.boot, (deadline.raw - now.raw) * rate) / clock.boot_rate

    def _wait(self, due: float) -> None:
        self._set = True
        engine = self.host.engine
        late = (0.005 + self.host.lag) * engine.rng.random()
        engine.after(max(0.0, due - engine.now) + late, self._fire)

    def _fire(self) -> None:
        self._set = False
        due, agent = self._due, self._agent
        if due is None or agent is None or not agent.alive:
            return
        if due > self.host.engine.now + 1e-6:
            self._wait(due)
        else:
            self.host.agent_dies(agent, "kernel timer")
