"""The command line as a process, and a daemon that only answers."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from structlog.testing import capture_logs

from leaderd.api.grpc import ApiServer
from tests.api.conftest import until_served
from tests.api.fakes import FakeControl, FakeSource, plan

ROOT = Path(__file__).parents[2]
CODES = {0, 1, 2, 4, 75}


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a user who has set nothing of ours; the checkout can be imported."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LEADERD_", "PROTOCOL_"))}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**clean, "PYTHONPATH": path, **more}


def leaderd(
    *arguments: str, env: dict[str, str] | None = None, stdin: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run `leaderd` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "leaderd", *arguments],
        env=environment(**(env or {})),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@contextmanager
def answering(source: FakeSource, socket: Path, control: FakeControl | None = None) -> Iterator[None]:
    """Serve `source` and `control` from a thread of this process."""
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        task = asyncio.create_task(ApiServer(plan(socket), source, control or FakeControl()).run())
        loop.cancel = task.cancel  # type: ignore[attr-defined]
        await until_served(socket)
        ready.set()
        with suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        # The log of the daemon is not the output of the command under test, though it is the same process.
        with capture_logs():
            yield
    finally:
        loop.call_soon_threadsafe(loop.cancel)  # type: ignore[attr-defined]
        thread.join(30)
        loop.close()
