"""Asks for an address while this node waits to take over, so that the takeover need not wait for it."""

import asyncio

from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources.announce import Wire
from leaderd.resources.hold import Setup
from leaderd.resources.probe import PROBE_TIME, conflict
from leaderd.resources.waiting import pause_until

# The asking begins so long before the window closes, seconds; a holder's kernel has let go by then.
LEAD = PROBE_TIME + 0.05
# How long a silence counts, in seconds: etcd may take this long after the holder's window to expire its key.
# The asking goes on beside the leadership anyway.
FRESH = 5.0


class Scout:
    """Knows whether the addresses of one vip were free when the last holder's window closed.

    Args:
        setup: Of the vip.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._opens_at: Instant | None = None
        self._task: asyncio.Task[None] | None = None
        self._silent_at: Instant | None = None

    def expect(self, opens_at: Instant | None) -> None:
        """Note when the last holder's window will have closed; by then its kernel has no address any more."""
        if opens_at == self._opens_at:
            return
        asking = self._task is not None and self._setup.clock.now().left_until(self._begins_at()) <= 0
        self._opens_at = opens_at
        if opens_at is None and asking:
            return  # The takeover has come: the start waits for the answer.
        self.end()
        if opens_at is not None and self._setup.clock.now().wait_until(opens_at) > 0:
            self._task = asyncio.get_running_loop().create_task(self._ask_before(opens_at))

    def end(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def silent(self) -> bool:
        """Return whether nobody has answered lately; wait for the end of a question under way."""
        if self._task is not None and self._setup.clock.now().left_until(self._begins_at()) <= 0:
            await asyncio.wait({self._task})
        self.end()
        silent_at = self._silent_at
        return silent_at is not None and self._setup.clock.now().held_since(silent_at) <= FRESH

    def _begins_at(self) -> Instant:
        return self._setup.clock.now() if self._opens_at is None else self._opens_at.plus(-LEAD)

    async def _ask_before(self, opens_at: Instant) -> None:
        setup = self._setup
        await pause_until(setup.clock, opens_at.plus(-LEAD))
        # Whatever goes wrong here, and whoever answers: the start looks again, and says what is wrong.
        try:
            port = await setup.thread.ask(opens_at, lambda kernel: kernel.port(setup.interface))
            own = await setup.thread.ask(opens_at, lambda kernel: kernel.macs())
            if not port.mac:
                return
            wire = Wire(setup.interface, port.mac)
        except (ResourceError, OSError):
            return
        try:
            if not await conflict(wire, [address.ip for address in setup.addresses], own, setup.clock):
                self._silent_at = setup.clock.now()
        finally:
            asyncio.get_running_loop().run_in_executor(None, wire.close)
