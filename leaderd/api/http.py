"""The read-only HTTP interface: for load balancers, orchestrators, Prometheus and browsers.

Source: docs/interfaces.md §6; docs/http.md.
"""

import asyncio
import json
import logging
import resource
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from aiohttp import web

from leaderd.api import http_answers as answers
from leaderd.api.dashboard import dashboard
from leaderd.api.http_answers import Answer
from leaderd.api.http_bridge import Bridge
from leaderd.api.http_events import EVENT_STREAM, stream_events
from leaderd.api.http_history import HistoryDesk
from leaderd.api.hub import Hub
from leaderd.api.metrics import Metrics
from leaderd.clock import Clock

# Connections at once; never more than half of the descriptors that this process may have.
MAX_CONNECTIONS = 2000
# A request must be whole by then, and the next one on the connection have come, in seconds.
PATIENCE = 15.0
# A peer that acknowledges nothing for so long is gone, in milliseconds.
_DEAD_PEER_MS = 20_000
_MAX_LINE = 4096
_MAX_HEADERS = 64
# A port that somebody else has is tried again this often, in seconds.
_TRY_AGAIN = 5.0
_ENDING = 0.5

_METHODS = ("GET", "HEAD", "OPTIONS")
_ALLOW = ", ".join(_METHODS)
_EVERY = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "leaderd"}
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

Route = Callable[[str | None], Awaitable[Answer]]
Log = Callable[..., None]


class HttpServer:
    """Answers at one address; lives in the HTTP thread.

    Args:
        address: HOST:PORT.
        bridge: To the agent.
        desk: For `/history`.
        metrics: For `/metrics`.
        clock: For the age of what waits in streams.
        guard_lives: Whether the guard is there.
        log: Takes level, event and fields.
    """

    def __init__(
        self,
        address: str,
        bridge: Bridge,
        desk: HistoryDesk,
        metrics: Metrics,
        clock: Clock,
        guard_lives: Callable[[], bool],
        log: Log,
    ) -> None:
        host, _, port = address.rpartition(":")
        self._address, self._host, self._port = address, host.strip("[]"), int(port)
        self._bridge = bridge
        self._desk = desk
        self._metrics = metrics
        self._guard_lives = guard_lives
        self._log = log
        self._hub = Hub(bridge, clock)
        self._page = dashboard()
        self._routes = self._table()

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until told to stop; then end every stream and every connection."""
        # Its own messages are about peers' mistakes, and those are the peers' to read.
        silent = logging.getLogger("leaderd.http")
        silent.disabled = True
        server = web.Server(
            self._handle, access_log=None, logger=silent, keepalive_timeout=PATIENCE, lingering_time=0,
            max_line_size=_MAX_LINE, max_field_size=_MAX_LINE, max_headers=_MAX_HEADERS,
        )
        self._metrics.http.watch_connections(lambda: len(server.connections))
        hub = asyncio.ensure_future(self._hub.run())
        ended: asyncio.Future[Any] = asyncio.ensure_future(stopping.wait())
        listener = await self._listen(_Gate(server, self._metrics), ended)
        await ended
        hub.cancel()
        with suppress(asyncio.CancelledError):
            await hub
        if listener is not None:
            listener.close()
        server.pre_shutdown()
        await server.shutdown(_ENDING)

    async def _listen(self, gate: "_Gate", ended: asyncio.Future[Any]) -> asyncio.Server | None:
        """Open the port, however long it takes until it is free; None when it is time to end."""
        told = False
        loop = asyncio.get_running_loop()
        while not ended.done():
            try:
                listener = await loop.create_server(gate, self._host, self._port, backlog=512)
            except OSError as error:
                if not told:
                    remedy = "give another api.http or --http; it is tried again"
                    self._log("error", "HTTP is not served", address=self._address,
                              detail=f"{error.strerror or error}: {remedy}")
                told = True
                await asyncio.wait({ended}, timeout=_TRY_AGAIN)
            else:
                for each in listener.sockets:
                    # Inherited by every connection: those who read nothing must not stay for ever.
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_PEER_MS)
                self._log("info", "HTTP is served", address=self._address)
                return listener
        return None

    # --- one request ---

    def _table(self) -> dict[str, Route]:
        leads, fit = partial(self._one, answers.leads), partial(self._one, answers.fit)
        return {
            "/": self._who,
            "/leader": leads,
            "/primary": leads,
            "/candidate": fit,
            "/replica": fit,
            "/healthz": self._health,
            "/readyz": self._ready,
            "/status": self._status,
            "/history": self._history,
        }

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        known = path in self._routes or path in ("/events", "/metrics")
        response = await self._respond(request, path, known=known)
        self._metrics.http.answered(path if known else "other", response.status)
        return response

    async def _respond(self, request: web.BaseRequest, path: str, *, known: bool) -> web.StreamResponse:
        if request.version.major != 1:
            return _refused(505, "HTTP/1.1 is spoken here")
        if request.method not in _METHODS:
            return _refused(405, f"{path} is read-only: {_ALLOW}", Allow=_ALLOW)
        if request.body_exists:
            return _refused(413, "a question has no body here")
        if not known:
            return _refused(404, f"nothing at {path}; there are {', '.join(self._routes)}, /events, /metrics")
        name = request.query.get("election")
        if path == "/metrics" and request.method != "OPTIONS":
            return self._exposition(request.headers.get("Accept", ""))
        if path == "/events":
            return await self._events(request, name)
        if path == "/metrics":
            return _response(Answer(200, {}), bare=True)
        if path == "/" and request.method != "OPTIONS" and "text/html" in request.headers.get("Accept", ""):
            return web.Response(body=self._page.body, headers={**_EVERY, **self._page.headers})
        # Nothing is awaited between the reckoning and the sending of what was reckoned.
        answer = await self._routes[path](name)
        return _response(answer, bare=request.method == "OPTIONS")

    def _exposition(self, accept: str) -> web.Response:
        body, kind = self._metrics.expose(accept)
        return web.Response(body=body, headers={**_EVERY, "Content-Type": kind})

    async def _events(self, request: web.BaseRequest, name: str | None) -> web.StreamResponse:
        report = self._bridge.report()
        if name is not None and isinstance(refusal := answers.chosen(report, name), Answer):
            return _response(refusal)
        if request.method != "GET":
            kind = EVENT_STREAM if request.method == "HEAD" else {}
            return _response(Answer(200, {}, kind), bare=True)
        with self._metrics.http.streaming():
            return await stream_events(request, self._hub, report["node"], name, _EVERY)

    async def _one(self, holds: Callable[[answers.Json], bool], name: str | None) -> Answer:
        return answers.about_one(self._bridge.report(), name, holds)

    async def _who(self, name: str | None) -> Answer:
        return answers.who(self._bridge.report(), name)

    async def _ready(self, name: str | None) -> Answer:
        return answers.about_all(self._bridge.report(), name, answers.ready)

    async def _status(self, name: str | None) -> Answer:
        return answers.whole(self._bridge.report(), name)

    async def _history(self, name: str | None) -> Answer:
        election = answers.chosen(self._bridge.report(), name)
        return election if isinstance(election, Answer) else await self._desk.answer(election["name"])

    async def _health(self, _name: str | None) -> Answer:
        if not self._guard_lives():
            return answers.refusal(503, "the guard is gone: this node steps down")
        if not await self._bridge.agent_answers():
            return answers.refusal(503, "the agent's loop is stuck")
        return Answer(200, {"healthy": True})


class _Gate:
    """Makes the protocol of each new connection, as long as there is room."""

    def __init__(self, server: web.Server, metrics: Metrics) -> None:
        self._server = server
        self._metrics = metrics
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # The elections need descriptors too, for etcd and for hooks.
        self._most = min(MAX_CONNECTIONS, descriptors // 2)

    def __call__(self) -> asyncio.Protocol:
        if len(self._server.connections) < self._most:
            return self._server()
        self._metrics.http.refused()
        return _Full()


class _Full(asyncio.Protocol):
    """Says that there is no room, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(_FULL)
        transport.close()


def _refused(code: int, text: str, **headers: str) -> web.Response:
    response = _response(answers.refusal(code, text, **headers))
    # What follows on the connection may be the body that was not wanted.
    response.force_close()
    return response


def _response(answer: Answer, *, bare: bool = False) -> web.Response:
    headers = {**_EVERY, **answer.headers}
    if bare:
        return web.Response(status=answer.code, headers={**headers, "Allow": _ALLOW})
    text = json.dumps(answer.body) + "\n"
    return web.Response(status=answer.code, text=text, content_type="application/json", headers=headers)
