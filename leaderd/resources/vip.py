"""The `vip` kind: an address that the kernel itself takes away when the lease is not renewed.

Source: docs/design.md §3, "Kernel, for a VIP".
"""

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace

from leaderd.core.lease import Lease
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources import withdraw
from leaderd.resources.addresses import Found, Kernel, Port
from leaderd.resources.announce import Wire
from leaderd.resources.base import Probe, StopCommand, Term
from leaderd.resources.hold import Hold, Setup
from leaderd.resources.probe import conflict
from leaderd.resources.scout import Scout

# What the kernel may take to describe the interface before a probe counts as not sent, seconds.
PROBE_LIMIT = 1.0
_FOREIGN = "is configured without a lifetime, so by another tool"


class Vip:
    """One or more addresses on one interface; see `leaderd.resources.base.Resource`.

    Args:
        name: Of the resource.
        setup: What is configured.
        stop_timeout: Seconds that the guard gives its stop.
    """

    kind = "vip"
    # Nothing to ask for: the kernel tells, and `ended` passes it on.
    monitor_interval = 0.0
    # What is removed is put back as it happens; what is lost for good is not to be had again here.
    restarts = 0

    def __init__(self, name: str, setup: Setup, stop_timeout: float) -> None:
        self.name = name
        self._setup = setup
        self._stop_timeout = stop_timeout
        self._hold: Hold | None = None
        self._lease: Lease | None = None
        self._scout = Scout(setup)

    async def start(self, term: Term, lease: Lease, timeout: float) -> None:
        """Install and announce; ask before whether somebody else has it, unless nobody can.

        After a clean release, and when it was asked during the wait for the takeover, the asking goes
        on beside the leadership: an answer is then a failure of the resource.
        """
        setup = self._setup
        until = setup.clock.now().plus(timeout)
        _close_aside(await self._end_hold())
        self._lease = lease
        try:
            port = await setup.thread.ask(until, self._examine)
            hold = self._hold = Hold(setup, port, self._lease)
            elected = term.token > 0
            free = term.released or await self._scout.silent()
            if not free and not (setup.at_least_one and elected):
                await hold.check_conflict()
            await hold.install(until)
            if setup.at_least_one:
                # Without a proof the election itself asks, over and over.
                hold.watch(*([hold.insist()] if elected else []))
            else:
                hold.watch(*([hold.check_conflict()] if free else []))
        except OSError as error:
            remedy = "; CAP_NET_RAW is needed" if isinstance(error, PermissionError) else ""
            raise ResourceError(f"{self.name}: {setup.interface}: {error.strerror}{remedy}") from error
        except ResourceError as error:
            raise ResourceError(f"{self.name}: {error}") from error

    async def stop(self, term: Term, until: Instant) -> None:
        """Remove the addresses and look whether they are gone."""
        del term
        self._scout.end()
        hold = await self._end_hold()
        try:
            await self._setup.thread.ask(until, self._withdraw)
        except ResourceError as error:
            raise ResourceError(f"{self.name}: {error}") from error
        finally:
            # Only now: closing takes the kernel longer than everything else here.
            _close_aside(hold)

    async def monitor(self, term: Term) -> None:
        """Tell whether the addresses were lost for good."""
        del term
        if self._hold is not None and self._hold.failed.done():
            raise ResourceError(f"{self.name}: {self._hold.failed.result()}")

    def ended(self) -> asyncio.Future[str] | None:
        """Return what is done as soon as the addresses are lost for good."""
        return None if self._hold is None else self._hold.failed

    def announce_every(self, interval: float) -> None:
        """Announce in another rhythm, in seconds; also the addresses that are held."""
        self._setup = replace(self._setup, announce_interval=interval)
        if self._hold is not None:
            self._hold.announce_every(interval)

    def extend(self, lease: Lease) -> None:
        """Let the kernel keep the addresses as long as this lease allows."""
        self._lease = lease
        if self._hold is not None:
            self._hold.extend(lease)

    def expect(self, opens_at: Instant | None) -> None:
        """Look for others before this instant, when the last holder's window will have closed."""
        self._scout.expect(opens_at)

    async def probe(self) -> Probe:
        """Ask the network whether another host has one of the addresses."""
        setup = self._setup
        until = setup.clock.now().plus(PROBE_LIMIT)
        try:
            port = await setup.thread.ask(until, lambda kernel: kernel.port(setup.interface))
            own = await setup.thread.ask(until, lambda kernel: kernel.macs())
            if not port.mac:
                # Nobody can be asked here: what is held is kept, and nothing is taken.
                return Probe(sent=self._hold is not None)
            wire = Wire(setup.interface, port.mac)
        except (ResourceError, OSError):
            return Probe(sent=False)
        try:
            other = await conflict(wire, [address.ip for address in setup.addresses], own, setup.clock)
        finally:
            asyncio.get_running_loop().run_in_executor(None, wire.close)
        return Probe(True, other.text, other.mac < port.mac) if other else Probe(sent=True)

    def stop_commands(self) -> tuple[StopCommand, ...]:
        """Return a program that removes the addresses; it needs neither pyroute2 nor iproute2."""
        addresses = [str(address.ip) for address in self._setup.addresses]
        argv = (
            sys.executable, "-I", "-S", os.path.abspath(withdraw.__file__), self._setup.interface, *addresses,
        )
        return (StopCommand(self.name, argv, self._stop_timeout, (0,)),)

    async def _end_hold(self) -> Hold | None:
        hold, self._hold = self._hold, None
        if hold is not None:
            await hold.end()
        return hold

    # --- in the thread ---

    def _examine(self, kernel: Kernel) -> Port:
        """Return the interface; remove what an earlier configuration left on it."""
        setup = self._setup
        port = kernel.port(setup.interface)
        wanted = {(each.ip, each.network.prefixlen) for each in setup.addresses}
        for entry in kernel.found(setup.addresses):
            if entry.index != port.index:
                # Link-local addresses mean something else on every interface.
                if not entry.address.is_link_local:
                    raise ResourceError(f"{_text(entry)} stands on another interface; remove it there")
            elif entry.permanent:
                raise ResourceError(_foreign(entry))
            elif (entry.address, entry.length) not in wanted:
                kernel.remove(entry)
        return port

    def _withdraw(self, kernel: Kernel) -> None:
        try:
            here = self._here(kernel)
            for entry in here:
                if not entry.permanent:
                    kernel.remove(entry)
            if foreign := [entry for entry in here if entry.permanent]:
                raise ResourceError(_foreign(foreign[0]))
            if left := self._here(kernel):
                raise ResourceError(f"{', '.join(map(_text, left))} could not be removed")
        finally:
            kernel.close()

    def _here(self, kernel: Kernel) -> Sequence[Found]:
        try:
            index = socket.if_nametoindex(self._setup.interface)
        except OSError:
            return ()  # An interface that is gone has no addresses.
        return [entry for entry in kernel.found(self._setup.addresses) if entry.index == index]


def _close_aside(hold: Hold | None) -> None:
    if hold is not None:
        asyncio.get_running_loop().run_in_executor(None, hold.close)


def _text(entry: Found) -> str:
    try:
        name = socket.if_indextoname(entry.index)
    except OSError:
        name = str(entry.index)
    return f"{entry.address}/{entry.length} dev {name}"


def _foreign(entry: Found) -> str:
    return f"{_text(entry)} {_FOREIGN}; remove it there (ip addr del {_text(entry)}) or use another address"
