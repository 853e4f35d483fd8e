"""The stream of changes: bounded, newest kept, old answers aged."""

import asyncio

import pytest

from leaderd.api.hub import BACKLOG, Closed, Hub, Watcher
from leaderd.instant import Instant
from tests.api.fakes import FakeSource, election


class StandingClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> Instant:
        return Instant(self.seconds, self.seconds)


def report(*elections: dict[str, object]) -> dict[str, object]:
    return {"elections": list(elections)}


async def test_the_oldest_is_dropped_and_the_newest_kept() -> None:
    """A watcher that never reads costs a fixed number of references."""
    watcher = Watcher(StandingClock(), report(election(token=1)))
    for token in range(2, 10 * BACKLOG):
        watcher.offer(report(election(token=token)))
    tokens = [(await watcher.changes())[0]["token"] for _ in range(BACKLOG)]
    assert tokens == list(range(9 * BACKLOG, 10 * BACKLOG))


async def test_what_has_waited_is_believed_for_so_much_less() -> None:
    """`valid_for` is true when it is handed out, not when it was queued."""
    clock = StandingClock()
    watcher = Watcher(
        clock, report(election(valid_for=3.0), election("web", state="candidate", valid_for=0.0))
    )
    clock.seconds = 3.5
    db, web = await watcher.changes()
    assert (db["valid_for"], web["valid_for"]) == (-0.5, 0.0)


async def test_the_end_of_the_source_is_the_end_of_every_watcher() -> None:
    """Also of one that comes later."""
    hub = Hub(FakeSource(), StandingClock())
    task = asyncio.create_task(hub.run())
    await asyncio.sleep(0)
    with hub.watcher() as before:
        await before.changes()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(Closed):
            await before.changes()
    with hub.watcher() as after:
        assert await after.changes()
        with pytest.raises(Closed):
            await after.changes()
