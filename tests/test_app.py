"""The joints of the agent that need no daemon to be looked at."""

import asyncio
from typing import cast

import pytest

from leaderd.app import GuardPort, _finish_first
from leaderd.core import actions as a
from leaderd.core.lease import Lease, Timing
from leaderd.core.records import HolderRecord
from leaderd.errors import GuardError
from leaderd.guard.link import GuardLink
from leaderd.instant import Instant
from leaderd.keys import ElectionKeys
from leaderd.resources.group import ResourceGroup

TIMING = Timing.scaled(10)
LEASE = Lease(0xABC, TIMING, Instant(1.0, 1.0))


class NoTimers:
    """A link in a process that may not have any more kernel timers."""

    def perform(self, *_: object) -> None:
        raise GuardError("kernel timer: Resource temporarily unavailable")


class Nothing:
    """A group without resources."""

    def stop_commands(self) -> tuple[()]:
        return ()


def test_a_term_that_cannot_be_armed_costs_no_other_election() -> None:
    lines: list[tuple[str, str, object]] = []

    def log(level: str, event: str, **fields: object) -> None:
        lines.append((level, event, fields["token"]))

    port = GuardPort(
        cast("GuardLink", NoTimers()), ElectionKeys("/leaderd", "db"), "db",
        cast("ResourceGroup", Nothing()), log,
    )
    port.arm(a.ArmGuard(7, LEASE, HolderRecord.held(7, "a", LEASE.id, TIMING), 9))
    assert lines == [("error", "not armed", 7)]


async def test_services_end_with_the_last_election() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def election(end: asyncio.Event, clean: bool) -> bool:
        await end.wait()
        return clean

    async def service() -> None:
        second.set() if first.is_set() else first.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(20):
        runs = [election(first, True), election(second, False)]
        assert not await _finish_first(runs, [service(), service()])


async def test_whatever_fails_ends_everything() -> None:
    async def election() -> bool:
        await asyncio.Event().wait()
        return True

    async def service() -> None:
        raise ValueError("a bug")

    async with asyncio.timeout(20):
        with pytest.raises(ExceptionGroup):
            await _finish_first([election()], [service()])
