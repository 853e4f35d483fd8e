"""A moment for a handover: what nobody waits for must not stand before it at etcd, nor on the processors."""

import asyncio
from contextlib import suppress
from typing import Final

# A handover takes a few requests one after the other, each a synced write at a majority of the members,
# seconds.
_SECONDS: Final = 0.05


async def lull() -> None:
    """Wait until a handover that has just begun is over, as a rule."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS):
            await asyncio.get_running_loop().create_future()
