"""The agent's side of the guard: messages over the link, and the kernel timers beside them."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from leaderd.changes import Change
from leaderd.clock import Clock
from leaderd.core import actions as a
from leaderd.core.events import Event, Fenced, GuardArmed, GuardLost
from leaderd.core.lease import Lease
from leaderd.errors import GuardError, InvariantError
from leaderd.guard import wire
from leaderd.guard.deadman import Deadman

GuardAction = a.ArmGuard | a.ExtendLease | a.ReportStopping | a.Disarm | a.Forget | a.Fence


class StopLike(Protocol):
    """A stop command, as resources describe it."""

    @property
    def resource(self) -> str:
        """Name of the resource."""

    @property
    def argv(self) -> tuple[str, ...]:
        """Program and arguments."""

    @property
    def timeout(self) -> float:
        """Seconds."""

    @property
    def fine(self) -> tuple[int, ...]:
        """Exit codes that mean stopped."""

    @property
    def env(self) -> Mapping[str, str]:
        """Variables beside those of the hook contract."""


@dataclass(frozen=True, slots=True)
class ArmOrder:
    """What the guard must know of a term besides its deadlines.

    Attributes:
        stops: Stop commands in the order in which they are to be run.
        holder_key: Key of the holder record.
        key: The term's candidate key.
        env: `LEADERD_*` variables for the hooks; only `LEADERD_PREVIOUS` is not known to the guard.
    """

    stops: Sequence[StopLike]
    holder_key: str
    key: str
    env: Mapping[str, str] = field(default_factory=dict)


class GuardLink:
    """The guard as the agent sees it.

    Args:
        sock: Our end of the link.
        clock: For the kernel timers.
        post: Gets events with the name of their election; "" means all of them.
        on_shutdown: The guard wants everything stopped.
        on_reload: Gets what has changed in the configuration.
    """

    def __init__(
        self,
        sock: socket.socket,
        clock: Clock,
        post: Callable[[str, Event], None],
        on_shutdown: Callable[[], None],
        on_reload: Callable[[Sequence[Change]], None],
    ) -> None:
        sock.setblocking(False)
        # Hooks must not keep the link open: its end is how each side learns of the other's death.
        sock.set_inheritable(False)
        self._socket = sock
        self._post = post
        self._on_shutdown = on_shutdown
        self._on_reload = on_reload
        self._deadman = Deadman(clock)
        self._unsent: deque[bytes] = deque()
        self._tokens: dict[str, int] = {}

    def perform(self, election: str, action: GuardAction, order: ArmOrder | None = None) -> None:
        """Tell guard and kernel; never blocks and never drops.

        Args:
            election: Whose action it is.
            action: What to tell.
            order: With `ArmGuard` only.

        Raises:
            GuardError: The kernel gives no timer, or the message is too long.
            InvariantError: `ArmGuard` without an order.
        """
        match action:
            case a.ArmGuard():
                if order is None:
                    raise InvariantError("the guard cannot be armed without an order")
                # The timer first: if we were stopped in between, it must already run.
                self._tokens[election] = action.token
                self._deadman.set(election, _deadlines(action.lease).kill_at)
                self._send(_arm(election, action, order))
            case a.ExtendLease():
                if self._tokens.get(election) == action.token and self._deadman.armed(election):
                    self._deadman.set(election, _deadlines(action.lease).kill_at)
                self._send(wire.Extend(election, action.token, _deadlines(action.lease)))
            case a.ReportStopping():
                self._send(wire.Stopping(election, action.token))
            case a.Disarm():
                self._clear(election, action.token)
                self._send(wire.Disarm(election, action.token))
            case a.Forget():
                self._clear(election, action.token)
                self._send(wire.Forget(election, action.token))
            case a.Fence():
                self._send(wire.Fence(election, action.token))

    async def run(self) -> None:
        """Read the guard's messages until it is gone, then post `GuardLost` for all elections.

        Raises:
            GuardError: The guard broke the protocol.
        """
        loop = asyncio.get_running_loop()
        try:
            while packet := await self._receive(loop):
                self._take_in(wire.decode(packet))
        finally:
            loop.remove_writer(self._socket)
        self._post("", GuardLost())

    async def show_life(self, every: float) -> None:
        """Tell the guard every so many seconds that this loop runs; for ever."""
        loop = asyncio.get_running_loop()
        while True:
            # To a guard that is stopped, not once more for each time that it did not hear.
            if not self._unsent:
                self._send(wire.Alive())
            due = loop.create_future()
            timer = loop.call_later(every, due.set_result, None)
            try:
                await due
            finally:
                timer.cancel()

    async def _receive(self, loop: asyncio.AbstractEventLoop) -> bytes:
        try:
            return await loop.sock_recv(self._socket, wire.MAX_PACKET)
        except OSError:
            return b""

    def _take_in(self, message: wire.Message | wire.Alive | wire.Answer) -> None:
        match message:
            case wire.Armed():
                self._post(message.election, GuardArmed(message.token))
            case wire.Fencing():
                # All that was ours of the term has been killed, and the rest is the guard's: dying for it
                # would only take the other elections down.
                self._clear(message.election, message.token)
            case wire.Fenced():
                self._post(message.election, Fenced(message.token, message.clean, message.detail))
            case wire.Shutdown():
                self._on_shutdown()
            case wire.Reload():
                self._on_reload(message.changes)
            case _:
                raise GuardError(f"the guard sent {type(message).__name__}")

    def _clear(self, election: str, token: int) -> None:
        if self._tokens.get(election) == token:
            self._deadman.clear(election)

    def _send(self, message: wire.Message | wire.Alive) -> None:
        self._unsent.append(wire.encode(message))
        self._flush()

    def _flush(self) -> None:
        while self._unsent:
            try:
                self._socket.send(self._unsent[0])
            except BlockingIOError:
                # A guard that is stopped reads on when it continues.
                asyncio.get_running_loop().add_writer(self._socket, self._writable)
                return
            except OSError:
                # It is dead; `run` sees the end of the link and says so.
                self._unsent.clear()
                return
            self._unsent.popleft()

    def _writable(self) -> None:
        asyncio.get_running_loop().remove_writer(self._socket)
        self._flush()


def _deadlines(lease: Lease) -> wire.Deadlines:
    return wire.Deadlines(lease.stop_at, lease.fence_at, lease.expires_at)


def _arm(election: str, action: a.ArmGuard, order: ArmOrder) -> wire.Arm:
    released = replace(action.record, state="released").encode()
    return wire.Arm(
        election, action.token, _deadlines(action.lease), action.holder_revision,
        wire.ReleaseKeys(order.holder_key, released, order.key, f"{action.lease.id:x}"),
        action.record.encode(),
        tuple(
            wire.Stop(stop.resource, stop.argv, stop.timeout, stop.fine, stop.env) for stop in order.stops
        ),
        order.env,
    )
