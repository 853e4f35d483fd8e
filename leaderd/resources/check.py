"""The health check of an election: may this node lead at all?

It has its own turn beside the resources' hooks, like notify: a start that takes long must not hide an
illness, nor a check that hangs hold up a stop.

Source: docs/interfaces.md §2, §3.
"""

import asyncio
from collections.abc import Callable

from leaderd.clock import Clock
from leaderd.core.events import Event, HealthChanged
from leaderd.core.status import Status
from leaderd.errors import ResourceError
from leaderd.instant import Instant
from leaderd.plan import CheckPlan
from leaderd.resources.base import Term
from leaderd.resources.contain import Log
from leaderd.resources.runner import Hook, HookRunner
from leaderd.resources.script import ended
from leaderd.resources.waiting import done_by


class HealthCheck:
    """Runs the check for as long as the agent lives and posts its verdicts.

    The first result decides at once; after that it takes `fall` failures or `rise` successes in a row. A
    check that is changed starts from the verdict that stands; without one the node is healthy.

    Args:
        election: Its name, for the log.
        plan: Command, interval, time-out, rise and fall; None for no check.
        clock: For the interval.
        log: Takes failures and verdicts.
        runner: Of its own.
        post: Takes the events.
    """

    def __init__(
        self, election: str, plan: CheckPlan | None, clock: Clock, log: Log, runner: HookRunner,
        post: Callable[[Event], None],
    ) -> None:
        self._election = election
        self._plan = plan
        self._clock = clock
        self._log = log
        self._runner = runner
        self._post = post
        self._healthy: bool | None = True if plan is None else None
        self._row = 0
        self._changed = asyncio.Event()
        self._term = Term(token=0, lease=0, reason="")

    def publish(self, status: Status) -> None:
        """Note what the check is told about the term."""
        self._term = Term(status.token, status.lease, status.reason)

    def change(self, plan: CheckPlan | None) -> None:
        """Run another check from now on, or none."""
        if plan == self._plan:
            return
        self._plan = plan
        self._row = 0
        self._changed.set()
        if plan is None and not self._healthy:
            self._healthy = True
            self._post(HealthChanged(healthy=True, detail=""))

    async def run(self) -> None:
        """Check for ever, one result an interval."""
        while True:
            self._changed.clear()
            if (plan := self._plan) is None:
                await self._changed.wait()
                continue
            at = self._clock.now().plus(plan.interval)
            problem = await self._problem(plan)
            # What was changed while it ran says nothing any more.
            if plan == self._plan:
                self._judge(problem, plan)
            await self._pause(at)

    async def _pause(self, until: Instant) -> None:
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await done_by(self._clock, until, changed)
        finally:
            changed.cancel()

    async def close(self, until: Instant) -> None:
        """End the process that runs checks, by `until`; `run` must have ended."""
        await self._runner.pods.close(until)

    async def _problem(self, plan: CheckPlan) -> str:
        """Run the check once; return what is wrong, or ""."""
        hook = Hook("check", "check", plan.command)
        try:
            code = await self._runner.run(hook, self._term, self._clock.now().plus(plan.timeout))
        except ResourceError as error:
            return str(error)
        return f"check: it {ended(code)}" if code else ""

    def _judge(self, problem: str, plan: CheckPlan) -> None:
        good = not problem
        if good is self._healthy:
            self._row = 0
            return
        self._row += 1
        needed = 1 if self._healthy is None else (plan.rise if good else plan.fall)
        if problem:
            self._log(
                "warning", "check failed", election=self._election, row=self._row, of=needed, detail=problem
            )
        if self._row >= needed:
            self._healthy, self._row = good, 0
            level, word = ("info", "healthy") if good else ("warning", "unhealthy")
            self._log(level, word, election=self._election)
            self._post(HealthChanged(good, problem))
