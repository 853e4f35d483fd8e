"""The thread that serves HTTP, as the agent sees it: started, fed with news, ended.

What is heavy to import is imported in the thread, so that the elections need not wait for it.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from leaderd.api.http_bridge import Bridge
from leaderd.api.http_history import History, HistoryDesk
from leaderd.api.metrics import Metrics
from leaderd.api.source import StatusSource
from leaderd.clock import Clock

Log = Callable[..., None]
# How long the streams and the thread get to end when the daemon stops, in seconds.
_GRACE = 1.0


class HttpThread:
    """Answers HTTP as long as `run` runs; whatever happens to it, the elections go on.

    Args:
        address: HOST:PORT.
        source: Lives in the agent's loop; its `report` may be called from any thread.
        history: Looks up past leaderships; called in the agent's loop.
        metrics: What the daemon has measured, for `/metrics`.
        clock: For what must not be reckoned on asyncio's clock.
        guard_lives: Whether the guard is there; called from the thread.
        log: Takes level, event and fields.
    """

    def __init__(
        self,
        address: str,
        source: StatusSource,
        history: History,
        metrics: Metrics,
        clock: Clock,
        guard_lives: Callable[[], bool],
        log: Log,
    ) -> None:
        self._address = address
        self._source = source
        self._history = history
        self._metrics = metrics
        self._clock = clock
        self._guard_lives = guard_lives
        self._log = log

    async def run(self) -> None:
        """Serve until cancelled; then let every stream end."""
        agent = asyncio.get_running_loop()
        bridge = Bridge(self._source, self._clock, agent)
        desk = HistoryDesk(self._history, self._clock, agent)
        http, stopping, ended = asyncio.new_event_loop(), asyncio.Event(), agent.create_future()

        def work() -> None:
            with asyncio.Runner(loop_factory=lambda: http) as runner:
                try:
                    runner.run(self._serve(bridge, desk, stopping))
                except Exception as error:  # noqa: BLE001 - status must not cost leadership
                    self._log("error", "HTTP is not served", address=self._address, detail=repr(error))
            agent.call_soon_threadsafe(_resolve, ended)

        # A daemon thread: one that hangs must not keep the agent from ending.
        threading.Thread(target=work, name="http", daemon=True).start()
        try:
            await bridge.follow()
        finally:
            http.call_soon_threadsafe(stopping.set)
            await asyncio.wait({ended}, timeout=_GRACE)

    async def _serve(self, bridge: Bridge, desk: HistoryDesk, stopping: asyncio.Event) -> None:
        from leaderd.api.http import HttpServer

        server = HttpServer(
            self._address, bridge, desk, self._metrics, self._clock, self._guard_lives, self._log
        )
        await server.run(stopping)


def _resolve(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)
