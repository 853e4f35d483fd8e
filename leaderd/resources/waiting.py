"""Waiting for an instant of our clock, or for something to happen before it.

Asyncio's own clock stands still in suspend and is slewed, so it only cuts the wait into slices, after
each of which our clock is read again (rule R10 of docs/design.md).
"""

import asyncio
from collections.abc import Collection
from typing import Any

from leaderd.clock import Clock
from leaderd.instant import Instant

SLICE = 0.2


async def done_by(clock: Clock, deadline: Instant, awaited: "asyncio.Future[Any]") -> bool:
    """Wait until `awaited` is done or `deadline` has come; return whether it is done.

    It is neither cancelled nor are its exceptions raised.
    """
    return await any_done_by(clock, deadline, (awaited,))


async def any_done_by(
    clock: Clock, deadline: Instant, awaited: "Collection[asyncio.Future[Any]]"
) -> bool:
    """Wait until one of them is done or `deadline` has come; return whether one is done.

    None is cancelled, and no exception is raised.
    """
    waiting = awaited or (asyncio.get_running_loop().create_future(),)
    while not any(future.done() for future in waiting) and (left := clock.now().left_until(deadline)) > 0:
        await asyncio.wait(waiting, timeout=min(left, SLICE), return_when=asyncio.FIRST_COMPLETED)
    return any(future.done() for future in waiting)


async def pause_until(clock: Clock, instant: Instant) -> None:
    """Wait until `instant` has come."""
    await done_by(clock, instant, asyncio.get_running_loop().create_future())
