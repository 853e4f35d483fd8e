"""The agent process of one node: the production `Election`, and the model of everything around it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.election import Election
from leaderd.core.records import token_epoch
from leaderd.core.states import State
from leaderd.errors import LeaderdError
from leaderd.instant import Instant
from tests.sim import calls  # noqa: F401  (fills the table of calls)
from tests.sim.client import CALLS, RELIST, Client
from tests.sim.guard import deadlines

if TYPE_CHECKING:
    from tests.sim.host import Host

PIPE = 0.0003
_ETCD = (*CALLS, a.EndSession, a.WriteIntent, a.DropIntent, a.AnswerIntent)
_GUARD = (a.ArmGuard, a.ExtendLease, a.ReportStopping, a.Disarm, a.Forget, a.Fence)


class Agent:
    """One run of the agent process."""

    kind_of_election: type[Election] = Election

    def __init__(self, host: "Host") -> None:
        self.host = host
        self.engine = host.engine
        self.alive = True
        self.paused = False
        self.waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.election = self.kind_of_election("sim", host.name, host.timing, host.preference)
        self.client = Client(self.engine, host.etcd, host.links, self, host.name, host.timing,
                             host.ttl, host.preference.priority)
        self.started_at = self.clock()
        self._guarded = 0
        self.news: list[e.SessionEvent | e.TermEvent] = []
        self._timer_at = float("inf")
        self._state = State.STANDBY

    def begin(self, pending: e.PendingRelease | None, unclean: int) -> None:
        """Start the election with what earlier runs have left."""
        self.post(e.Started(self.host.known, pending, unclean, healthy=not self.host.ill))
        self.engine.after(self.engine.uniform(0, RELIST), self.do, self.client.relist)

    # --- the process ---

    def clock(self) -> Instant:
        """Read both clocks."""
        return self.host.clock.at(self.engine.now)

    def do(self, call: Callable[..., None], *args: Any) -> None:
        """Call when the process gets to it: later when it is stopped, never when it is dead."""
        if self.alive:
            if self.paused:
                self.waiting.append((call, args))
            else:
                call(*args)

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = True

    def resume(self) -> None:
        """SIGCONT: everything that came meanwhile is there at once."""
        self.paused = False
        waiting, self.waiting = self.waiting, []
        for call, args in waiting:
            self.do(call, *args)

    # --- events and actions ---

    def post(self, event: e.Event) -> None:
        """Hand an event to the election and perform what it answers."""
        if not self.alive:
            return
        if self.paused:
            self.waiting.append((self.post, (event,)))
            return
        if isinstance(event, e.SessionEvent | e.TermEvent):
            self.news = [*self.news[-30:], event]
        try:
            actions = self.election.handle(event, self.clock())
        except LeaderdError as error:
            self.host.monitor.violate(f"{self.host.name}: {type(error).__name__}: {error}")
            return
        if self.engine.lines is not None:
            self._trace(event, actions)
        for action in actions:
            self.perform(action)
        self._set_timer()
        state = self.election.state
        if state is State.LEADER and type(event) is e.Renewed:
            self.host.monitor.leads()
        if state is not self._state:
            self._count(state)

    def late_news(self) -> None:
        """Have completions of older sessions and terms arrive once more, now (R9)."""
        serial = max((event.serial for event in self.news if isinstance(event, e.SessionEvent)), default=0)
        token = self.host.monitor.holders.get(self.host.name) or self.election.status().token
        for event in list(self.news):
            if event.serial < serial if isinstance(event, e.SessionEvent) else 0 < event.token < token:
                self.do(self.post, event)

    def _count(self, state: State) -> None:
        self._state = state
        if state in (State.STANDBY, State.DEMOTING, State.FENCED):
            self.host.monitor.counts[f"{state.value}: {self.election.reason}"] += 1

    def _trace(self, event: e.Event, actions: list[a.Action]) -> None:
        names = " ".join(_brief(action) for action in actions
                         if not isinstance(action, a.Publish | a.Remember | a.RecordStart | a.RecordEnd))
        if names or not isinstance(event, e.Tick | e.Renewed):
            state = self.election.state.value
            self.engine.note(self.host.name, f"{_brief(event)} -> {names or '-'} [{state}]")

    def _set_timer(self) -> None:
        wait = self.election.next_timer(self.clock())
        if wait is None:
            return
        late = (0.002 + self.host.lag) * self.engine.rng.random()
        at = self.engine.now + max(0.0002, wait / self.host.clock.fastest) + late
        if at < self._timer_at:
            self._timer_at = at
            self.engine.after(at - self.engine.now, self.do, self._tick)

    def _tick(self) -> None:
        if self.engine.now < self._timer_at:
            return
        self._timer_at = float("inf")
        wait = self.election.next_timer(self.clock())
        if wait is not None and wait <= 0:
            self.post(e.Tick())
        else:
            self._set_timer()

    def perform(self, action: a.Action) -> None:
        """Carry out one action, and fall into the trap that a fault may have set behind it."""
        self._perform(action)
        trap = self.host.trap
        if trap is not None and isinstance(action, trap[0]) and self.alive:
            self.host.trap = None
            trap[1]()

    def _perform(self, action: a.Action) -> None:
        if isinstance(action, _ETCD):
            if isinstance(action, a.TakeOver):
                self.host.monitor.counts["takeover tried: " + self._why(action)] += 1
            if isinstance(action, a.WriteIntent):
                self.host.monitor.preempts(self.host.name, action.to)
            self.client.perform(action)
        elif isinstance(action, _GUARD):
            self._to_guard(action)
        elif isinstance(action, a.StartResources):
            self.engine.after(self.engine.uniform(0.0005, 0.004), self.do, self._start, action)
        elif isinstance(action, a.StopResources):
            limit = max(0.0, self.clock().left_until(action.until)) / self.host.clock.fastest
            self.host.resources.stop(limit, lambda clean: self.do(
                self.post, e.ResourcesStopped(action.token, clean, "" if clean else "a stop failed")))
        elif isinstance(action, a.Remember):
            self.host.known = action.known
        elif isinstance(action, a.Finish):
            self.host.agent_dies(self, "finished")

    def _why(self, action: a.TakeOver) -> str:
        """Return which part of R6 has opened the takeover."""
        takeover, token = self.election._takeover, action.record.token
        holder = takeover._holder
        if holder is None:
            return "no record"
        if token_epoch(holder.token) < token_epoch(token):
            return "new epoch"
        if holder.state == "released":
            return "released"
        if holder.token == token:
            return "own record"
        closes_at = takeover._closes_at
        by_evidence = closes_at is not None and self.clock().wait_until(closes_at) <= 0
        return "evidence" if by_evidence else "a whole window waited"

    def _start(self, action: a.StartResources) -> None:
        if self.election.state is State.PROMOTING and self.alive:
            self.host.resources.start(action.token, lambda good: self.do(self.post, (
                e.ResourcesStarted(action.token) if good else e.StartFailed(action.token, "start failed")
            )), lambda: self.alive)

    def relieved(self, token: int) -> None:
        """The guard has taken a term over: its timer must not end the agent any more."""
        if token == self._guarded:
            self.host.deadman.disarm()

    def _to_guard(self, action: a.Action) -> None:
        host = self.host
        if isinstance(action, a.ArmGuard | a.ExtendLease):
            self._guarded = action.token
            host.deadman.arm(self, deadlines(action.lease).kill_at)
        elif isinstance(action, a.Disarm):
            host.deadman.disarm()
        if host.guard is not None:
            self.engine.after(PIPE, host.guard.receive, action)


def _brief(thing: object) -> str:
    token = getattr(thing, "token", None)
    return type(thing).__name__ + (f"({token:x})" if isinstance(token, int) else "")
