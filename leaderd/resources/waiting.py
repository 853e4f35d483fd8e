"""Waiting for an instant of our clock, or for something to happen before it.

Asyncio's own clock stands still in suspend and is slewed, so it only cuts the wait into slices, after
each of which our clock is read again (rule R10 of DESIGN.md).
"""

import asyncio
from typing import Any

from leaderd.clock import Clock
from leaderd.instant import Instant

SLICE = 0.2


async def done_by(clock: Clock, deadline: Instant, awaited: "asyncio.Future[Any]") -> bool:
    """Wait until `awaited` is done or `deadline` has come; return whether it is done.

    It is neither cancelled nor are its exceptions raised.
    """
    while not awaited.done() and (left := clock.now().left_until(deadline)) > 0:
        await asyncio.wait({awaited}, timeout=min(left, SLICE))
    return awaited.done()


async def pause_until(clock: Clock, instant: Instant) -> None:
    """Wait until `instant` has come."""
    await done_by(clock, instant, asyncio.get_running_loop().create_future())
