"""A node that does not compete: what has to be over before it may, and what keeps it out.

The chores of `core.remains` come first; then nothing may keep it out: no illness, no mark of an operator,
no delay after a failure. `core.election` is what happens once it has joined.
"""

from abc import abstractmethod

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.backoff import Backoff
from leaderd.core.history import History
from leaderd.core.lease import Timing
from leaderd.core.machine import Machine
from leaderd.core.records import Known
from leaderd.core.remains import Remains
from leaderd.core.states import State
from leaderd.core.term import Term
from leaderd.core.view import View
from leaderd.instant import Instant

# The reasons that a node gives for not competing.
UNHEALTHY = "unhealthy"
IN_STANDBY = "standby"


class Outside(Machine):
    """The half of the state machine that has no session.

    Args:
        name: Of the election.
        node: Of this node.
        timing: The configured budget; each lease counts with the TTL that etcd granted.
    """

    def __init__(self, name: str, node: str, timing: Timing) -> None:
        super().__init__(name)
        self.node = node
        self.timing = timing
        self.history = History(Known())
        self._serial = 0
        self._term: Term | None = None
        self._view = View()
        self._remains = Remains(timing)
        self._joining = False
        self._join_at: Instant | None = None
        self._join_backoff = Backoff(0.1, 2.0)
        self._illness = ""
        self._closing = ""
        self._finished = False

    @abstractmethod
    def _stopped(self, term: Term) -> None:
        """Everything of the term is down: only now may it be released (R5)."""

    def _on_started(self, event: e.Started) -> None:
        self.history = History(event.known)
        self._illness = "" if event.healthy else "no check has succeeded yet"
        self._remains.begin(event)
        if self._remains.dirty:
            self._become(State.FENCED, "startup", self._remains.dirty)

    def _kept_out(self) -> tuple[str, str]:
        """Return reason and detail of what keeps this node out of the queue, twice "" for nothing."""
        if self.node in self._view.controls.standby:
            return IN_STANDBY, "taken out by an operator: leaderd online puts it back"
        return (UNHEALTHY, self._illness) if self._illness else ("", "")

    def _due_without_session(self, now: Instant) -> None:
        self._emit(self._remains.due(now))
        if not self._remains.none or self._joining:
            return
        reason, detail = self._kept_out()
        if self._closing:
            self._finish(clean=True)
        elif reason:
            self._become(State.STANDBY, reason, detail)
        elif self._join_at is None or now.wait_until(self._join_at) <= 0:
            self._join_at, self._joining = None, True
            self._serial += 1
            self._emit(a.Join(self._serial, self.history.known))

    def _let_in(self) -> None:
        """Drop the reason for which the node was out, once it is gone."""
        if self.state is State.STANDBY and self.reason in (UNHEALTHY, IN_STANDBY):
            self._become(State.STANDBY, "")

    def _finish(self, *, clean: bool) -> None:
        if not self._finished:
            self._finished, self.reason = True, self._closing
            self._emit(a.Finish(clean))

    def _on_cleaned_up(self, event: e.ResourcesStopped, now: Instant) -> None:
        self._remains.cleaned_up(now, "" if event.clean else event.detail or "a stop failed")
        state = State.FENCED if self._remains.dirty else State.STANDBY
        self._become(state, "startup", self._remains.dirty)
        if self._closing and not event.clean:
            self._finish(clean=False)

    def _on_fenced(self, event: e.Fenced, now: Instant) -> None:
        self._remains.fenced(event, now)
        self.detail = self._remains.dirty
        if event.clean:
            self._become(State.STANDBY, self.reason)
            if self._term is not None:
                self._stopped(self._term)
        elif self._closing:
            self._finish(clean=False)

    def _on_release_failed(self, event: e.ReleaseFailed, now: Instant) -> None:
        self._remains.release_failed(now)
        self.detail = event.detail
        if self._closing:
            # The guard tries once more, and the journal keeps it for the next run.
            self._finish(clean=True)
