"""A model of the guard process (rule R13), and of the kernel timer that kills the agent."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.lease import Lease
from leaderd.core.records import HolderRecord
from leaderd.instant import Instant
from tests.sim.calls import election_key

if TYPE_CHECKING:
    from tests.sim.agent import Agent
    from tests.sim.host import Host

GRACE = 0.1


class Journal(NamedTuple):
    """What stands in `state_dir` about a term."""

    record: HolderRecord
    holder_revision: int
    phase: str
    """armed, stopping, stopped (its release is pending), or unclean (a stop has failed)."""


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


class Guard:
    """One run of the guard process."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self.engine = host.engine
        self.alive = True
        self.paused = False
        self.lease: Lease | None = None
        self.waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._restarts = 0
        self._busy = 0
        self._begin()

    def _begin(self) -> None:
        """Stop what an earlier run left (R4, R13), then start an agent."""
        journal = self.host.journal
        if journal is not None and journal.phase != "stopped":
            self.engine.note(self.host.name, "guard: an earlier run left a term; stops it")
            self._run_stops(self.host.timing.stop_timeout, self._recovered)
        else:
            self._start_agent()

    # --- the process ---

    def do(self, call: Callable[..., None], *args: Any) -> None:
        """Call when the process gets to it."""
        if self.alive:
            if self.paused:
                self.waiting.append((call, args))
            else:
                call(*args)

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = True

    def resume(self) -> None:
        """SIGCONT: messages first, deadlines after them."""
        self.paused = False
        waiting, self.waiting = self.waiting, []
        for call, args in sorted(waiting, key=lambda entry: entry[0] == self._judge):
            self.do(call, *args)

    def clock(self) -> Instant:
        """Read both clocks."""
        return self.host.clock.at(self.engine.now)

    # --- messages ---

    def receive(self, action: a.Action) -> None:
        """Take a message from the pipe."""
        self.do(self._message, action)

    def _message(self, action: Any) -> None:
        if isinstance(action, a.ArmGuard):
            self._arm(action)
            return
        if isinstance(action, a.Fence):
            self._fence(action.token)
            return
        journal = self.host.journal
        if journal is None or journal.record.token != action.token:
            return
        match action:
            case a.ExtendLease():
                self.lease = action.lease
            case a.ReportStopping():
                self._phase("stopping")
                self._watch()
            case a.Disarm():
                self._phase("stopped")
                self.lease = None
            case a.Forget():
                self.host.journal = None

    def _phase(self, phase: str) -> None:
        if self.host.journal is not None:
            self.host.journal = self.host.journal._replace(phase=phase)

    def _arm(self, action: a.ArmGuard) -> None:
        # The agent hears "armed" only when all this is on disk.
        self.host.journal = Journal(action.record, action.holder_revision, "armed")
        self.lease = action.lease
        self._watch()
        if self.host.slow_disk:
            # A guard that waits for its disk does nothing else: no deadline is watched meanwhile.
            self.pause()
            self.engine.after(self.host.slow_disk, self._synced, action.token)
        else:
            self.engine.after(self.engine.uniform(0.0005, 0.005), self.do, self._armed, action.token)

    def _synced(self, token: int) -> None:
        self._armed(token)
        self.resume()

    def _armed(self, token: int) -> None:
        if not self.alive:
            return
        agent = self.host.agent
        if agent is not None:
            self.engine.after(0.0003, agent.do, agent.post, e.GuardArmed(token))

    # --- deadlines ---

    def _deadline(self) -> Instant | None:
        journal = self.host.journal
        if journal is None or self.lease is None or self._busy:
            return None
        if journal.phase == "armed":
            return self.lease.stop_at.plus(GRACE)
        return self.lease.fence_at if journal.phase == "stopping" else None

    def _watch(self) -> None:
        deadline = self._deadline()
        if deadline is not None:
            wait = self.host.clock.reached(deadline, self.engine.now)
            late = (0.003 + self.host.lag) * self.engine.rng.random()
            self.engine.after(wait + late, self.do, self._judge)

    def _judge(self) -> None:
        deadline, agent = self._deadline(), self.host.agent
        if deadline is None or agent is None:
            return
        if self.clock().left_until(deadline) > 1e-6:
            self._watch()
        else:
            self.host.agent_dies(agent, "late for its guard")

    # --- stops ---

    def _run_stops(self, limit: float, done: Callable[[bool], None]) -> None:
        self._busy += 1
        self.host.resources.stop(limit, lambda clean: self.do(done, clean))

    def _recovered(self, clean: bool) -> None:
        self._busy -= 1
        self._phase("stopped" if clean else "unclean")
        self._start_agent()

    def agent_died(self) -> None:
        """SIGCHLD: kill and reap what is left of the agent, and stop what it ran."""
        self.host.resources.kill_hooks()
        journal = self.host.journal
        if journal is None or journal.phase == "stopped":
            self._release()
            return
        if self.host.resources.contained and self.host.resources.running:
            # Reaping waits for the namespace to be gone.
            self.engine.after(0.01, self.do, self.agent_died)
            return
        limit = self.host.timing.stop_timeout
        if self.lease is not None:
            limit = max(0.0, self.clock().left_until(self.lease.fence_at)) / self.host.clock.fastest
            limit = max(limit, 0.05) if self.host.resources.contained else limit
        self._run_stops(limit, self._stopped_for_agent)

    def _stopped_for_agent(self, clean: bool) -> None:
        self._busy -= 1
        self.lease = None
        self._phase("stopped" if clean else "unclean")
        if clean:
            self._release()
        elif self.host.reboots:
            self.engine.after(self.host.kill_delay(), self.host.power_off, "fence: reboot")
        else:
            self._start_agent()

    def _fence(self, token: int) -> None:
        self._busy += 1
        self.engine.after(self.host.kill_delay(), self.do, self._killed, token, self.host.agent)

    def _killed(self, token: int, agent: "Agent | None") -> None:
        self._busy -= 1
        if agent is None or not agent.alive:
            return  # its death is seen to elsewhere
        self.host.resources.kill_contained()
        self._run_stops(self.host.timing.stop_timeout if not self.host.reboots else
                        self.host.timing.kill_time / 2, lambda clean: self._fenced(token, clean))

    def _fenced(self, token: int, clean: bool) -> None:
        self._busy -= 1
        self._phase("stopped" if clean else "unclean")
        if not clean and self.host.reboots:
            self.engine.after(self.host.kill_delay(), self.host.power_off, "fence: reboot")
            return
        agent = self.host.agent
        if agent is not None:
            self.engine.after(0.0003, agent.do, agent.post, e.Fenced(token, clean, "" if clean else "failed"))

    # --- giving the key up, and the next agent ---

    def _release(self) -> None:
        journal, host = self.host.journal, self.host
        if journal is None or not self.engine.chance(0.8):
            self._start_agent()
            return
        record, store = journal.record, host.etcd.store

        def change() -> None:
            store.release(election_key(record.lease), record, journal.holder_revision)
            store.revoke(record.lease)

        endpoint = self.engine.rng.randrange(len(host.links))
        link = host.links[endpoint]
        link.send(host.etcd.propose, host.etcd.members[endpoint], change,
                  lambda *_: link.back(self.do, self._released, record.token), lambda: None)
        self._start_agent()

    def _released(self, token: int) -> None:
        journal = self.host.journal
        if journal is not None and journal.record.token == token and journal.phase == "stopped":
            self.host.journal = None
            self.host.monitor.counts["released by the guard"] += 1

    def _start_agent(self) -> None:
        delay = (0.02, 0.5, 1.0, 2.0)[min(self._restarts, 3)]
        self._restarts += 1
        self.engine.after(delay, self.do, self.host.start_agent)


def recovery(journal: Journal | None) -> tuple[e.PendingRelease | None, int]:
    """Return what a new agent is told of an earlier term."""
    if journal is None:
        return None, 0
    if journal.phase == "unclean":
        return None, journal.record.token
    record = replace(journal.record)
    return e.PendingRelease(record.token, journal.holder_revision, record), 0
