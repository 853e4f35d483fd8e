"""When a process counts as started: a port that answers, an HTTP address, a command that succeeds."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from leaderd.clock import Clock
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources.waiting import pause_until

# From the end of one try to the next, and the longest that one may take, in seconds.
PAUSE = 0.1
TRY_TIME = 2.0
DEFAULT_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Ready:
    """What to wait for; with nothing but the time-out set, a process is ready as soon as it runs.

    Attributes:
        tcp: HOST:PORT that accepts connections.
        http: URL that answers with a status below 400.
        command: Program and arguments, that succeeds.
        exits: The process itself ends with 0 and leaves behind what is wanted.
        timeout: Seconds until the start counts as failed.
    """

    tcp: str = ""
    http: str = ""
    command: tuple[str, ...] = ()
    exits: bool = False
    timeout: float = DEFAULT_TIMEOUT

    @property
    def asked(self) -> str:
        """What is waited for, in words; "" for nothing."""
        if self.exits:
            return "exit code 0"
        return self.tcp or self.http or " ".join(self.command)


async def until_ready(
    ready: Ready, run: Callable[[tuple[str, ...], Instant], Awaitable[int]], clock: Clock, deadline: Instant
) -> None:
    """Try again and again until it answers; the caller bounds it.

    Args:
        ready: What to ask.
        run: Runs a command to its end and returns its exit code.
        clock: For the pauses.
        deadline: When a command must have ended.
    """
    while not await _answers(ready, run, clock, deadline):
        await pause_until(clock, clock.now().plus(PAUSE))


async def _answers(
    ready: Ready, run: Callable[[tuple[str, ...], Instant], Awaitable[int]], clock: Clock, deadline: Instant
) -> bool:
    if ready.command:
        with suppress(ResourceError):
            return await run(ready.command, deadline) == 0
        return False
    with suppress(OSError, ValueError, TimeoutError, EOFError, asyncio.LimitOverrunError):
        async with asyncio.timeout(min(TRY_TIME, max(0.0, clock.now().left_until(deadline)))):
            return await (_tcp(ready.tcp) if ready.tcp else _http(ready.http))
    return False


async def _tcp(address: str) -> bool:
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.close()
    return True


async def _http(url: str) -> bool:
    """Send one GET and look at the status line alone: what follows is not our business."""
    parts = urlsplit(url)
    # Whether it answers is asked, not who it is: a certificate for another name is one.
    context = ssl._create_unverified_context() if parts.scheme == "https" else None  # noqa: S323, SLF001
    port = parts.port or (443 if context else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        line = await reader.readuntil(b"\n")
    finally:
        writer.close()
    protocol, _, rest = line.partition(b" ")
    return protocol.startswith(b"HTTP/") and 200 <= int(rest[:3]) < 400
