"""The addresses of one vip while a term holds them: lifetime, put back, announcements.

The kernel ends them by itself when nobody extends them, so whatever happens to this process, no address
outlives the lease. What must not happen is that a pause of this process lengthens it: lifetimes are
relative, so after each one that was told the clock is read again, and too slow a telling is taken back.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from leaderd.clock import Clock
from leaderd.core.lease import Lease
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources.addresses import Changes, Found, Interface, Kernel, Port
from leaderd.resources.announce import Wire
from leaderd.resources.contain import Log
from leaderd.resources.lifetime import TELLING, Lifetimes
from leaderd.resources.probe import Other, conflict
from leaderd.resources.waiting import done_by, pause_until

T = TypeVar("T")

# Whoever is elected and finds its address at others announces it again so often, seconds, for so long
# beyond a window: by then they have heard of it, or their kernels have ended it (`core.floor`).
INSIST_PAUSE = 0.1
INSIST_BEYOND = 3.0
# Announcements after taking an address, seconds from then on; switches and hosts lose some, or are not
# ready yet. After these, one every `announce_interval`.
BURSTS = (0.0, 0.05, 0.1, 0.2, 0.4, 4.0, 4.1, 4.2, 4.3, 4.4)
_TRIES = 5


class KernelThread:
    """Asks the kernel in a thread of its own, one thing after the other.

    Where another program holds the kernel's network lock for long, renewals must go on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kernel = Kernel()
        self._thread = ThreadPoolExecutor(1, "vip")

    async def ask(self, until: Instant, work: Callable[[Kernel], T]) -> T:
        """Return what `work` returns.

        Raises:
            ResourceError: It has, or it has not ended by `until`. What is asked next comes after it.
        """
        asked = asyncio.get_running_loop().run_in_executor(self._thread, work, self._kernel)
        asked.add_done_callback(lambda future: future.cancelled() or future.exception())
        if not await done_by(self._clock, until, asked):
            raise ResourceError("the kernel did not answer in time")
        return asked.result()


@dataclass(frozen=True, slots=True)
class Setup:
    """What is configured for one vip, and what it works with.

    Attributes:
        addresses: With their prefixes.
        interface: Name.
        take: Whether to take an address for which somebody else answers.
        announce_interval: Seconds.
        clock: For deadlines.
        lifetimes: Shared by all vips of the election.
        thread: Of this vip.
        log: With the names of election and resource.
        announced: Called for every announcement of an address.
        at_least_one: Other nodes may have the addresses without etcd, and let go when they hear of us.
    """

    addresses: Sequence[Interface]
    interface: str
    take: bool
    announce_interval: float
    clock: Clock
    lifetimes: Lifetimes
    thread: KernelThread
    log: Log
    announced: Callable[[], None] = lambda: None
    at_least_one: bool = False


class Hold:
    """One term's hold on the addresses.

    Args:
        setup: Of the vip.
        port: Its interface.
        lease: Ends it.

    Attributes:
        failed: Done as soon as it has failed, with the reason.

    Raises:
        OSError: No sockets to be had.
    """

    def __init__(self, setup: Setup, port: Port, lease: Lease) -> None:
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._setup = setup
        self._port = port
        self._lease = lease
        self._wake = asyncio.Event()
        self._extended = False
        self._over = False
        self._tasks: list[asyncio.Task[None]] = []
        # Until when the kernel keeps the addresses: nothing is announced after that.
        self._until = setup.clock.now()
        self._changes = Changes(port.index, self._wake.set)
        try:
            self._wire = Wire(setup.interface, port.mac) if port.mac else None
        except OSError:
            self._changes.close()
            raise

    def announce_every(self, interval: float) -> None:
        """Announce in another rhythm, in seconds."""
        self._setup = replace(self._setup, announce_interval=interval)
        self._wake.set()

    def extend(self, lease: Lease) -> None:
        """Let the addresses live as long as this lease."""
        self._lease = lease
        self._extended = True
        self._wake.set()

    async def check_conflict(self) -> None:
        """Ask whether somebody else has one of the addresses.

        Raises:
            ResourceError: Somebody has, and it is not to be taken.
        """
        if (found := await self._other()) is None:
            return
        self._refuse(found)
        self._setup.log("warning", "address taken from somebody else", detail=found.text)

    async def insist(self) -> None:
        """Announce the addresses until no other node has one any more.

        Raises:
            ResourceError: Somebody does not let go, and it is not to be taken.
        """
        setup = self._setup
        until = setup.clock.now().plus(self._lease.timing.window + INSIST_BEYOND)
        told = False
        while (found := await self._other()) is not None:
            if not told:
                setup.log("warning", "address was held without etcd elsewhere: taken", detail=found.text)
                told = True
            if setup.clock.now().left_until(until) <= 0:
                self._refuse(found)
                return
            self._announce()
            await pause_until(setup.clock, setup.clock.now().plus(INSIST_PAUSE))
        if told:
            self._announce()

    async def _other(self) -> Other | None:
        if self._wire is None:
            return None
        addresses = [address.ip for address in self._setup.addresses]
        own = await self._setup.thread.ask(self._lease.stop_at, lambda kernel: kernel.macs())
        return await conflict(self._wire, addresses, own, self._setup.clock)

    def _refuse(self, found: Other) -> None:
        if not self._setup.take:
            raise ResourceError(
                f'{found.text} on {self._setup.interface}; stop it there, or set on_conflict = "take"'
            )

    async def install(self, until: Instant) -> None:
        """Put the addresses on the interface and tell the neighbours.

        Raises:
            ResourceError: The kernel refuses, or too little of the lease is left.
        """
        setup = self._setup
        await setup.thread.ask(until, lambda kernel: self._put(kernel, setup.addresses))
        self._announce()
        left = setup.clock.now().left_until(self._until)
        setup.log(
            "info", "address installed", address=", ".join(map(str, setup.addresses)),
            interface=setup.interface, kernel_keeps_it=round(left, 1),
        )

    def watch(self, *besides: Coroutine[None, None, None]) -> None:
        """Begin to keep the addresses, and to do something besides, such as asking for others."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._changes.socket, self._changes.drain)
        self._tasks = [loop.create_task(self._noting_failure(each)) for each in (self._keep(), *besides)]

    async def end(self) -> None:
        """Stop keeping them. They are still there, but nothing that is under way adds them again.

        Then `close` it: that may wait, as the kernel takes tens of milliseconds for a packet socket.
        """
        self._over = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        asyncio.get_running_loop().remove_reader(self._changes.socket)

    def close(self) -> None:
        """Close the sockets; from any thread."""
        self._changes.close()
        if self._wire is not None:
            self._wire.close()

    # --- in tasks ---

    async def _noting_failure(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except ResourceError as error:
            if not self.failed.done():
                self.failed.set_result(str(error))

    async def _keep(self) -> None:
        clock = self._setup.clock
        last, step = clock.now(), 1
        while True:
            due = last.plus(_pause_before(step, self._setup.announce_interval))
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, clock.now().left_until(due))):
                    await self._wake.wait()
            if self._wake.is_set() and await self._look_after():
                last, step = clock.now(), 0
            elif clock.now().left_until(due) <= 0:
                self._announce()
                # Counted from here: a shorter interval must not make up for what a longer one left out.
                last, step = clock.now(), step + 1

    async def _look_after(self) -> bool:
        """Compare with the kernel and set right; return whether the neighbours must be told."""
        self._wake.clear()
        setup, lease = self._setup, self._lease
        extended, self._extended = self._extended, False
        before = self._port
        lost = await setup.thread.ask(lease.stop_at, lambda kernel: self._refresh(kernel, extend=extended))
        for address in lost:
            setup.log("warning", "address was removed or changed by somebody else: put back",
                      address=str(address), interface=setup.interface)
        return bool(lost) or before != self._port

    def _announce(self) -> None:
        if self._wire is None:
            return
        try:
            for address in self._setup.addresses:
                # Read again for each: who was stopped for a while must not draw traffic from a successor.
                if self._setup.clock.now().left_until(self._until) > 0:
                    self._wire.announce(address.ip)
                    self._setup.announced()
        except OSError as error:
            self._setup.log("warning", "address not announced", detail=error.strerror)

    # --- in the thread ---

    def _refresh(self, kernel: Kernel, *, extend: bool) -> list[Interface]:
        """Put back what is lost, and everything if `extend`; return what was lost."""
        setup = self._setup
        port = kernel.port(setup.interface)
        if port.index != self._port.index:
            raise ResourceError(f"interface {setup.interface} is another one now")
        here = {
            (entry.address, entry.length)
            for entry in kernel.found(setup.addresses) if entry.index == port.index and not entry.permanent
        }
        lost = [each for each in setup.addresses if (each.ip, each.network.prefixlen) not in here]
        if setup.lifetimes.seconds(self._lease, setup.clock.now()) < 1:
            # The kernel has ended them, or will; the node is about to step down.
            return []
        self._put(kernel, setup.addresses if extend else lost)
        if port != self._port and self._wire is not None:
            self._wire.mac = port.mac
        self._port = port
        return lost

    def _put(self, kernel: Kernel, addresses: Sequence[Interface]) -> None:
        ends = [self._put_one(kernel, address) for address in addresses if not self._over]
        if ends:
            self._until = min(ends)

    def _put_one(self, kernel: Kernel, address: Interface) -> Instant:
        """Install or extend an address; return until when the kernel keeps it at least."""
        setup, told = self._setup, False
        for _ in range(_TRIES):
            now = setup.clock.now()
            if (seconds := setup.lifetimes.seconds(self._lease, now)) < 1:
                break
            kernel.put(address, self._port.index, seconds)
            told = True
            if setup.clock.now().held_since(now) <= TELLING:
                return now.plus(seconds)
        if told:
            kernel.remove(Found(address.ip, address.network.prefixlen, self._port.index, permanent=False))
        raise ResourceError(f"{address}: too little of the lease is left for the kernel to end it in time")


def _pause_before(step: int, interval: float) -> float:
    """Return the seconds from one announcement to the next, which has this number since the taking."""
    if step >= len(BURSTS):
        return interval
    return BURSTS[step] - BURSTS[step - 1] if step else 0.0
