"""A served API on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from leaderd.api.grpc import ApiServer
from tests.api.fakes import FakeControl, FakeSource, plan
from tests.faults.conftest import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]


async def until_served(socket: Path) -> None:
    """Wait until somebody accepts at the socket."""
    async with asyncio.timeout(20):
        while True:
            with suppress(OSError):
                _reader, writer = await asyncio.open_unix_connection(str(socket))
                writer.close()
                return
            await asyncio.sleep(0.01)


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
async def served(source: FakeSource, control: FakeControl, tmp_path: Path) -> AsyncIterator[Path]:
    """Serve `source` and `control`; gives the socket."""
    socket = tmp_path / "leaderd.sock"
    task = asyncio.create_task(ApiServer(plan(socket), source, control).run())
    await until_served(socket)
    yield socket
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def channel(served: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"unix:{served}") as channel:
        yield channel
