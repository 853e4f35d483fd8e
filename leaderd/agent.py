"""The loop of one election: events in, `core.Election` decides, actions out to whoever can do them.

Nothing is decided here. Any exception that escapes ends the agent; the guard then stops what it started.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from leaderd.clock import Clock
from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.election import Election
from leaderd.core.lease import Lease
from leaderd.core.records import Known
from leaderd.core.status import Status
from leaderd.errors import InvariantError
from leaderd.instant import Instant

# Asyncio sleeps on a clock that is slewed and stands still in suspend: sleep in short slices and read
# the real clocks after each (seconds). Without a session nothing is urgent.
SLICE = 0.2
IDLE_SLICE = 2.0

StoreAction = (
    a.Join | a.Renew | a.GatherEvidence | a.TakeOver | a.Release | a.EndSession
    | a.WriteIntent | a.DropIntent | a.AnswerIntent | a.RecordStart | a.RecordEnd
)
GuardAction = a.ExtendLease | a.ReportStopping | a.Disarm | a.Forget | a.Fence


class Store(Protocol):
    """What an election needs of etcd."""

    def perform(self, action: StoreAction) -> None:
        """Start it; the outcome comes back as an event."""


class Guard(Protocol):
    """What an election needs of the guard and the kernel's timer."""

    def arm(self, action: a.ArmGuard) -> None:
        """Tell the guard all that it needs to stop and release the term alone."""

    def perform(self, action: GuardAction) -> None:
        """Tell the guard."""


class Resources(Protocol):
    """What an election needs of its resource group."""

    def perform(self, action: a.StartResources | a.StopResources | a.ProbeAddress) -> None:
        """Start it; the outcome comes back as an event."""

    def expect(self, opens_at: Instant | None) -> None:
        """Note when a takeover may come, None while unknown."""

    def extend(self, lease: Lease) -> None:
        """Pass the new deadlines on to the kernel, where a kind allows it."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Whom the loop of one election talks to."""

    store: Store
    guard: Guard
    resources: Resources
    remember: Callable[[Known], None]
    publish: Callable[[Status], None]


class ElectionLoop:
    """Feeds one `Election` and performs what it wants.

    Args:
        election: The state machine.
        clock: Read after every wait (R10).
        first: The first event, with what earlier runs have left.

    Attributes:
        election: The state machine.
        status: As of the last event; replaced as a whole, so that any thread may read it.
    """

    def __init__(self, election: Election, clock: Clock, first: e.Started) -> None:
        self.election = election
        self.status = election.status()
        self._clock = clock
        self._events: asyncio.Queue[e.Event] = asyncio.Queue()
        self._events.put_nowait(first)
        self._finished: bool | None = None

    def post(self, event: e.Event) -> None:
        """Hand in an event; never blocks. Call from the loop's own thread."""
        self._events.put_nowait(event)

    async def run(self, ports: Ports) -> bool:
        """Run until the election is finished.

        Returns:
            Whether everything was stopped cleanly.
        """
        while self._finished is None:
            event = await self._next_event()
            actions = self.election.handle(event, self._clock.now())
            # Before anything is done: nobody may be told that this node leads while a successor is let in.
            self.status = self.election.status()
            for action in actions:
                self._perform(action, ports)
            ports.resources.expect(self.election.opens_at())
        return self._finished

    async def _next_event(self) -> e.Event:
        """Return the next event, or a `Tick` as soon as the election wants one."""
        while True:
            left = self.election.next_timer(self._clock.now())
            if left is not None and left <= 0:
                # Time first, but never at the cost of what has already arrived.
                return e.Tick() if self._events.empty() else self._events.get_nowait()
            try:
                async with asyncio.timeout(IDLE_SLICE if left is None else min(left, SLICE)):
                    return await self._events.get()
            except TimeoutError:
                continue

    def _perform(self, action: a.Action, ports: Ports) -> None:
        match action:
            case (a.Join() | a.Renew() | a.GatherEvidence() | a.TakeOver() | a.Release() | a.EndSession()
                  | a.WriteIntent() | a.DropIntent() | a.AnswerIntent() | a.RecordStart() | a.RecordEnd()):
                ports.store.perform(action)
            case a.ArmGuard():
                ports.guard.arm(action)
            case a.ExtendLease():
                ports.guard.perform(action)
                ports.resources.extend(action.lease)
            case a.ReportStopping() | a.Disarm() | a.Forget() | a.Fence():
                ports.guard.perform(action)
            case a.StartResources() | a.StopResources() | a.ProbeAddress():
                ports.resources.perform(action)
            case a.KeepOn():
                ports.resources.extend(action.lease)
            case a.Remember():
                ports.remember(action.known)
            case a.Publish():
                ports.publish(action.status)
            case a.Finish():
                self._finished = action.clean
            case _:
                raise InvariantError(f"nobody performs {type(action).__name__}")
