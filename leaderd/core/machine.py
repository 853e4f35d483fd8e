"""The frame of the state machine: events and the time in, actions out.

`Machine.handle` looks at the deadlines first (R10), then drops what belongs to an older session or term
(R9), then lets the event change the state, then does what has become due. It keeps no clock, starts no
task and writes no log; `core.states` has the table that it enforces.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

from leaderd.core.actions import Action, Publish
from leaderd.core.events import Event, Tick
from leaderd.core.states import IGNORED, TRANSITIONS, State
from leaderd.core.status import Status
from leaderd.errors import InvariantError
from leaderd.instant import Instant


class Machine(ABC):
    """What is the same whatever is decided.

    Args:
        name: Of the election.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = State.STANDBY
        self.reason = "startup"
        self.detail = ""
        self._published: Status | None = None
        self._out: list[Action] = []

    def handle(self, event: Event, now: Instant) -> list[Action]:
        """Take in one event and return what is to be done, in order.

        Args:
            event: What happened.
            now: Both clocks, read after the event arrived.

        Raises:
            InvariantError: `core.states` does not know the pair or the step: a bug.
        """
        before, kind = self.state, type(event)
        if (before, kind) not in TRANSITIONS and (before, kind) not in IGNORED:
            raise InvariantError(f"{self.name}: nobody decided {kind.__name__} in {before.value}")
        self._out = []
        stale = self._is_stale(event)
        self._deadlines(now)
        # A deadline may have changed the state under the event, or asked for what it seems to answer.
        if (self.state, kind) in TRANSITIONS and not stale and not self._is_stale(event):
            self._take_in(event, now)
        self._due(now)
        allowed = TRANSITIONS.get((before, kind), TRANSITIONS[before, Tick])
        if self.state not in allowed:
            raise InvariantError(f"{self.name}: {before.value} to {self.state.value} "
                                 f"by {kind.__name__} is not in the table")
        self._publish()
        return self._out

    @abstractmethod
    def status(self) -> Status:
        """Return the status as of the last event."""

    @abstractmethod
    def _deadlines(self, now: Instant) -> None:
        """Do what passed deadlines ask for, before anything else is believed (R10, R12)."""

    @abstractmethod
    def _is_stale(self, event: Event) -> bool:
        """Return whether the event belongs to a session or term that is over (R9)."""

    @abstractmethod
    def _take_in(self, event: Event, now: Instant) -> None:
        """Let the event change the state."""

    @abstractmethod
    def _due(self, now: Instant) -> None:
        """Do what has become possible."""

    def _publish(self) -> None:
        status = self.status()
        if self._published is None or replace(self._published, stop_at=status.stop_at) != status:
            self._out.append(Publish(status))
        self._published = status

    def _become(self, state: State, reason: str, detail: str = "") -> None:
        self.state, self.reason, self.detail = state, reason, detail

    def _emit(self, action: Action | None) -> None:
        if action is not None:
            self._out.append(action)
