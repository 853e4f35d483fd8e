"""One election on one node: what each event changes, and what has become due.

`core.machine` has the frame in which this runs, `core.states` the table that it must obey, `core.outside`
the half that does not compete.
"""

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.backoff import Backoff
from leaderd.core.handover import Handover, Preference, Requeue, StepDown
from leaderd.core.lease import Timing
from leaderd.core.outside import UNHEALTHY, Outside
from leaderd.core.queue import contains
from leaderd.core.records import HolderRecord, Known, Snapshot
from leaderd.core.session import Session
from leaderd.core.states import State
from leaderd.core.status import Status
from leaderd.core.takeover import Takeover
from leaderd.core.term import Term
from leaderd.errors import InvariantError, LeaseLostError
from leaderd.instant import Instant

# A rest this short is the rounding of a sum: asking for less would not move the clock (seconds).
TIMER_RESOLUTION = 1e-4


class Election(Outside):
    """The state machine.

    Args:
        name: Of the election.
        node: Of this node.
        timing: The configured budget; each lease counts with the TTL that etcd granted.
        preference: This node's priority, and whether it preempts.
    """

    def __init__(self, name: str, node: str, timing: Timing, preference: Preference | None = None) -> None:
        super().__init__(name, node, timing)
        self._takeover = Takeover(timing)
        self._session: Session | None = None
        self._start_backoff = Backoff(1.0, 60.0)
        self._handover = Handover(node, preference or Preference())

    # --- what others may ask ---

    def next_timer(self, now: Instant) -> float | None:
        """Return the seconds until `handle` wants a `Tick`; None while nothing but an event helps."""
        if self._session is not None:
            candidate = self.state is State.CANDIDATE and not self.history.blocked
            wait: float | None = self._session.next_timer(now, self._takeover if candidate else None)
            more = self._handover.next_timer(now) if self.state in (State.CANDIDATE, State.LEADER) else None
            wait = wait if more is None or wait is None else min(wait, more)
        else:
            wait = self._remains.next_timer(now)
            if wait is None and self._join_at is not None and self._remains.none:
                wait = now.wait_until(self._join_at)
        if wait is None or self._finished:
            return None
        return max(wait, TIMER_RESOLUTION) if wait > 0 else 0.0

    def opens_at(self) -> Instant | None:
        """Return when a candidate's way will be free, once first in the queue; None while unknown."""
        if self._session is None or self.state is not State.CANDIDATE:
            return None
        return self._takeover.opens_at(self._session.token)

    def status(self) -> Status:
        """Return the status as of the last event."""
        session, term, view = self._session, self._term, self._view
        leading = self.state in (State.PROMOTING, State.LEADER)
        return Status(
            election=self.name,
            state=self.state,
            reason=self.reason,
            detail=self.detail,
            leader=self.node if leading else view.leader,
            token=term.token if term else max(view.token, self.history.known.token),
            lease=session.lease.id if session else 0,
            stop_at=session.lease.stop_at if session else None,
            candidates=view.queue,
            blocked=self.history.blocked,
            healthy=not self._illness,
            paused=view.controls.paused,
            nodes=view.controls.nodes,
        )

    def _deadlines(self, now: Instant) -> None:
        """Step down when `stop_at` has come, before anything else is believed (R10, R12)."""
        if self._session is not None and self._session.lease.left(now) <= 0:
            self._lose_session(now, "store-lost", "no renewal was proven in time")
        elif self._session is not None and self._term is not None and self._term.guard_is_silent(now):
            self._demote(now, "start-failed", "the guard does not answer")

    def _is_stale(self, event: e.Event) -> bool:
        """Return whether the event belongs to a session or term that is over (R9)."""
        match event:
            case e.Joined() | e.JoinFailed():
                return event.serial != self._serial or not self._joining
            case e.SessionEvent():
                return self._session is None or event.serial != self._session.serial
            case e.ResourcesStopped():
                return event.token != self._remains.stopping
            case e.Released() | e.ReleaseFailed():
                return not self._remains.is_pending(event.token)
            case e.Fenced():
                return not self._remains.is_unclean(event.token)
            case e.TermEvent():
                return self._term is None or event.token != self._term.token
        return False

    def _take_in(self, event: e.Event, now: Instant) -> None:
        match event:
            case e.Started():
                self._on_started(event)
            case e.Shutdown():
                self._close(now, "shutdown")
            case e.GuardLost():
                self._close(now, "guard-died")
            case e.HealthChanged():
                self._on_health(event, now)
            case e.PreferenceChanged():
                self._handover.prefer(Preference(event.priority, event.preempt_delay))
            case e.QueueChanged():
                self._on_queue(event, now)
            case e.ControlChanged():
                self._on_control(event, now)
            case e.SessionEvent():
                self._on_session(event, now)
            case e.TermEvent():
                self._on_term(event, now)

    def _due(self, now: Instant) -> None:
        """Do what has become possible; the states' next steps stand here and nowhere else."""
        self._hand_over(now)
        if self._session is not None:
            self._emit(self._session.renewal(now, self.history.known))
            if self.state is State.CANDIDATE and not self.history.blocked:
                self._emit(self._session.look(now, self._takeover))
                self._emit(self._session.take_over(now, self._takeover, self.node))
            elif self.state is State.PROMOTING and self._term is not None:
                self._promote_on(self._session, self._term, now)
        elif self.state in (State.STANDBY, State.FENCED) and not self._finished:
            self._due_without_session(now)

    # --- into the queue and out of it ---

    def _on_joined(self, event: e.Joined, now: Instant) -> None:
        self._joining = False
        self._session = Session(event, self.timing, now)
        if self._session.lease.left(now) <= 0:
            self._end_session(give_up=True)
            return
        self._become(State.CANDIDATE, "")
        self._observe(event.snapshot, event.known, now)

    def _close(self, now: Instant, reason: str) -> None:
        """Stop for good: resources first, then the release, then the end."""
        if not self._closing or reason == "guard-died":
            self._closing = reason
        if self.state is State.FENCED:
            self._finish(clean=False)
        else:
            self._withdraw(now, reason)

    def _withdraw(self, now: Instant, reason: str, detail: str = "") -> None:
        """Compete no longer: step down in order, or leave the queue."""
        if self._session is not None and self._term is not None:
            self._demote(now, reason, detail)
        elif self._session is not None or self._joining:
            self._joining = False
            self._end_session(give_up=True)
            self._become(State.STANDBY, reason, detail)

    def _on_health(self, event: e.HealthChanged, now: Instant) -> None:
        """Keep an ill node out; a recovered one queues up as soon as nothing else keeps it out."""
        self._illness = "" if event.healthy else event.detail or "the check fails"
        if self._illness:
            self._withdraw(now, UNHEALTHY, self._illness)
        else:
            self._let_in()

    # --- with a session: candidate, promoting, leader ---

    def _on_renewed(self, event: e.Renewed, session: Session, now: Instant) -> None:
        try:
            session.renewed(event, now)
        except LeaseLostError as error:
            self._lose_session(now, "store-lost", str(error))
            return
        self._join_backoff.reset()
        if self._term is not None and self._term.arming:
            self._emit(a.ExtendLease(self._term.token, session.lease))
        self._observe(event.snapshot, event.known, now)

    def _observe(self, snapshot: Snapshot, known: Known, now: Instant) -> None:
        """Draw what follows from a linearizable read; a read that went back ends a term (R8)."""
        before = self.history.blocked, self.history.known.epoch
        self._emit(self.history.observe(snapshot, known, now))
        self._takeover.observe(snapshot)
        self._view.read(snapshot, anew=(self.history.blocked, self.history.known.epoch) != before)
        self._obey_marks(now)
        if self._session is None:
            return
        if self.history.blocked and self._term is not None:
            self._demote(now, "revision-regressed", self.history.blocked)
        elif self._term is not None and self._term.is_disowned(snapshot):
            self._demote(now, "lease-lost", "the holder record is no longer ours")
        elif self.state is State.CANDIDATE and self._session is not None:
            if self._takeover.may_open_early and self._session.is_next:
                self._session.hurry(now)
            self.reason = "revision-regressed" if self.history.blocked else ""
            paused = "the election is paused: nobody is promoted" if self._view.controls.paused else ""
            waits = self.history.blocked or snapshot.broken or paused
            self.detail = waits or self._takeover.waits_for()

    def _on_queue(self, event: e.QueueChanged, now: Instant) -> None:
        if not self._view.changed(event) or (session := self._session) is None:
            return
        if event.revision >= session.create_revision and not contains(event.queue, session.key):
            self._lose_session(now, "lease-lost", "the own key is gone")
        elif self.state is State.CANDIDATE and not session.has_proof_of(event.queue[:1]):
            session.head_changed(event.queue, now)

    def _on_control(self, event: e.ControlChanged, now: Instant) -> None:
        """Obey the marks of operators; what follows from wishes is `_hand_over`'s."""
        was_paused = self._view.controls.paused
        if not self._view.controls_changed(event, anew=self._session is None):
            return
        self._obey_marks(now)
        if was_paused and not self._view.controls.paused and self._session is not None:
            # The last proof shows the pause still.
            self._session.renew_now(now)

    def _obey_marks(self, now: Instant) -> None:
        reason, detail = self._kept_out()
        if reason:
            self._withdraw(now, reason, detail)
        else:
            self._let_in()

    def _hand_over(self, now: Instant) -> None:
        """Take the next step towards another leader, if one is wished for."""
        if (session := self._session) is None or self.history.blocked:
            return
        step = None
        if self.state is State.CANDIDATE:
            step = self._handover.as_candidate(self._view, session, now)
        elif self.state is State.LEADER and self._term is not None:
            step = self._handover.as_leader(self._view, session, self._term.token, now)
        match step:
            case StepDown():
                self._demote(now, step.reason)
            case Requeue():
                self._end_session(give_up=True)
                self._become(State.STANDBY, step.reason)
            case _:
                self._emit(step)

    def _on_session(self, event: e.SessionEvent, now: Instant) -> None:
        match event:
            case e.Joined():
                self._on_joined(event, now)
            case e.JoinFailed():
                self._joining = False
                self._join_at = now.plus(self._join_backoff.failed())
                self.detail = event.detail
            case e.SessionGone():
                self._lose_session(now, "lease-lost", event.detail)
            case _ if self._session is not None:
                self._in_session(event, self._session, now)

    def _in_session(self, event: e.SessionEvent, session: Session, now: Instant) -> None:
        match event:
            case e.Renewed():
                self._on_renewed(event, session, now)
            case e.RenewalFailed():
                session.renewal_failed(now)
            case e.EvidenceGathered():
                session.looked()
                self._takeover.learn(event)
            case e.EvidenceFailed():
                session.looked()
                self._takeover.missed(now)
            case e.TookOver() if session.claim is not None and session.claim.token == event.token:
                self._on_took_over(event, session, session.claim, now)
            case e.TakeoverRefused() | e.TakeoverFailed():
                session.take_over_failed(now)

    def _on_took_over(self, event: e.TookOver, session: Session, claim: HolderRecord, now: Instant) -> None:
        holder = session.proof.holder if session.proof else None
        self._term = Term.after(holder, claim, event.holder_revision)
        self._become(State.PROMOTING, "elected")
        self._emit(self.history.took_over(event.token, event.holder_revision))
        if self.history.blocked:
            # A read went back while the answer was on its way (R8).
            self._demote(now, "revision-regressed", self.history.blocked)

    def _lose_session(self, now: Instant, reason: str, detail: str) -> None:
        """Leave the queue, or step down (R7, R12)."""
        if self._term is not None:
            self._demote(now, reason, detail)
            return
        self._end_session(give_up=True)
        self._join_at = now.plus(self._join_backoff.failed())
        self._become(State.STANDBY, reason, detail)

    def _end_session(self, *, give_up: bool) -> None:
        self._emit(a.EndSession(self._serial, give_up))
        self._session = None

    # --- the term ---

    def _promote_on(self, session: Session, term: Term, now: Instant) -> None:
        step = term.next_step(session, now)
        self._emit(step)
        if isinstance(step, a.StartResources):
            self._emit(a.RecordStart(term.token, term.before, term.released))

    def _on_term(self, event: e.TermEvent, now: Instant) -> None:
        match event:
            case e.Released():
                self._emit(self._remains.released(event.token))
            case e.ReleaseFailed():
                self._on_release_failed(event, now)
            case e.Fenced():
                self._on_fenced(event, now)
            case e.ResourcesStopped(token=0):
                self._on_cleaned_up(event, now)
            case _ if self._term is not None:
                self._in_term(event, self._term, now)

    def _in_term(self, event: e.TermEvent, term: Term, now: Instant) -> None:
        match event:
            case e.GuardArmed():
                term.armed = term.arming
            case e.ResourcesStarted() if term.starting:
                term.led_at = now
                self._become(State.LEADER, "elected")
            case e.StartFailed() if term.starting:
                self._demote(now, "start-failed", event.detail)
            case e.ResourceFailed():
                self._demote(now, "resource-failed", event.detail)
            case e.ResourcesStopped():
                if event.clean:
                    self._become(State.STANDBY, self.reason, self.detail)
                    self._stopped(term)
                else:
                    self._emit(a.RecordEnd(term.token, self.reason, clean=False))
                    self._remains.stop_failed(term.token, event.detail)
                    self._become(State.FENCED, self.reason, event.detail)
                    if self._closing == "guard-died":
                        # Nobody is left to fence: the next guard finds the term in the journal.
                        self._finish(clean=False)

    def _demote(self, now: Instant, reason: str, detail: str = "") -> None:
        """Stop everything; renewing ends here, so that a stop that fails lets the lease run out (R5)."""
        session, term = self._session, self._term
        if session is None or term is None:
            raise InvariantError(f"{self.name}: nothing to step down from in {self.state.value}")
        if term.was_good(now):
            self._start_backoff.reset()
        if reason in ("start-failed", "resource-failed"):
            self._join_at = now.plus(self._start_backoff.failed())
        self._end_session(give_up=False)
        if not term.starting:
            self._become(State.STANDBY, reason, detail)
            self._stopped(term)
            return
        self._become(State.DEMOTING, reason, detail)
        self._emit(a.ReportStopping(term.token))
        left = now.left_until(session.lease.fence_at)
        until = now.plus(min(self.timing.stop_timeout, left))
        self._emit(self._remains.stop(term.token, until, reason))

    def _stopped(self, term: Term) -> None:
        """Everything of the term is down: only now may it be released (R5)."""
        if term.starting:
            self._emit(a.RecordEnd(term.token, self.reason, clean=True))
        if term.arming:
            self._emit(a.Disarm(term.token))
        self._remains.stopped(e.PendingRelease(term.token, term.holder_revision, term.record))
        self._term = None
