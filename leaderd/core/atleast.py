"""An election whose guarantee is at least one: the same election while etcd answers, `core.floor` when not.

`Election` decides here as everywhere, and knows nothing of this: its term ends at `stop_at`, it is released
when etcd is back, and a new one is won in the queue. What differs is what becomes of the address in between:

* The stop of a term that ends for want of etcd is not performed, only answered; the address stays, without
  guard and kernel timer, for as long as the network's silence extends it.
* Without a session the network is asked, and an address that nobody has is taken.
* The start of a term with proof begins the address anew where it stands.

An election at most one is an `Election` and passes through nothing of this.

Source: docs/design.md §5.
"""

from dataclasses import replace

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.election import TIMER_RESOLUTION, Election
from leaderd.core.floor import AddressProbed, Fact, Floor, Stance, patience
from leaderd.core.handover import Preference
from leaderd.core.lease import Timing
from leaderd.core.states import State
from leaderd.core.status import AT_LEAST_ONE, Status
from leaderd.instant import Instant

STORE_LOST = "store-lost"
# What people read while there is no proof.
_DETAILS = {
    Stance.LOOKING: "etcd does not answer: the address is taken here once nobody has had it for long enough",
    Stance.TAKING: "without etcd: nobody has had the address for long enough, so it is taken here",
    Stance.HOLDING: "holding without etcd: no proof and no token; a node that cannot be heard may hold too",
    Stance.DROPPING: "letting go of an address that was held without etcd",
}
_STATES = {
    Stance.TAKING: State.PROMOTING, Stance.HOLDING: State.LEADER, Stance.DROPPING: State.DEMOTING,
}


class AtLeastOne(Election):
    """The state machine; see `Election` for the arguments."""

    def __init__(self, name: str, node: str, timing: Timing, preference: Preference | None = None) -> None:
        super().__init__(name, node, timing, preference)
        self._floor = Floor(timing)
        self._silent = False
        # Under which token the group was last started: an elected term's, or a negative number.
        self._group = 0
        self._taken = 0
        # The newest token when etcd fell silent, and who has led since, seen from when on.
        self._before = 0
        self._rival: tuple[int, Instant] | None = None
        self._end: a.Finish | None = None
        self._failed = False

    def handle(self, event: e.Event, now: Instant) -> list[a.Action]:
        """Take in one event and return what is to be done, in order.

        Raises:
            InvariantError: Nobody decided this: a bug.
        """
        had_session = self._session is not None
        if isinstance(event, AddressProbed):
            out, event = self._on_probed(event, now), e.Tick()
        elif (fact := self._of_own(event)) is not None:
            out, event = self._step(fact, now), e.Tick()
        else:
            out = []
        out += self._translated(super().handle(event, now), now)
        self._listen(event, had_session=had_session)
        for each in self._facts(now):
            out += self._step(each, now)
        if (question := self._floor.ask(now)) is not None:
            out.append(question)
        if self._end is not None and not self._floor.holds:
            out.append(replace(self._end, clean=self._end.clean and not self._failed))
            self._end = None
        return out + self._news()

    def next_timer(self, now: Instant) -> float | None:
        """Return the seconds until `handle` wants a `Tick`; None while nothing but an event helps."""
        times = [super().next_timer(now), self._floor.next_timer(now)]
        if self._rival is not None and self._floor.stance is Stance.HOLDING:
            times.append(now.wait_until(self._rival[1].plus(self._rival_patience())))
        wait = min((each for each in times if each is not None), default=None)
        if wait is None or wait <= 0:
            return wait and 0.0
        return max(wait, TIMER_RESOLUTION)

    def status(self) -> Status:
        """Return the status as of the last event; without a proof it claims none."""
        status = replace(super().status(), guarantee=AT_LEAST_ONE)
        stance, lease = self._floor.stance, self._floor.lease
        if stance is Stance.IDLE:
            return status
        detail = _DETAILS[stance] + (f"; {self._floor.other}" if self._floor.other else "")
        if lease is None:
            return replace(status, detail=detail)
        return replace(
            status, state=_STATES[stance], reason=STORE_LOST, detail=detail, token=0, proven=False,
            stop_at=lease.stop_at, leader=self._view.leader if self._is_led_by_another() else self.node,
        )

    # --- from the election to the address ---

    def _publish(self) -> None:
        """Leave it to `handle`, which has more to say after the election is done."""

    def _news(self) -> list[a.Action]:
        self._out = []
        super()._publish()
        return self._out

    def _translated(self, actions: list[a.Action], now: Instant) -> list[a.Action]:
        """Return what is done of what the election wants."""
        out: list[a.Action] = []
        for action in actions:
            match action:
                case a.StopResources(reason="store-lost") if self._may_keep():
                    out += self._step(Fact.KEPT, now)
                    stopped = e.ResourcesStopped(action.token, clean=True, detail="")
                    out += self._translated(super().handle(stopped, now), now)
                case a.StartResources():
                    self._group = action.token
                    out += [*self._step(Fact.ELECTED, now), action]
                case a.RecordEnd() if self._floor.stance is Stance.HOLDING:
                    # The address was not stopped, and the history must not say so.
                    out.append(replace(action, clean=False))
                case a.Finish():
                    self._end = action
                case _:
                    out.append(action)
        return out

    def _may_keep(self) -> bool:
        led = self._term is not None and self._term.led_at is not None
        return led and not self._is_barred() and self._floor.stance is Stance.IDLE

    def _on_probed(self, event: AddressProbed, now: Instant) -> list[a.Action]:
        before = self._floor.lease
        self._floor.probed(event, now, led_by_another=self._is_led_by_another())
        lease = self._floor.lease
        return [] if lease is None or lease == before else [a.KeepOn(lease)]

    def _of_own(self, event: e.Event) -> Fact | None:
        """Return what an event says of the address that is here without a term; None for all others."""
        if not self._floor.holds or not isinstance(event, e.TermEvent) or event.token != self._group:
            return None
        match event:
            case e.ResourcesStarted():
                return Fact.STARTED
            case e.StartFailed() | e.ResourceFailed():
                return Fact.FAILED
            case e.ResourcesStopped():
                # What could not be removed ends with its lifetime, as nobody extends it any more.
                self._failed = not event.clean
                return Fact.STOPPED
        return None

    # --- the facts ---

    def _listen(self, event: e.Event, *, had_session: bool) -> None:
        """Note whether etcd answers: what counts is whether it gives leases, or takes a release."""
        if self._session is not None or isinstance(event, e.Released):
            self._silent = False
        elif isinstance(event, e.JoinFailed | e.ReleaseFailed) or (had_session and self.reason == STORE_LOST):
            if not self._silent:
                self._before = max(self._view.token, self.history.known.token)
            self._silent = True

    def _is_barred(self) -> bool:
        return bool(self._closing or self._kept_out()[0] or self.state is State.FENCED)

    def _is_led_by_another(self) -> bool:
        return self._session is not None and self._view.leader not in ("", self.node)

    def _rival_patience(self) -> float:
        """Return how long another leader must be seen until it is known to live, in seconds.

        One that took over since etcd fell silent lives. Any other may have died meanwhile, and its key
        goes when etcd has counted a whole ttl, which a new etcd leader does from the beginning.
        """
        holder = self._view.holder
        if holder is not None and holder.token > self._before:
            return self.timing.attempt_timeout
        return 2.0 * max(self.timing.ttl, holder.ttl if holder is not None else 0)

    def _facts(self, now: Instant) -> list[Fact]:
        found = [Fact.SILENT if self._silent else Fact.ANSWERED]
        if not self._is_led_by_another():
            self._rival = None
        elif self._rival is None or self._rival[0] != self._view.token:
            self._rival = self._view.token, now
        if self._rival is not None and now.waited_since(self._rival[1]) >= self._rival_patience():
            found.append(Fact.OUTVOTED)
        if self._is_barred():
            return [*found[1:], Fact.BARRED]
        return found + self._floor.facts(now, patience(self.timing, self._place()))

    def _place(self) -> int:
        """Return how many others may take the address first: those before us in the queue as last seen.

        The leader comes last, as it has let go of the address.
        """
        nodes = [key.node for key in self._view.queue]
        return nodes.index(self.node) - 1 if self.node in nodes[1:] else max(1, len(nodes) - 1)

    # --- the steps ---

    def _step(self, fact: Fact, now: Instant) -> list[a.Action]:
        """Take in a fact; return what a step asks for."""
        if self._floor.step(fact, now) is None:
            return []
        match self._floor.stance, self._floor.lease:
            case Stance.HOLDING, lease if lease is not None and fact is Fact.KEPT:
                return [a.KeepOn(lease)]
            case Stance.TAKING, lease if lease is not None:
                self._taken += 1
                self._group = -self._taken
                return [a.StartResources(self._group, lease, STORE_LOST, "")]
            case Stance.DROPPING, _:
                return [a.StopResources(self._group, now.plus(self.timing.stop_timeout), STORE_LOST)]
        return []
