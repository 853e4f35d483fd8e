"""Past leaderships over HTTP, for the page.

They stand in etcd, and everybody may ask over HTTP: so etcd is asked once for all who ask within a
second, in the agent's loop, and never twice at a time for one election.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from leaderd.api.http_answers import Answer, refusal
from leaderd.clock import Clock
from leaderd.errors import LeaderdError
from leaderd.instant import Instant

History = Callable[[str, int], Coroutine[Any, Any, list[dict[str, Any]]]]

# As many as are kept.
_TERMS = 200
# An answer of etcd is good for whoever asks so much later, in seconds.
_FRESH = 1.0
# Whoever asks waits no longer, in seconds.
_PATIENCE = 2.0


class HistoryDesk:
    """Answers `/history`; lives in the HTTP thread's loop.

    Args:
        ask: Looks up an election's leaderships, newest first; runs in the agent's loop.
        clock: For the age of what was answered before.
        agent: The agent's loop.
    """

    def __init__(self, ask: History, clock: Clock, agent: asyncio.AbstractEventLoop) -> None:
        self._ask = ask
        self._clock = clock
        self._agent = agent
        self._asked: dict[str, tuple[Instant, asyncio.Future[list[dict[str, Any]]]]] = {}

    async def answer(self, election: str) -> Answer:
        """Return the past leaderships of an election that this node is in."""
        asked_at, asked = self._asked.get(election, (None, None))
        if asked_at is None or asked is None or (
            asked.done() and self._clock.now().held_since(asked_at) > _FRESH
        ):
            asked = asyncio.wrap_future(
                asyncio.run_coroutine_threadsafe(self._ask(election, _TERMS), self._agent)
            )
            # Looked at even where everybody who waited has gone.
            asked.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._asked[election] = self._clock.now(), asked
        done, _ = await asyncio.wait({asked}, timeout=_PATIENCE)
        if not done:
            return refusal(503, "etcd has not told the history in time: ask again")
        try:
            return Answer(200, {"election": election, "terms": asked.result()})
        except LeaderdError as error:
            return refusal(503, str(error))
