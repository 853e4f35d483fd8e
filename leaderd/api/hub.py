"""Hands every change of the status to every watcher, and waits for none of them."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from leaderd.api.source import StatusSource
from leaderd.clock import Clock
from leaderd.instant import Instant

# Reports that a watcher may be behind before it misses some in the middle.
BACKLOG = 64


class Closed(Exception):  # noqa: N818 - news, not an error
    """The daemon stops; there will be no more changes."""


class Watcher:
    """One reader's place in the stream of changes."""

    def __init__(self, clock: Clock, first: dict[str, Any]) -> None:
        self._clock = clock
        self._seen: dict[str, dict[str, Any]] = {}
        self._backlog: deque[tuple[Instant, dict[str, Any]]] = deque(maxlen=BACKLOG)
        self._news = asyncio.Event()
        self._closed = False
        self.offer(first)

    def offer(self, report: dict[str, Any]) -> None:
        """Take a report; the oldest is dropped where there is no room, never the newest."""
        self._backlog.append((self._clock.now(), report))
        self._news.set()

    def close(self) -> None:
        """Let `changes` end."""
        self._closed = True
        self._news.set()

    async def changes(self) -> list[dict[str, Any]]:
        """Wait for a report, and return those of its elections that differ from the last one's.

        Raises:
            Closed: The daemon stops.
        """
        while not self._backlog:
            if self._closed:
                raise Closed
            self._news.clear()
            await self._news.wait()
        taken_at, report = self._backlog.popleft()
        age = self._clock.now().held_since(taken_at)
        return [aged(election, age) for election in report["elections"] if self._is_new(election)]

    def _is_new(self, election: dict[str, Any]) -> bool:
        # valid_for runs down by itself; that is no change.
        facts = {**election, "valid_for": 0.0}
        before = self._seen.get(election["name"])
        self._seen[election["name"]] = facts
        return facts != before


def aged(election: dict[str, Any], age: float) -> dict[str, Any]:
    """Return an election as a reader may believe it now: the report has waited for `age` seconds."""
    left = election["valid_for"]
    return {**election, "valid_for": round(left - age, 3)} if left else election


class Hub:
    """Follows the source once, for however many watchers."""

    def __init__(self, source: StatusSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._watchers: set[Watcher] = set()
        self._closed = False

    async def run(self) -> None:
        """Follow the source until it ends or this is cancelled; then every watcher ends too."""
        try:
            async for report in self._source.subscribe():
                for watcher in self._watchers:
                    watcher.offer(report)
        finally:
            self._closed = True
            for watcher in self._watchers:
                watcher.close()

    @contextmanager
    def watcher(self) -> Iterator[Watcher]:
        """Give a place in the stream, beginning with how things stand now."""
        watcher = Watcher(self._clock, self._source.report())
        if self._closed:
            watcher.close()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
