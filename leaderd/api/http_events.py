"""Server-sent events: every change of the status, until the reader, the daemon or its patience ends.

Source: the event stream format of the HTML standard, "Server-sent events".
"""

import asyncio
import json
from typing import Any

from aiohttp import web

from leaderd.api.hub import Closed, Hub

# A comment this often shows the reader that the silence is no broken connection, in seconds.
BEAT = 2.0
# A reader that takes nothing for so long is let go, in seconds.
_SLOWEST = 10.0
EVENT_STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}
_COMMENT = b": still here\n\n"
_RETRY = b"retry: 1000\n\n"


async def stream_events(
    request: web.BaseRequest, hub: Hub, node: str, election: str | None, headers: dict[str, str]
) -> web.StreamResponse:
    """Send each election as it stands, then each change, as `{"node": …, **election}`.

    Args:
        request: What is answered.
        hub: Of the HTTP thread.
        node: Name of this node.
        election: Only this one; None for all.
        headers: To go first.
    """
    response = web.StreamResponse(headers={**headers, **EVENT_STREAM})
    response.force_close()
    await response.prepare(request)
    with hub.watcher() as watcher:
        try:
            await _send(response, _RETRY)
            while True:
                await _send(response, await _next(watcher.changes(), node, election))
        except Closed:
            await _send(response, b": the daemon stops\n\n")
        except TimeoutError:
            if request.transport is not None:
                # Not closed: that would wait for the reader to take what it does not take.
                request.transport.abort()
    return response


async def _next(changes: Any, node: str, election: str | None) -> bytes:
    waiting = asyncio.ensure_future(changes)
    try:
        done, _ = await asyncio.wait({waiting}, timeout=BEAT)
        if not done:
            return _COMMENT
        found = [each for each in waiting.result() if election in (None, each["name"])]
        return b"".join(b"data: " + json.dumps({"node": node, **each}).encode() + b"\n\n" for each in found)
    finally:
        waiting.cancel()


async def _send(response: web.StreamResponse, data: bytes) -> None:
    if data:
        async with asyncio.timeout(_SLOWEST):
            await response.write(data)
