"""What the leader runs: one group of resources on one node, contained or not.

A hold begins with the first start hook and ends when a stop has succeeded, when the kernel has killed
what was contained, or when the node is off.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sim.host import Host

Done = Callable[[bool], None]


class Behaviour:
    """How start and stop behave; durations in seconds. Faults change this, the end of faults resets it."""

    __slots__ = ("start", "stop")

    def __init__(self) -> None:
        self.start = ""
        self.stop = ""


class Resources:
    """The group on one node. Outlives the agent unless it is contained."""

    def __init__(self, host: "Host", *, contained: bool) -> None:
        self.host = host
        self.engine = host.engine
        self.contained = contained
        self.behaviour = Behaviour()
        self.running = False
        self._start = 0
        self._stop = 0

    # --- start ---

    def start(self, token: int, done: Done, alive: Callable[[], bool]) -> None:
        """Begin the start hook."""
        self._start += 1
        self.running = True
        self.host.monitor.hold_begins(self.host.name, token)
        engine, timing, kind = self.engine, self.host.timing, self.behaviour.start
        if kind == "hang":
            duration, good = timing.start_timeout, False
        elif kind == "fail":
            duration, good = engine.uniform(0.01, 0.3), False
        else:
            duration, good = engine.uniform(0.01, 2.0 if kind == "slow" else 0.15), True
        engine.after(duration, self._started, self._start, good, done, alive)

    def _started(self, start: int, good: bool, done: Done, alive: Callable[[], bool]) -> None:
        if start == self._start and alive():
            done(good)

    def kill_hooks(self) -> None:
        """Kill and reap a start or stop that still runs."""
        self._start += 1
        self._stop += 1

    # --- stop ---

    def stop(self, limit: float, done: Done) -> None:
        """Kill starts in flight, then stop the group; done(clean) within `limit` seconds."""
        self.kill_hooks()
        engine, kind = self.engine, self.behaviour.stop
        duration, good = engine.uniform(0.003, 0.1), True
        if kind == "slow":
            duration = self.host.timing.stop_timeout * engine.uniform(0.7, 0.97)
        elif kind == "hang":
            duration = 1e6
        elif kind == "fail":
            good = False
        if duration > limit:
            duration, good = max(0.0, limit) + 0.002, False
        engine.after(duration, self._stopped, self._stop, good, done)

    def _stopped(self, stop: int, good: bool, done: Done) -> None:
        if stop != self._stop:
            return
        if good:
            self.gone("stopped")
        done(good)

    def gone(self, how: str) -> None:
        """Nothing of the group runs any more."""
        self.running = False
        self.host.monitor.hold_ends(self.host.name, how)

    # --- kills ---

    def kill_contained(self, *, guard_stops: bool = False) -> None:
        """Kill the PID namespace of the term, where there is one; stops that the guard runs are outside."""
        if self.contained:
            self._start += 1
            self._stop += not guard_stops
            self.gone("killed")
