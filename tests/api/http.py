"""A served HTTP interface on a free port, and a client that sends exactly what it is told."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from leaderd.api.http_thread import HttpThread
from leaderd.api.metrics import Metrics
from leaderd.api.metrics_status import StatusCollector
from leaderd.clock import BootClock
from tests.api.fakes import FakeControl, FakeSource


def free_port() -> int:
    """Return a port that nobody listened at a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Reply:
    """An answer, taken apart."""

    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """What a test holds of the interface."""

    port: int
    source: FakeSource
    control: FakeControl
    metrics: Metrics
    log: list[tuple[str, str, dict[str, Any]]]
    guard_lives: bool = True

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """Ask on a connection of its own."""
        lines = [f"{method} {path} HTTP/1.1", "Host: here", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return reply(await self.send("\r\n".join([*lines, "", ""]).encode()))

    async def send(self, data: bytes, timeout: float = 20.0) -> bytes:
        """Send bytes and return all that comes until the server hangs up."""
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            with contextlib.suppress(ConnectionError):
                writer.write(data)
                await writer.drain()
            received = b""
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(65536):
                    received += piece
            writer.close()
            return received


def reply(data: bytes) -> Reply:
    """Take an answer apart."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Reply(int(first.split()[1]), headers, body)


@contextlib.asynccontextmanager
async def serving(source: FakeSource, port: int = 0) -> AsyncIterator[Served]:
    """Serve `source`; by default from when the port is open."""
    metrics = Metrics(BootClock())
    metrics.registry.register(StatusCollector(source.report, {"db": (10, 5.2)}, 1))
    served = Served(port or free_port(), source, FakeControl(), metrics, [])

    def log(level: str, event: str, **fields: Any) -> None:
        served.log.append((level, event, fields))

    thread = HttpThread(
        f"127.0.0.1:{served.port}", source, served.control.history, metrics, BootClock(),
        lambda: served.guard_lives, log,
    )
    task = asyncio.create_task(thread.run())
    try:
        async with asyncio.timeout(20):
            while not served.log:
                await asyncio.sleep(0.01)
        yield served
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
