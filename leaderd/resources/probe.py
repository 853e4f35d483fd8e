"""Duplicate address detection: does anybody else answer for an address?"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

from leaderd.clock import Clock
from leaderd.resources.announce import Address, Wire, mac_text
from leaderd.resources.waiting import done_by

# When to ask, and until when to listen after the last question; seconds from the first. RFC 5227 takes
# up to 9 s, which would be the outage; a neighbour that lives answers within milliseconds.
ASK_AT = (0.0, 0.06, 0.12)
PROBE_TIME = 0.2


class Other(NamedTuple):
    """Somebody else who has an address; `text` is for people."""

    text: str
    mac: bytes


async def conflict(
    wire: Wire, addresses: Collection[Address], own: Collection[bytes], clock: Clock
) -> Other | None:
    """Ask for 0.2 s who has these addresses.

    Args:
        wire: The network behind the interface.
        addresses: To be asked for.
        own: Hardware addresses of this host, which do not count.
        clock: For the pauses.

    Returns:
        Who has the first that was claimed; None when nobody has claimed any.
    """
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[Other] = loop.create_future()

    def look() -> None:
        for address, mac in wire.claims():
            if address in addresses and mac not in own and not heard.done():
                heard.set_result(Other(f"{address} is in use by {mac_text(mac)}", mac))

    wire.claims()  # What was said before is no answer.
    for each in wire.sockets:
        loop.add_reader(each, look)
    try:
        began = clock.now()
        for until in (*ASK_AT[1:], PROBE_TIME):
            for address in addresses:
                # What cannot be sent is lost as on the wire; a link that is gone is noticed elsewhere.
                with suppress(OSError):
                    wire.ask(address)
            if await done_by(clock, began.plus(until), heard):
                return heard.result()
        return None
    finally:
        for each in wire.sockets:
            loop.remove_reader(each)
