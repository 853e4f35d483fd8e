"""The resources of one election as a whole: started in order, stopped in reverse, watched in between.

Never two hooks at a time: a stop first kills and reaps whatever start or monitor still runs.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from leaderd.clock import Clock
from leaderd.core.actions import ProbeAddress, StartResources, StopResources
from leaderd.core.events import Event, ResourceFailed, ResourcesStarted, ResourcesStopped, StartFailed
from leaderd.core.floor import AddressProbed
from leaderd.core.lease import Lease, Timing
from leaderd.errors import InvariantError, LeaderdError, ResourceError
from leaderd.instant import Instant
from leaderd.resources.base import Expecting, Probing, Resource, StopCommand, Term
from leaderd.resources.contain import Log, Pods
from leaderd.resources.waiting import done_by
from leaderd.resources.watch import Shop, Watch

Task = asyncio.Task[None]


class ResourceGroup:
    """Performs the resource actions of one election; every outcome is posted as an event.

    Args:
        election: Its name.
        resources: In the order of starting.
        timing: For `start_timeout`.
        clock: For deadlines.
        post: Takes the events.
        pods: The processes that run hooks, ended with each term; None where no resource has hooks.
        log: Takes restarts in place.
    """

    def __init__(
        self,
        election: str,
        resources: Sequence[Resource],
        timing: Timing,
        clock: Clock,
        post: Callable[[Event], None],
        pods: Pods | None = None,
        log: Log = lambda *_, **__: None,
    ) -> None:
        self.election = election
        self._resources = tuple(resources)
        self._timing = timing
        self._clock = clock
        self._post = post
        self._pods = pods
        self._term = Term(token=0, lease=0, reason="")
        self._lease: Lease | None = None
        self._states = {resource.name: "unknown" for resource in resources}
        self._shop = Shop(
            election, self._resources, timing, clock, pods, log, self._states, self._current_lease
        )
        # Unfinished tasks, oldest first, and those of them that a stop puts an end to.
        self._tasks: list[Task] = []
        self._stoppable: list[Task] = []
        # No part of a term: a stop must not wait for them, nor end them.
        self._questions: list[Task] = []

    def perform(self, action: StartResources | StopResources | ProbeAddress) -> None:
        """Begin to start or stop all, or to ask the network; the outcome is posted."""
        if isinstance(action, ProbeAddress):
            self._questions.append(asyncio.get_running_loop().create_task(self._probe(action.serial)))
            return
        before = self._tasks = [task for task in self._tasks if not task.done()]
        # Also before a start: an election at least one begins a term where the address stands already.
        for task in self._stoppable:
            task.cancel()
        self._stoppable = []
        if isinstance(action, StartResources):
            self._lease = action.lease
            self._stoppable = [self._begin(self._start(action, before))]
        else:
            self._begin(self._stop(action, before))

    def extend(self, lease: Lease) -> None:
        """Tell every resource its new deadlines."""
        self._lease = lease
        for resource in self._resources:
            resource.extend(lease)

    def expect(self, opens_at: Instant | None) -> None:
        """Tell the resources that prepare for it when a start may come."""
        for resource in self._resources:
            if isinstance(resource, Expecting):
                resource.expect(opens_at)

    def stop_commands(self) -> tuple[StopCommand, ...]:
        """Return what the guard runs when the agent cannot, in the order of stopping."""
        return tuple(
            command for resource in reversed(self._resources) for command in resource.stop_commands()
        )

    def states(self) -> list[tuple[str, str, str]]:
        """Return name, kind and state of each resource.

        The state is one of unknown, stopped, starting, started, stopping, failed.
        """
        return [(resource.name, resource.kind, self._states[resource.name]) for resource in self._resources]

    async def close(self, until: Instant) -> None:
        """End what still runs and the processes that run hooks: the agent is about to exit."""
        for task in (*self._tasks, *self._questions):
            task.cancel()
        await self._settled([*self._tasks, *self._questions], until)
        if self._pods:
            await self._pods.close(until)

    def _begin(self, work: Coroutine[None, None, None]) -> Task:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks = [*self._tasks, task]
        return task

    async def _start(self, action: StartResources, before: list[Task]) -> None:
        self._term = Term(action.token, action.lease.id, action.reason, action.previous, action.released)
        deadline = self._clock.now().plus(self._timing.start_timeout)
        try:
            if not await self._settled(before, deadline):
                raise ResourceError("what ran before has not ended")
            await self._start_all(deadline)
        except Exception as error:  # noqa: BLE001 - a bug in a kind must not leave the core waiting
            self._post(StartFailed(action.token, describe(error)))
            return
        self._stoppable = [self._begin(self._watch(action.token, self._term))]
        self._post(ResourcesStarted(action.token))

    async def _start_all(self, deadline: Instant) -> None:
        for resource in self._resources:
            self._states[resource.name] = "starting"
            try:
                # The lease may have been renewed since the action was made.
                lease = self._current_lease()
                await resource.start(self._term, lease, self._clock.now().left_until(deadline))
            except Exception:
                self._states[resource.name] = "failed"
                raise
            self._states[resource.name] = "started"

    def _current_lease(self) -> Lease:
        if self._lease is None:
            raise InvariantError("resources are started without a lease")
        return self._lease

    async def _stop(self, action: StopResources, before: list[Task]) -> None:
        same = action.token == self._term.token
        term = Term(
            action.token, self._term.lease if same else 0, action.reason, self._term.previous if same else ""
        )
        problems: list[str] = []
        if await self._settled(before, action.until):
            for resource in reversed(self._resources):
                problems += await self._stop_one(resource, term, action.until)
        else:
            problems.append("what ran before could not be killed")
        problems += await self._end_term(action.until)
        self._post(ResourcesStopped(action.token, not problems, "; ".join(problems)))

    async def _settled(self, before: list[Task], deadline: Instant) -> bool:
        for task in before:
            if not await done_by(self._clock, deadline, task):
                task.cancel()
                return False
        return True

    async def _stop_one(self, resource: Resource, term: Term, until: Instant) -> list[str]:
        self._states[resource.name] = "stopping"
        try:
            await resource.stop(term, until)
        except Exception as error:  # noqa: BLE001 - as in _start: the other stops must be tried
            self._states[resource.name] = "failed"
            return [describe(error)]
        self._states[resource.name] = "stopped"
        return []

    async def _end_term(self, until: Instant) -> list[str]:
        try:
            if self._pods:
                await self._pods.end_term(until)
        except ResourceError as error:
            return [describe(error)]
        return []

    async def _probe(self, serial: int) -> None:
        self._questions = [task for task in self._questions if not task.done()]
        sent_at = self._clock.now()
        probing = [resource for resource in self._resources if isinstance(resource, Probing)]
        found = await asyncio.gather(*(resource.probe() for resource in probing))
        self._post(AddressProbed(
            serial, sent_at, sent=all(each.sent for each in found),
            other="; ".join(each.other for each in found if each.other),
            yields=any(each.yields for each in found),
        ))

    async def _watch(self, token: int, term: Term) -> None:
        try:
            await Watch(self._shop, term).run()
        except Exception as error:  # noqa: BLE001 - as in _start
            self._post(ResourceFailed(token, describe(error)))


def describe(error: Exception) -> str:
    """Return one line about an error; the type too where it is not one of ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, LeaderdError) else f"{type(error).__name__}: {text}"
