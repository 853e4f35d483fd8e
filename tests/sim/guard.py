"""The guard process: the production decisions of `guard.term`, and a model of all that they need."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.lease import Lease
from leaderd.core.records import HolderRecord
from leaderd.guard import wire
from leaderd.guard.term import Duty, Phase, Step, Term, Verdict, heard, judge, next_deadline, orphaned, steps
from leaderd.instant import Instant
from tests.sim.calls import election_key

if TYPE_CHECKING:
    from tests.sim.host import Host

NAME = "sim"
_PLAIN: dict[type[a.Action], Callable[[str, int], wire.Message]] = {
    a.ReportStopping: wire.Stopping, a.Disarm: wire.Disarm, a.Forget: wire.Forget, a.Fence: wire.Fence,
}
RELEASE_TIME = 3.0


class Entry(NamedTuple):
    """What stands in `state_dir` about a term."""

    order: wire.Arm
    phase: str
    """armed, stopped (its release is pending) or unclean (a stop has failed)."""
    boot: int
    escalated: bool = False


class Guard:
    """One run of the guard process."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self.engine = host.engine
        self.alive = True
        self.paused = False
        self.term: Term | None = None
        self.waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._restarts = 0
        self._worker_free_at = 0.0
        self.cleaning = False
        self._fence = ("kill", "reboot") if host.reboots else ("kill",)
        self._recover()
        self._start_agent(0.02)

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
        """SIGCONT: messages first, deadlines after them (R10, R13)."""
        self.paused = False
        waiting, self.waiting = self.waiting, []
        for call, args in sorted(waiting, key=lambda entry: entry[0] == self._judge):
            self.do(call, *args)

    def clock(self) -> Instant:
        """Read both clocks."""
        return self.host.clock.at(self.engine.now)

    def _work(self, seconds: float, job: Callable[[], None], then: Callable[[], None]) -> None:
        """Let a worker do something that takes time; one after the other."""
        self._worker_free_at = max(self._worker_free_at, self.engine.now) + seconds
        self.engine.after(self._worker_free_at - self.engine.now, self._worked, job, then)

    def _worked(self, job: Callable[[], None], then: Callable[[], None]) -> None:
        if self.alive:
            job()
            self.do(then)

    # --- messages ---

    def receive(self, action: a.Action) -> None:
        """Take a message from the pipe."""
        self.do(self._hear, message_of(action, self.host.timing.stop_timeout))

    def _hear(self, message: wire.Message) -> None:
        before, after = self.term, heard(self.term, message)
        if after is before:
            if isinstance(message, wire.Fence) and (before is None or before.order.token != message.token):
                self._tell(e.Fenced(message.token, clean=False, detail="the guard knows no such term"))
            return
        self.term = after
        if after is None:
            self._work(0.001, self._erase, _nothing)
        elif isinstance(message, wire.Arm):
            self._arm(message)
        elif isinstance(message, wire.Fence):
            self._take_over(message.token)
            self._clean_up(after, asked=True)
        elif after.phase is Phase.STOPPED:
            self._write(after.order, "stopped")
        self._watch()

    def _tell(self, event: e.Event) -> None:
        agent = self.host.agent
        if agent is not None:
            self.engine.after(0.0003, agent.do, agent.post, event)

    def _take_over(self, token: int) -> None:
        """Tell the agent not to die for this term any more."""
        agent = self.host.agent
        if agent is not None:
            self.engine.after(0.0003, agent.do, agent.relieved, token)

    def _arm(self, order: wire.Arm) -> None:
        sync = self.host.slow_disk or self.engine.uniform(0.0005, 0.005)
        self._work(sync, lambda: self._put(order, "armed"), lambda: self._armed(order))

    def _armed(self, order: wire.Arm) -> None:
        term = self.term
        if term is not None and term.order is order and term.phase is Phase.ARMING:
            self.term = replace(term, phase=Phase.ARMED)
            self._watch()
            self._tell(e.GuardArmed(order.token))

    # --- the journal ---

    def _put(self, order: wire.Arm, phase: str, *, escalated: bool = False) -> None:
        self.host.journal = Entry(order, phase, self.host.boots, escalated)

    def _erase(self) -> None:
        self.host.journal = None

    def _write(self, order: wire.Arm, phase: str) -> None:
        escalated = self.term is not None and self.term.escalated
        self._work(0.002, lambda: self._put(order, phase, escalated=escalated), _nothing)

    def _recover(self) -> None:
        """Stop and release what an earlier run has left (R4, R13)."""
        entry = self.host.journal
        if entry is None:
            return
        self.engine.note(self.host.name, f"guard: an earlier run left a term, {entry.phase}")
        self.term = Term(entry.order, entry.order.deadlines, Phase.STOPPED, escalated=entry.escalated,
                         recovered=True, rebooted=entry.boot != self.host.boots)
        if entry.phase == "stopped":
            self._release()
        else:
            self._clean_up(replace(self.term, phase=Phase.CLEANING))

    # --- deadlines ---

    def _watch(self) -> None:
        deadline = next_deadline(self.term) if self.term is not None else None
        if deadline is not None:
            wait = self.host.clock.reached(deadline, self.engine.now)
            late = (0.003 + self.host.lag) * self.engine.rng.random()
            self.engine.after(wait + late, self.do, self._judge)

    def _judge(self) -> None:
        agent = self.host.agent
        if self.term is None or agent is None:
            return
        if judge(self.term, self.clock()) is not Verdict.WAIT:
            self.host.agent_dies(agent, "late for its guard")
        elif (deadline := next_deadline(self.term)) and self.clock().left_until(deadline) < 1e-6:
            self._watch()

    def agent_died(self) -> None:
        """SIGCHLD: kill and reap what is left of the agent, then do what its term is owed."""
        if self.host.resources.contained and self.host.resources.running:
            self.engine.after(0.01, self.do, self.agent_died)
            return
        self.host.resources.kill_hooks() if not self.cleaning else None
        duty = orphaned(self.term) if self.term is not None else Duty.NOTHING
        if duty is Duty.STOP and self.term is not None:
            self._clean_up(replace(self.term, phase=Phase.CLEANING))
        elif duty is Duty.RELEASE:
            self._release()
        self._start_agent((0.02, 0.5, 1.0, 2.0)[min(self._restarts, 3)])
        self._restarts += 1

    # --- cleaning up ---

    def _clean_up(self, term: Term, *, asked: bool = False) -> None:
        self.term = term
        self.cleaning = True
        plan = list(steps(term, self._fence, self.clock()))
        # Jobs for one election wait for one another: the journal may still be being written.
        begin = max(self._worker_free_at - self.engine.now, 0.0) + self.host.kill_delay()
        self.engine.after(begin, self.do, self._step, term, plan, asked)

    def _step(self, term: Term, plan: list[Step], asked: bool) -> None:
        if not plan:
            self._cleaned(clean=False, asked=asked)
            return
        step = plan.pop(0)
        if step.kind == "reboot":
            self.engine.after(self.host.kill_delay() / 2, self.host.power_off, "fence: reboot")
            return
        self.host.resources.kill_contained()
        limit = max(0.0, self.clock().left_until(step.until)) / self.host.clock.fastest
        self.host.resources.stop(limit, lambda clean: self.do(self._stepped, term, plan, asked, clean))

    def _stepped(self, term: Term, plan: list[Step], asked: bool, clean: bool) -> None:
        if clean:
            self._cleaned(clean=True, asked=asked)
        else:
            self._step(term, plan, asked)

    def _cleaned(self, *, clean: bool, asked: bool) -> None:
        self.cleaning = False
        if self.term is None:
            return
        self.term = replace(self.term, phase=Phase.STOPPED if clean else Phase.UNCLEAN, failed=not clean,
                            escalated=self.term.escalated or not clean)
        self._write(self.term.order, "stopped" if clean else "unclean")
        agent = self.host.agent
        if agent is not None and asked:
            self._tell(e.Fenced(self.term.order.token, clean, "" if clean else "a stop failed"))
        elif agent is None and clean:
            self._release()

    def _release(self) -> None:
        """Give the term up over etcd's gateway, at one member here."""
        term, host = self.term, self.host
        if term is None or not self.engine.chance(0.8):
            return
        order = term.order
        record, store = HolderRecord.decode(order.record), host.etcd.store

        def change() -> None:
            store.release(election_key(record.lease), record, order.holder_revision)
            store.revoke(record.lease)

        endpoint = self.engine.rng.randrange(len(host.links))
        link = host.links[endpoint]
        link.send(host.etcd.propose, host.etcd.members[endpoint], change,
                  lambda *_: link.back(self.do, self._released, order), _nothing)

    def _released(self, order: wire.Arm) -> None:
        if self.term is not None and self.term.order is order and self.host.agent is None:
            self.term = None
            self._work(0.001, self._erase, _nothing)
            self.host.monitor.counts["released by the guard"] += 1

    # --- the next agent ---

    def _start_agent(self, delay: float) -> None:
        self.engine.after(delay, self.do, self._start_when_idle)

    def _start_when_idle(self) -> None:
        if self.cleaning or self._worker_free_at > self.engine.now:
            self._start_agent(0.02)
        else:
            self.host.start_agent()

    def recovery(self) -> tuple[e.PendingRelease | None, int]:
        """Return what a new agent is told of an earlier term."""
        term = self.term
        if term is None:
            return None, 0
        token = term.order.token
        record = HolderRecord.decode(term.order.record)
        pending = e.PendingRelease(token, term.order.holder_revision, record)
        return pending, token if term.phase is Phase.UNCLEAN else 0


def _nothing(*_: Any) -> None:
    """Do nothing more."""


def message_of(action: Any, stop_timeout: float) -> wire.Message:
    """Return what the agent's side of the link sends for an action."""
    if isinstance(action, a.ArmGuard):
        return wire.Arm(
            NAME, action.token, deadlines(action.lease), action.holder_revision,
            wire.ReleaseKeys("", "", "", f"{action.record.lease:x}"), action.record.encode(),
            (wire.Stop("it", ("stop",), stop_timeout),))
    if isinstance(action, a.ExtendLease):
        return wire.Extend(NAME, action.token, deadlines(action.lease))
    return _PLAIN[type(action)](NAME, action.token)


def deadlines(lease: Lease) -> wire.Deadlines:
    """Return the deadlines of a lease as the guard gets them."""
    return wire.Deadlines(lease.stop_at, lease.fence_at, lease.expires_at)
