"""A daemon's HTTP side as the page needs it, saying what a test sets.

The real one is tried in test_real.py; here stalls, hostile names and a hundred elections are wanted,
at the instant at which a test wants them.
"""

import asyncio
import gc
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from leaderd.api.dashboard import dashboard
from leaderd.clock import BootClock


class StandIn:
    """Serves the page at `url`, and a report that can be set, stalled and restarted.

    Attributes:
        report: The JSON of docs/interfaces.md §5; `leases` fills in every `valid_for`.
        history: By election, the terms; None answers 404.
        renew_every: Seconds between the renewals that refill a lease to its `valid_for` in the report;
            0 renews no more.
        stalled: Accepts and answers nothing, as a stopped process does.
        slowness: Seconds between the reckoning of a status and its sending.
        streams: Open `/events`.
        asked: The paths asked for, in order.
    """

    def __init__(self, report: dict[str, Any], history: dict[str, Any] | None = None) -> None:
        self.report = report
        self.history = history
        self.renew_every = 1.2
        self.stalled = False
        self.slowness = 0.0
        self.streams = 0
        self.asked: list[str] = []
        self.url = ""
        self._clock = BootClock()
        self._renewed_at = self._clock.now()
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._page = dashboard()
        self._runner: web.AppRunner | None = None
        self._port = 0

    def change(self, changed: Callable[[dict[str, Any]], None]) -> None:
        """Change the report, and say so on the stream."""
        changed(self.report)
        self._loop.call_soon_threadsafe(self._wake)

    def stop_listening(self) -> None:
        """Be gone, as while a daemon is started again."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)

    def listen_again(self) -> None:
        """Come back at the same address."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _open(self) -> None:
        app = web.Application()
        app.add_routes([web.get("/", self._root), web.get("/status", self._status),
                        web.get("/events", self._events), web.get("/history", self._history)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}/"

    async def _close(self) -> None:
        self._wake()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _answers(self, request: web.Request) -> None:
        self.asked.append(request.path)
        if self.stalled:
            await asyncio.Event().wait()

    async def _root(self, request: web.Request) -> web.Response:
        await self._answers(request)
        return web.Response(body=self._page.body, headers=self._page.headers)

    async def _status(self, request: web.Request) -> web.Response:
        await self._answers(request)
        said = self._aged()
        await asyncio.sleep(self.slowness)
        return web.json_response(said)

    async def _history(self, request: web.Request) -> web.Response:
        await self._answers(request)
        if self.history is None:
            raise web.HTTPNotFound
        return web.json_response({"terms": self.history.get(request.query["election"], [])})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        await self._answers(request)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        self.streams += 1
        runner = self._runner
        try:
            while self._runner is runner:
                changed = self._changed
                for each in self._aged()["elections"]:
                    await answer.write(f"data: {json.dumps({'node': 'a', **each})}\n\n".encode())
                await changed.wait()
        except ConnectionError:
            pass
        finally:
            self.streams -= 1
        return answer

    def _aged(self) -> dict[str, Any]:
        age = self._clock.now().held_since(self._renewed_at)
        if self.renew_every and age >= self.renew_every:
            self._renewed_at, age = self._clock.now(), 0.0
        elections = [
            {**each, "valid_for": round(each["valid_for"] - age, 3) if each["valid_for"] else 0.0}
            for each in self.report["elections"]
        ]
        return {**self.report, "elections": elections}

    @contextmanager
    def running(self) -> Iterator["StandIn"]:
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self.listen_again()
        try:
            yield self
        finally:
            self.stalled = False
            self.stop_listening()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)
            self._loop.close()
            # A browser that comes back just then leaves a connection that nobody has taken: not an error
            # of whatever test runs when it is collected.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
