"""The notify hook: told of every transition, in order, never two at a time.

It never holds up a start or a stop: it has its own turn beside the resources' hooks.
"""

import asyncio
from collections import deque

from leaderd.clock import Clock
from leaderd.core.status import Status
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.plan import NotifyPlan
from leaderd.resources.base import Term
from leaderd.resources.contain import Log
from leaderd.resources.runner import Hook, HookRunner
from leaderd.resources.script import ended
from leaderd.resources.waiting import done_by

# When a hook cannot keep up, the oldest news go: the newest tell where things stand.
QUEUE_LIMIT = 64


class Notifier:
    """Calls the notify hook whenever the state of this node or the leader has changed.

    Args:
        election: Its name, for the log.
        plan: Command and time-out; None tells nobody.
        clock: For deadlines.
        log: Takes failures.
        runner: Of its own, so that it never waits for a resource's hook, nor that one for it.
    """

    def __init__(
        self, election: str, plan: NotifyPlan | None, clock: Clock, log: Log, runner: HookRunner
    ) -> None:
        self._election = election
        self._plan = plan
        self._clock = clock
        self._log = log
        self._runner = runner
        self._last: tuple[str, str] | None = None
        self._queue: deque[Status] = deque()
        self._task: asyncio.Task[None] | None = None

    def publish(self, status: Status) -> None:
        """Tell the hook about this status, if its state or leader is another than last time."""
        news = (status.state.value, status.leader)
        if news == self._last:
            return
        self._last = news
        if self._plan is None:
            return
        self._queue.append(status)
        if len(self._queue) > QUEUE_LIMIT:
            left_out = self._queue.popleft()
            self._log(
                "warning", "notify cannot keep up; the oldest news is left out",
                election=self._election, state=left_out.state.value,
            )
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    def change(self, plan: NotifyPlan | None) -> None:
        """Call another hook from the next run on, or none."""
        self._plan = plan

    async def close(self, until: Instant) -> None:
        """Finish what is queued by `until`; kill and reap what then still runs."""
        if self._task is not None and not await done_by(self._clock, until, self._task):
            self._queue.clear()
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1.0)
        await self._runner.pods.close(self._clock.now().plus(1.0))

    async def _work(self) -> None:
        while self._queue:
            status = self._queue.popleft()
            try:
                if self._plan is not None:
                    await self._tell(status, self._plan)
            except ResourceError as error:
                self._log("warning", "notify failed", election=self._election, detail=str(error))

    async def _tell(self, status: Status, plan: NotifyPlan) -> None:
        extra = {"LEADERD_STATE": status.state.value, "LEADERD_LEADER": status.leader}
        hook = Hook("notify", "notify", plan.command, extra=extra)
        term = Term(status.token, status.lease, status.reason)
        code = await self._runner.run(hook, term, self._clock.now().plus(plan.timeout))
        if code:
            raise ResourceError(f"notify: it {ended(code)}")
