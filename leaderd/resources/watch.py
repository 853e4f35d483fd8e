"""Watches a group that has started: monitors in turn, processes at every moment, restarts in place."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from leaderd.clock import Clock
from leaderd.core.backoff import Backoff
from leaderd.core.lease import Lease, Timing
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.resources.base import Resource, Term
from leaderd.resources.contain import Log, Pods
from leaderd.resources.waiting import any_done_by, pause_until

# A resource that has run for so long since its last restart has its restarts back, in seconds.
GOOD_RUN = 60.0
# The first restart follows at once, the next ones after these pauses, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class Shop:
    """What a group shares with its watch.

    Attributes:
        election: Its name, for the log.
        resources: Of the group.
        timing: For the time of a stop and a start.
        clock: For deadlines.
        pods: The processes that run hooks, or None.
        log: Takes restarts.
        states: Of each resource, by name; kept up to date.
        lease: Returns the newest.
    """

    election: str
    resources: Sequence[Resource]
    timing: Timing
    clock: Clock
    pods: Pods | None
    log: Log
    states: dict[str, str]
    lease: Callable[[], Lease]


class Watch:
    """Watches one term.

    Args:
        shop: What it shares with the group.
        term: For hooks.
    """

    def __init__(self, shop: Shop, term: Term) -> None:
        self._shop = shop
        self._clock = shop.clock
        self._term = term
        self._left = {resource.name: resource.restarts for resource in shop.resources}
        self._backoffs = {resource.name: Backoff(FIRST_PAUSE, LONGEST_PAUSE) for resource in shop.resources}
        self._restarted_at: dict[str, Instant] = {}

    async def run(self) -> None:
        """Watch until something has failed that may not be restarted.

        Raises:
            ResourceError: What has failed. Whatever else is raised is a bug in a kind.
        """
        now = self._clock.now()
        due = {r.name: now.plus(r.monitor_interval) for r in self._shop.resources if r.monitor_interval > 0}
        while True:
            resource = await self._next(due)
            try:
                await resource.monitor(self._term)
            except ResourceError as error:
                await self._failed(resource, error)
            except Exception:
                self._shop.states[resource.name] = "failed"
                raise
            if resource.name in due:
                due[resource.name] = self._clock.now().plus(resource.monitor_interval)

    async def _next(self, due: dict[str, Instant]) -> Resource:
        """Wait; return whose monitor is due, or who has ended."""
        lost = self._shop.pods and self._shop.pods.lost()
        while True:
            ending = {r.name: future for r in self._shop.resources if (future := r.ended()) is not None}
            awaited: list[asyncio.Future[Any]] = [*ending.values(), *([lost] if lost else [])]
            if due:
                await any_done_by(self._clock, min(due.values(), key=self._clock.now().left_until), awaited)
            else:
                # No deadline, so nothing to look at the clock for.
                waiting = awaited or [asyncio.get_running_loop().create_future()]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._shop.pods and self._shop.pods.broken():
                if lost:
                    # Only then has the last of them ended.
                    await asyncio.wait({lost})
                raise ResourceError("the contained processes have all died")
            now = self._clock.now()
            for resource in self._shop.resources:
                done = resource.name in ending and ending[resource.name].done()
                if done or (resource.name in due and now.left_until(due[resource.name]) <= 0):
                    return resource

    async def _failed(self, resource: Resource, error: ResourceError) -> None:
        """Restart it for as long as it may be.

        Raises:
            ResourceError: It may not be any more, or does not stop.
        """
        while self._may_restart(resource):
            self._shop.states[resource.name] = "starting"
            self._shop.log(
                "warning", "restarted in place", election=self._shop.election, resource=resource.name,
                left=self._left[resource.name], detail=str(error),
            )
            try:
                # What does not stop is not started again, however often it might be.
                await resource.stop(self._term, self._clock.now().plus(self._shop.timing.stop_timeout))
            except ResourceError:
                self._shop.states[resource.name] = "failed"
                raise
            try:
                await self._start(resource)
            except ResourceError as again:
                error = again
            else:
                self._shop.states[resource.name] = "started"
                return
        self._shop.states[resource.name] = "failed"
        raise error

    def _may_restart(self, resource: Resource) -> bool:
        name, now = resource.name, self._clock.now()
        last = self._restarted_at.get(name)
        if last is not None and now.held_since(last) >= GOOD_RUN:
            self._left[name] = resource.restarts
            self._backoffs[name].reset()
            del self._restarted_at[name]
        if not self._left[name] or (self._shop.pods and self._shop.pods.broken()):
            return False
        self._left[name] -= 1
        return True

    async def _start(self, resource: Resource) -> None:
        name = resource.name
        if name in self._restarted_at:
            await pause_until(self._clock, self._clock.now().plus(self._backoffs[name].failed()))
        self._restarted_at[name] = self._clock.now()
        await resource.start(self._term, self._shop.lease(), self._shop.timing.start_timeout)
        self._restarted_at[name] = self._clock.now()
