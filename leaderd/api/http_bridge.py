"""Between the agent's thread and the one that serves HTTP: the status one way, a knock the other.

HTTP has a thread of its own, so that a flood of requests is no more to the elections than one more
thread on the processor, and so that somebody is left to say that the agent's loop is stuck.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from leaderd.api.hub import BACKLOG, aged
from leaderd.api.source import StatusSource
from leaderd.clock import Clock
from leaderd.instant import Instant

# How long the agent's loop may take to answer before it counts as stuck, in seconds.
_PATIENCE = 1.0


class Bridge:
    """The agent's status as the HTTP thread sees it.

    Args:
        source: Lives in the agent's loop; its `report` may be called from any thread.
        clock: To age what has waited.
        agent: The agent's loop.
    """

    def __init__(self, source: StatusSource, clock: Clock, agent: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._clock = clock
        self._agent = agent
        self._http: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._backlog: deque[tuple[Instant, dict[str, Any]]] = deque(maxlen=BACKLOG)
        self._knock: asyncio.Task[None] | None = None

    # --- in the agent's loop ---

    async def follow(self) -> None:
        """Hand every report over until cancelled."""
        async for report in self._source.subscribe():
            self._backlog.append((self._clock.now(), report))
            if self._http is not None:
                _call(self._http, self._news.set)

    # --- in the HTTP thread's loop ---

    def report(self) -> dict[str, Any]:
        """Return the report as of this moment."""
        return self._source.report()

    async def subscribe(self) -> AsyncIterator[dict[str, Any]]:
        """Yield every report that was handed over, the oldest left out where too many wait."""
        self._http = asyncio.get_running_loop()
        while True:
            self._news.clear()
            while self._backlog:
                taken_at, report = self._backlog.popleft()
                age = self._clock.now().held_since(taken_at)
                yield {**report, "elections": [aged(each, age) for each in report["elections"]]}
            await self._news.wait()

    async def agent_answers(self) -> bool:
        """Return whether the agent's loop takes its turn within a second."""
        # One knock for all who ask: a stuck loop must not be buried in them.
        if self._knock is None or self._knock.done():
            self._knock = asyncio.ensure_future(self._knocked())
        done, _ = await asyncio.wait({self._knock}, timeout=_PATIENCE)
        return bool(done)

    async def _knocked(self) -> None:
        http, answered = asyncio.get_running_loop(), asyncio.Event()
        _call(self._agent, lambda: _call(http, answered.set))
        await answered.wait()


def _call(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> None:
    """Have something called in a loop of another thread, if that still runs."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(what)
