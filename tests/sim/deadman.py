"""The kernel timer that kills the agent."""

from typing import TYPE_CHECKING

from leaderd.instant import Instant

if TYPE_CHECKING:
    from tests.sim.agent import Agent
    from tests.sim.host import Host


class Deadman:
    """The POSIX timer that delivers SIGKILL to the agent at `fence_at`."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self._deadline: Instant | None = None
        self._agent: Agent | None = None
        self._set = False

    def arm(self, agent: "Agent", deadline: Instant) -> None:
        """Set or move the deadline."""
        self._agent, self._deadline = agent, deadline
        if not self._set:
            self._wait(deadline)

    def disarm(self) -> None:
        """Take the timer back."""
        self._deadline = None

    def _wait(self, deadline: Instant) -> None:
        self._set = True
        engine = self.host.engine
        late = (0.005 + self.host.lag) * engine.rng.random()
        engine.after(self.host.clock.reached(deadline, engine.now) + late, self._fire)

    def _fire(self) -> None:
        self._set = False
        deadline, agent = self._deadline, self._agent
        if deadline is None or agent is None or not agent.alive:
            return
        if self.host.clock.reached(deadline, self.host.engine.now) > 1e-6:
            self._wait(deadline)
        else:
            self.host.agent_dies(agent, "kernel timer")
